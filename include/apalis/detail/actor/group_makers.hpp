// SPDX-License-Identifier: BSL-1.0
#pragma once

// The ways in which the objects of a group get to its workers. Object i lives with worker i mod W,
// as its object number i div W.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/makers.hpp>
#include <apalis/detail/sys/process_stamp.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/objects.hpp>
#include <apalis/detail/wire/sendable.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis::detail::actor {

/// Makes one worker's share of the objects, then the next one's.
class GroupMaker : public Maker {
 public:
  /// What make() makes from now on.
  void turn_to(std::uint32_t which, std::uint32_t of) noexcept {
    worker = which;
    workers_ = of;
  }

  [[nodiscard]] std::string contents() const final;

 protected:
  GroupMaker(void (*d)(void*) noexcept, std::size_t objects) noexcept
      : Maker(d), objects_(objects) {
    of_many = true;
  }
  ~GroupMaker() = default;

  [[nodiscard]] std::uint32_t share() const noexcept {
    return static_cast<std::uint32_t>((objects_ + workers_ - 1 - worker) / workers_);
  }
  [[nodiscard]] std::size_t index(std::uint32_t in_share) const noexcept {
    return static_cast<std::size_t>(in_share) * workers_ + worker;
  }

  std::size_t objects_;
  std::uint32_t workers_ = 1;
};

/// One worker's objects: in memory of their own, or where they were made before.
template <class A>
class Share final : public wire::Objects {
 public:
  /// Memory for `size` of them, side by side; add() makes them.
  explicit Share(std::uint32_t size) : owns_memory_(true) {
    first = static_cast<std::byte*>(
        ::operator new((size != 0 ? size : 1) * sizeof(A), std::align_val_t{alignof(A)}));
    stride = sizeof(A);
  }
  /// `size` of those in `all`, from `at` on, every `step`th. Unless it is null, `owner` destroys
  /// them; if not, this does, but leaves their memory alone.
  Share(std::vector<A>& all, std::uint32_t at, std::uint32_t step, std::uint32_t size,
        std::shared_ptr<std::vector<A>> owner) noexcept
      : owner_(std::move(owner)) {
    if (size > 0) first = reinterpret_cast<std::byte*>(all.data() + at);
    stride = step * sizeof(A);
    count = size;
  }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  ~Share() {
    if (owner_ != nullptr) return;
    for (std::uint32_t i = 0; i < count; ++i)
      if (!broken.has(i)) std::launder(reinterpret_cast<A*>(first + i * stride))->~A();
    if (owns_memory_) ::operator delete(first, std::align_val_t{alignof(A)});
  }

  /// Makes the next one by `construct(memory)`; if that throws, calls to it fail with that.
  template <class Construct>
  void add(Construct construct) {
    try {
      construct(static_cast<void*>(first + count * stride));
    } catch (...) {
      broken.note_current(count);
    }
    ++count;
  }

  static void destroy(void* share) noexcept {
    delete static_cast<Share*>(static_cast<wire::Objects*>(share));
  }
  [[nodiscard]] static void* released(std::unique_ptr<Share> share) noexcept {
    return static_cast<wire::Objects*>(share.release());
  }

 private:
  std::shared_ptr<std::vector<A>> owner_;
  bool owns_memory_ = false;
};

/// Has each object made where it lives: by `factory(index)`.
template <class A, class Factory>
class FactoryGroupMaker final : public GroupMaker {
 public:
  FactoryGroupMaker(std::size_t objects, Factory& factory)
      : GroupMaker(&Share<A>::destroy, objects), factory_(factory) {}

  void* make() override {
    auto share = std::make_unique<Share<A>>(this->share());
    for (std::uint32_t i = 0; i < this->share(); ++i)
      share->add([&](void* memory) { ::new (memory) A(std::invoke(factory_, index(i))); });
    return Share<A>::released(std::move(share));
  }

  /// A factory without state is the same everywhere.
  bool write(Recipe& recipe) const override {
    if constexpr (std::is_empty_v<Factory> && std::is_default_constructible_v<Factory>) {
      recipe.make = [](wire::Reader& reader) -> void* {
        auto size = wire::decode<std::uint64_t>(reader);
        const auto step = wire::decode<std::uint64_t>(reader);
        auto at = wire::decode<std::uint64_t>(reader);
        Factory factory{};
        auto share = std::make_unique<Share<A>>(static_cast<std::uint32_t>(size));
        for (; size > 0; --size, at += step)
          share->add([&](void* memory) {
            ::new (memory) A(std::invoke(factory, static_cast<std::size_t>(at)));
          });
        return Share<A>::released(std::move(share));
      };
      recipe.arguments.clear();
      for (const std::uint32_t number : {share(), workers_, worker})
        wire::encode(recipe.arguments, std::uint64_t{number});
      return true;
    } else {
      return false;
    }
  }

 private:
  Factory& factory_;
};

/// Has each object made where it lives, all from the same arguments.
template <class A, class... Args>
class SameGroupMaker final : public GroupMaker {
 public:
  SameGroupMaker(std::size_t objects, const Args&... args)
      : GroupMaker(&Share<A>::destroy, objects), args_(args...) {
    may_have_blocks = !(has_no_blocks<Args> && ...);
  }
  SameGroupMaker(const SameGroupMaker&) = delete;
  SameGroupMaker& operator=(const SameGroupMaker&) = delete;
  ~SameGroupMaker() { note_meetings(*this, args_); }

  void* make() override {
    auto share = std::make_unique<Share<A>>(this->share());
    for (std::uint32_t i = 0; i < this->share(); ++i)
      share->add([&](void* memory) {
        std::apply([&](const Args&... args) { ::new (memory) A(args...); }, args_);
      });
    return Share<A>::released(std::move(share));
  }

  bool write(Recipe& recipe) const override {
    if constexpr ((wire::sendable_value<sent_as_t<const Args&>> && ...) &&
                  (std::is_convertible_v<const Args&, sent_as_t<const Args&>> && ...)) {
      recipe.make = [](wire::Reader& reader) -> void* {
        auto size = wire::decode<std::uint64_t>(reader);
        // Braces: decoded from left to right.
        const std::tuple<sent_as_t<const Args&>...> sent{
            wire::decode<sent_as_t<const Args&>>(reader)...};
        auto share = std::make_unique<Share<A>>(static_cast<std::uint32_t>(size));
        for (; size > 0; --size)
          share->add([&](void* memory) {
            std::apply(
                [&](const auto&... each) {
                  ::new (memory) A(as_const_argument<const Args&>(each)...);
                },
                sent);
          });
        return Share<A>::released(std::move(share));
      };
      recipe.arguments.clear();
      wire::encode(recipe.arguments, std::uint64_t{share()});
      std::apply(
          [&](const auto&... each) {
            (wire::encode<sent_as_t<const Args&>>(recipe.arguments, each), ...);
          },
          args_);
      return true;
    } else {
      return false;
    }
  }

 private:
  std::tuple<const Args&...> args_;
};

/// Objects that were made before, where they are: every worker has a copy of all and uses its own.
template <class A>
class CarryGroupMaker final : public GroupMaker {
 public:
  explicit CarryGroupMaker(std::vector<A> objects)
      : GroupMaker(&Share<A>::destroy, objects.size()),
        all_(std::make_shared<std::vector<A>>(std::move(objects))) {
    may_have_blocks = !has_no_blocks<A>;
  }
  CarryGroupMaker(const CarryGroupMaker&) = delete;
  CarryGroupMaker& operator=(const CarryGroupMaker&) = delete;
  ~CarryGroupMaker() {
    if (!may_have_blocks) return;
    const channel::CarriedEnd end{static_cast<const Maker*>(this)};
    all_.reset();
  }

  void* make() override {
    // A fork of the process that made them has them as a copy of its own, and destroys its share.
    const bool here = stamp_ == sys::process_stamp();
    return Share<A>::released(
        std::make_unique<Share<A>>(*all_, worker, workers_, share(), here ? all_ : nullptr));
  }

  bool write(Recipe& recipe) const override {
    if constexpr (wire::sendable_value<A>) {
      recipe.make = [](wire::Reader& reader) -> void* {
        auto size = wire::decode<std::uint64_t>(reader);
        auto share = std::make_unique<Share<A>>(static_cast<std::uint32_t>(size));
        std::exception_ptr unreadable;  // so is all behind it
        for (; size > 0; --size)
          share->add([&](void* memory) {
            if (unreadable != nullptr) std::rethrow_exception(unreadable);
            try {
              ::new (memory) A(wire::decode<A>(reader));
            } catch (...) {
              unreadable = std::current_exception();
              throw;
            }
          });
        return Share<A>::released(std::move(share));
      };
      recipe.arguments.clear();
      wire::encode(recipe.arguments, std::uint64_t{share()});
      for (std::uint32_t i = 0; i < share(); ++i)
        wire::encode(recipe.arguments, (*all_)[index(i)]);
      return true;
    } else {
      return false;
    }
  }

 private:
  std::shared_ptr<std::vector<A>> all_;
  std::uint64_t stamp_ = sys::process_stamp();
};

}  // namespace apalis::detail::actor
