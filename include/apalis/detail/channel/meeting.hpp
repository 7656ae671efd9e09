// SPDX-License-Identifier: BSL-1.0
#pragma once

// The barrier in a shared block: who has arrived, who takes part, and who of them has ended.
//
//   Meeting meeting(block->bytes());      // of Meeting::bytes_for(4)
//   meeting.begin(4, cores);              // by who made it
//   meeting.arrive({});                   // by all four
//
// Each process that arrives or is given the barrier has a place, where its incarnation stands.
// Those who wait look at the places of the others: nobody else may have the time to.

#include <apalis/detail/sys/incarnation.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace apalis::detail::channel {

struct MeetingPage;
struct MeetingPlace;

/// **Owns** nothing: a view of a block's memory, which a handle keeps.
/// **Threads:** any.
/// **Blocks** in arrive().
/// **Peer death:** arrive() returns Result::broken some 10 ms after a process that has a place
/// ended, at most.
/// **Peer:** whatever anybody writes there, no call takes longer or reads elsewhere for it, except
/// that it may wait for arrivals which were not counted.
class Meeting {
 public:
  static constexpr std::size_t most_expected = 0x7fff;

  enum class Result {
    complete,   // all had arrived
    late,       // the limit passed first, and the arrival does not count
    broken,     // somebody has ended: lost() tells who
    refused,    // it would have had to wait, and must not
    deserted,   // nobody is expected any more
    no_places,  // too many processes have arrived
  };

  /// How to arrive.
  struct Manner {
    std::chrono::nanoseconds limit = std::chrono::nanoseconds::max();  // the longest: none
    bool may_wait = true;
    bool for_good = false;  // returns at once, and is expected no more
  };

  Meeting() noexcept = default;
  /// Of bytes_for() some number; aligned to a cache line.
  explicit Meeting(std::span<std::byte> memory) noexcept;
  Meeting(const Meeting& other) noexcept
      : page_(other.page_), places_(other.places_), count_(other.count_) {}
  Meeting& operator=(const Meeting& other) noexcept {
    page_ = other.page_;
    places_ = other.places_;
    count_ = other.count_;
    return *this;
  }
  ~Meeting() = default;

  [[nodiscard]] static std::size_t bytes_for(std::size_t expected) noexcept;
  /// In zeroed memory, before anybody else sees it.
  void begin(std::size_t expected, int cores) noexcept;

  [[nodiscard]] Result arrive(const Manner& how) const noexcept;

  [[nodiscard]] bool exists() const noexcept { return page_ != nullptr; }
  [[nodiscard]] std::size_t expected() const noexcept;
  [[nodiscard]] bool is_broken() const noexcept;
  /// Who broke it; 0 if it is not broken, or that is not known any more.
  [[nodiscard]] pid_t lost() const noexcept;

  /// It was given the barrier: from now on its end is everybody's affair.
  void invite(sys::Incarnation who) const noexcept;
  /// It has let go of the barrier without having taken part.
  void excuse(sys::Incarnation who) const noexcept;
  /// A child of the caller's that was just reaped: it ended as it should, or otherwise. Nothing if
  /// it has no place.
  void part(pid_t who) const noexcept;
  void lose(pid_t who) const noexcept;

 private:
  [[nodiscard]] std::span<MeetingPlace> places() const noexcept;
  [[nodiscard]] MeetingPlace* find(sys::Incarnation who) const noexcept;
  [[nodiscard]] MeetingPlace* take_place(sys::Incarnation who) const noexcept;
  [[nodiscard]] MeetingPlace* own_place() const noexcept;
  [[nodiscard]] Result wait(std::uint32_t phase, std::size_t expected, MeetingPlace& own,
                            std::chrono::nanoseconds limit) const noexcept;
  [[nodiscard]] bool withdraw(std::uint32_t phase, MeetingPlace& own) const noexcept;
  void sleep(std::uint32_t phase, std::chrono::nanoseconds limit) const noexcept;
  void wake() const noexcept;
  void look_around(std::uint32_t phase) const noexcept;
  void leave_for_good(MeetingPlace& own) const noexcept;

  MeetingPage* page_ = nullptr;
  MeetingPlace* places_ = nullptr;
  std::uint32_t count_ = 0;
  mutable std::atomic<std::uint32_t> hint_{0};  // where this process's place was
};

}  // namespace apalis::detail::channel
