// SPDX-License-Identifier: BSL-1.0
#pragma once

// The workers of an engine: made when they are needed, ended when they were idle for long.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/engine/seat.hpp>
#include <apalis/engine_options.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace apalis::detail::engine {

struct RunScratch;

/// A counted reference to a link, which outlives the pool's own.
class LinkPointer {
 public:
  LinkPointer() noexcept = default;
  /// Takes over a reference.
  explicit LinkPointer(actor::Link* counted) noexcept : link_(counted) {}
  LinkPointer(const LinkPointer& other) noexcept : link_(other.link_) {
    if (link_ != nullptr) link_->retain();
  }
  LinkPointer(LinkPointer&& other) noexcept : link_(std::exchange(other.link_, nullptr)) {}
  LinkPointer& operator=(LinkPointer other) noexcept {
    std::swap(link_, other.link_);
    return *this;
  }
  ~LinkPointer() {
    if (link_ != nullptr) link_->release();
  }
  [[nodiscard]] actor::Link* get() const noexcept { return link_; }
  [[nodiscard]] actor::Link& operator*() const noexcept { return *link_; }
  [[nodiscard]] actor::Link* operator->() const noexcept { return link_; }

 private:
  actor::Link* link_ = nullptr;
};

/// **Owns** the workers.
/// **Threads:** any.
/// **Fork:** works only in the process that made it; a fork's copy destructs as nothing.
/// **Blocks:** link() for a fork; close() and the destructor until the workers have ended.
class Pool {
 public:
  Pool(Backend backend, EngineOptions options, std::size_t most);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  /// How many workers there can be.
  [[nodiscard]] std::uint32_t most() const noexcept;
  [[nodiscard]] Backend backend() const noexcept;
  [[nodiscard]] bool is_here() const noexcept;

  /// Worker `index` < most(), which is made if there is none. Throws SystemError, Error.
  [[nodiscard]] LinkPointer link(std::uint32_t index);
  [[nodiscard]] bool is_open(std::uint32_t index) const noexcept;
  /// Whether that worker is the one at `index` still.
  [[nodiscard]] bool has(std::uint32_t index, const LinkPointer& link) const noexcept;
  /// It died: the next link() makes another one.
  void lose(std::uint32_t index, const LinkPointer& dead) noexcept;

  /// Batches that any run has there.
  void add_load(std::uint32_t index, int batches) noexcept;
  [[nodiscard]] int load(std::uint32_t index) const noexcept;

  /// A batch that counts as load there, but whose run has ended before it: until it has, too.
  void adopt(std::uint32_t index, std::unique_ptr<actor::State, actor::Abandon> batch);
  /// Looks which of those have ended.
  void look_after_orphans();
  /// How many there are; those of one worker.
  [[nodiscard]] int orphans() const noexcept;
  [[nodiscard]] int orphans(std::uint32_t index) const noexcept;

  /// For workers made from now on; ends those that there are.
  void set_hooks(Hooks hooks);

  [[nodiscard]] std::vector<pid_t> pids() const;

  /// What the last run left for the next, or a new one.
  [[nodiscard]] std::unique_ptr<RunScratch> take_scratch();
  void keep_scratch(std::unique_ptr<RunScratch> scratch) noexcept;

  /// Ends a state in the workers that there are.
  void drop_state(std::uint64_t id) noexcept;

  /// Ends the threads that have had nothing to do for EngineOptions::idle_timeout, and looks which
  /// processes have ended by themselves. Throws what the threads' stop hooks throw.
  void end_idle();
  /// Ends all workers, after what they were given. Throws what the stop hooks throw.
  void close();

 private:
  void lose_if_ended(std::uint32_t index, const LinkPointer& link);
  void lose_leavers();

  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace apalis::detail::engine
