// SPDX-License-Identifier: BSL-1.0
#pragma once

// A process that makes workers: it stands by as it was forked, and forks again when asked to. It is
// itself a worker, whose object is this and whose calls are spawn().

#include <sys/types.h>

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/residence.hpp>
#include <apalis/detail/channel/region.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace apalis::detail::actor {

/// What a nursery is asked for.
struct SpawnOrder {
  std::uint32_t slice = 0;
  std::uint32_t generation = 0;
  std::uint64_t max_calls = 0;
  std::uint32_t worker = 0;   // as Maker::worker
  std::uint32_t of_many = 0;  // as Maker::of_many
  std::int64_t idle_limit = 0;  // ms, as Maker::idle_limit
  // Of a nursery without a maker: what to make the object by. Addresses in the image, which parent
  // and nursery share.
  std::uint64_t make = 0;
  std::uint64_t destroy = 0;
  std::uint64_t on_start = 0;
  std::uint64_t prepare = 0;  // of a std::function<void()> that was there before the nursery was
  std::uint64_t last_words = 0;  // as Maker::last_words
};

/// **Owns** nothing: its maker, if it has one, is the forking parent's, in this process's copy of
/// that memory. It stays unused here, for each worker to use its own copy.
class Nursery {
 public:
  Nursery(channel::Region& region, Maker* maker, const StartHooks& hooks) noexcept
      : region_(region), maker_(maker), hooks_(hooks) {}

  /// Forks a worker that is a child of this process's parent. Its pid, or -errno. In the worker, it
  /// never returns.
  std::int32_t spawn(const SpawnOrder& order, std::string_view title,
                     std::span<const std::byte> arguments);

 private:
  channel::Region& region_;
  Maker* maker_;
  StartHooks hooks_;
};

/// Makes a nursery from what makes its workers' object.
class NurseryMaker final : public Maker {
 public:
  /// `maker`: null for a nursery whose orders say how to make the object.
  NurseryMaker(channel::Region& region, Maker* maker, const StartHooks& hooks) noexcept
      : Maker([](void* nursery) noexcept { delete static_cast<Nursery*>(nursery); }),
        region_(region),
        maker_(maker),
        hooks_(hooks) {
    may_have_blocks = (maker != nullptr && maker->may_have_blocks) || hooks.prepare != nullptr ||
                      (hooks.on_start != nullptr && *hooks.on_start);
    keeps_for_others = may_have_blocks;
  }

  void* make() override { return new Nursery{region_, maker_, hooks_}; }

 private:
  channel::Region& region_;
  Maker* maker_;
  StartHooks hooks_;
};

}  // namespace apalis::detail::actor
