// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several links as one: the workers of a group, and the states of what goes to all of them.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace apalis::detail::actor {

/// What one worker is to answer of a whole: a reply that is looked at only with the others.
using PartState = ReplyState<void>;

/// The part of a GatherState that knows no type.
///
/// **Owns** the states of its parts, one a worker; null where a worker has none.
/// **Threads:** the token's; with continuations, the group's lock guards the rest.
class Parts {
 public:
  explicit Parts(std::uint32_t workers);
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts();

  /// How many workers there are; each has a part or none.
  [[nodiscard]] std::uint32_t size() const noexcept { return workers_; }
  [[nodiscard]] PartState* operator[](std::size_t worker) const noexcept { return states_[worker]; }

  [[nodiscard]] bool all_there() const noexcept;
  /// Whether every part was cancelled before it began.
  [[nodiscard]] bool all_cancelled() const noexcept;

 private:
  friend class WorkerGroup;
  friend class State;
  struct Done;

  void count_down() noexcept;

  PartState** states_;  // one a worker, null where it has none; owned
  std::uint32_t workers_;
  bool armed_ = false;                // continuations wait: the last part settles the whole
  std::atomic<std::size_t> left_{0};  // parts that are missing, once armed
  Done* done_ = nullptr;              // one a worker, once armed

 protected:
  State* whole_ = nullptr;
};

struct BatchScratch;

/// **Owns** a reference to each link, and ends them.
/// **Threads:** any. **Ordering:** as each link's.
class Group : public Source {
 public:
  /// Of one link at least; takes over the caller's references.
  [[nodiscard]] static Group* make(std::span<Link* const> links);

  [[nodiscard]] std::span<Link* const> links() const noexcept { return links_; }
  [[nodiscard]] std::uint32_t workers() const noexcept {
    return static_cast<std::uint32_t>(links_.size());
  }

  /// Publishes a message to each worker that has one, then wakes those that sleep, the one on
  /// this core last; their parts are then pending. Throws as Link::publish() does.
  virtual void submit(std::span<const wire::Buffer* const> messages, Parts& parts) = 0;

  /// Sends the same message to every worker.
  virtual void submit_to_all(const wire::Buffer& message, Parts& parts) = 0;

  /// As Link's, of all of them: each is done before the first failure is thrown. PostErrors become
  /// one.
  virtual void drain() = 0;
  virtual void close() = 0;
  virtual void kill() = 0;
  virtual void shut(bool discard, Deadline deadline) noexcept = 0;

 protected:
  friend class GroupMessages;
  [[nodiscard]] virtual BatchScratch* take_scratch() = 0;
  virtual void give_back(BatchScratch* scratch) noexcept = 0;

  std::span<Link* const> links_;
};

/// A message for each worker in the making: a batch of calls, or the arguments of a map.
///
/// **Owns** buffers of the group's, which keep their memory from one use to the next: a small
/// batch costs no allocation. **Threads:** one at a time.
class GroupMessages {
 public:
  explicit GroupMessages(Group& group);
  ~GroupMessages();
  GroupMessages(const GroupMessages&) = delete;
  GroupMessages& operator=(const GroupMessages&) = delete;

  /// Adds a call of object `object` of the group; returns the worker where that lives.
  std::uint32_t add_call(std::uint32_t object, const wire::Buffer& call);
  /// Adds the same to every worker's message.
  void add_to_all(const wire::Buffer& shared);
  /// Where a worker's message is written on.
  [[nodiscard]] wire::Buffer& operator[](std::uint32_t worker);

  /// Sends the messages to the workers that have one.
  void submit(Parts& parts);

 private:
  Group& group_;
  BatchScratch* scratch_;  // owned meanwhile
};

}  // namespace apalis::detail::actor
