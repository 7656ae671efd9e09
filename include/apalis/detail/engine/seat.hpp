// SPDX-License-Identifier: BSL-1.0
#pragma once

// What lives in each worker of an engine: what its runs left there for their next batches.

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace apalis::detail::engine {

/// What a run sends to a worker once: its callable and the arguments of every call.
class Frame {
 public:
  Frame() = default;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  virtual ~Frame() = default;
};

/// What the user wants to be run in each worker.
struct Hooks {
  std::vector<std::function<void()>> start;  // before its first batch
  std::vector<std::function<void()>> stop;   // before it ends
};

/// **Threads:** the worker's.
class Seat {
 public:
  explicit Seat(std::shared_ptr<const Hooks> hooks) noexcept;
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat();

  /// Runs the stop hooks, once: the pool may ask for it, and the worker leave before it is closed.
  void stop();

  /// Null if there is none.
  [[nodiscard]] Frame* frame(std::uint32_t run) const noexcept;
  void keep(std::uint32_t run, std::unique_ptr<Frame> frame);
  void drop(std::uint32_t run) noexcept;

  /// The state that the user's calls have in this worker, made when it is first asked for.
  template <class S, class Make>
  S& state(std::uint64_t id, Make make) {
    if (void* const known = find_state(id)) return *static_cast<S*>(known);
    auto made = std::make_shared<S>(make());
    S& state = *made;
    keep_state(id, std::move(made));
    return state;
  }
  void drop_state(std::uint64_t id) noexcept;

  /// Of this process, in bytes, after a batch that took `busy` nanoseconds. To ask the system costs
  /// as much as a short batch, which can't have grown it by much.
  [[nodiscard]] std::uint64_t peak_memory(std::uint64_t busy) noexcept;

 private:
  [[nodiscard]] void* find_state(std::uint64_t id) const noexcept;
  void keep_state(std::uint64_t id, std::shared_ptr<void> state);

  std::shared_ptr<const Hooks> hooks_;  // as they were at the fork
  bool stopped_ = false;
  std::vector<std::pair<std::uint32_t, std::unique_ptr<Frame>>> frames_;  // of runs under way
  std::vector<std::pair<std::uint64_t, std::shared_ptr<void>>> states_;
  std::uint64_t peak_memory_ = 0;  // when last asked for
  std::uint64_t busy_ = 0;         // nanoseconds since
};

/// Whether this thread runs a batch: an engine that is used there runs in it, one item after the
/// other, so that nested maps neither wait for each other nor multiply processes.
[[nodiscard]] bool inside_batch() noexcept;

/// For as long as a batch runs.
class InsideBatch {
 public:
  InsideBatch() noexcept;
  InsideBatch(const InsideBatch&) = delete;
  InsideBatch& operator=(const InsideBatch&) = delete;
  ~InsideBatch();

 private:
  bool before_;
};

}  // namespace apalis::detail::engine
