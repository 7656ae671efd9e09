// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several links as one: the workers of a group, and the states of what goes to all of them.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <span>
#include <vector>

namespace apalis::detail::actor {

/// What one worker is to answer of a whole: a reply that is looked at only with the others.
using PartState = ReplyState<void>;

/// The part of a GatherState that knows no type.
///
/// **Owns** the states of its parts, one a worker; null where a worker has none.
/// **Threads:** the token's; with continuations, the group's lock guards the rest.
class Parts {
 public:
  struct Done final : Continuation {
    explicit Done(Parts& p) noexcept : Continuation(false), parts(p) {}
    void run(State& /*state*/) noexcept override { parts.count_down(); }
    Parts& parts;
  };

  explicit Parts(std::size_t workers) : states(workers) {}

  [[nodiscard]] bool all_there() const noexcept;
  void count_down() noexcept;

  std::vector<OwnedState<void>> states;
  State* whole = nullptr;
  bool armed = false;             // continuations wait: the last part settles the whole
  std::atomic<std::size_t> left{0};  // parts that are missing, once armed
  std::deque<Done> done;
};

/// **Owns** a reference to each link, and ends them.
/// **Threads:** any. **Ordering:** as each link's.
class Group final : public Source {
 public:
  explicit Group(std::vector<Link*> links)
      : links_(std::move(links)), sources_(links_.begin(), links_.end()) {}

  [[nodiscard]] std::span<Link* const> links() const noexcept { return links_; }
  [[nodiscard]] std::uint32_t workers() const noexcept {
    return static_cast<std::uint32_t>(links_.size());
  }

  /// Publishes a message to each worker that has one, then wakes those that sleep, the one on
  /// this core last; their parts are then pending. Throws as Link::publish() does.
  void submit(std::span<const wire::Buffer* const> messages, Parts& parts);

  void poll() override;
  bool drive(const Until& until, Deadline deadline) override;
  bool wait(State& state, Deadline deadline) override;
  bool cancel(State& state, Cancel how) override;
  void abandon(State& state) noexcept override;
  bool attach(State& state, Continuation& continuation) override;
  void begin_sleep(channel::Bells& bells) noexcept override;
  void end_sleep() noexcept override;
  [[nodiscard]] bool has_news() const noexcept override;
  [[nodiscard]] pid_t pid() const noexcept override;

  /// As Link's, of all of them: each is done before the first failure is thrown. PostErrors become
  /// one.
  void drain();
  void close();
  void kill();
  void shut(bool discard, Deadline deadline) noexcept;

 private:
  ~Group() override;
  void wake_waiters() noexcept override;
  void for_each(void (Link::*act)());

  std::vector<Link*> links_;
  std::vector<Source*> sources_;  // the same
};

}  // namespace apalis::detail::actor
