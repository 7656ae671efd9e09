// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where workers that iterate together wait for each other.
//
//   apalis::Barrier barrier(4);                              // for four
//   auto done = g.start_map(&Strip::iterate, grid, barrier, 1000);
//   …
//   void Strip::iterate(apalis::SharedArray<double, 2> grid, const apalis::Barrier& barrier, int n) {
//     for (int i = 0; i < n; ++i) { relax(grid); barrier.arrive_and_wait(); }
//   }

#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/channel/meeting.hpp>
#include <apalis/detail/wire/archive.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <chrono>
#include <cstddef>

namespace apalis {

/// As std::barrier, between processes: each phase ends when all participants have arrived, and what
/// they wrote before that is then seen by all. A handle: copies are the same barrier, and const is
/// the handle's. Passed to a worker, as an argument or in a struct with a cereal serialize function,
/// it arrives as a handle to the same one. Participants are counted, not named: workers, threads of
/// theirs, the process that made it.
///
/// **Owns** a reference, as a SharedArray does.
/// **Threads:** any.
/// **Fork:** a worker that is forked with one has it too.
/// **Blocks** in arrive_and_wait: some microseconds of looking, yielding where the participants are
/// more than the cores, then asleep. No system call is made for those who are awake.
/// **Peer death:** BarrierBroken for all who wait, some 10 ms after the death of a process that has
/// arrived here before without dropping out, or of a worker that was passed the barrier and still has
/// it, whoever else is busy. It stays broken, a Restart's next worker included: make another one. A
/// worker that is closed or retired while nobody waits leaves its place to another.
/// **Throws** BarrierBroken; Error where a call of the serial backend would have to wait, for the
/// others come after it; SystemError from making one.
/// **Ordering:** all before an arrival happens before all after the end of its phase.
class Barrier {
 public:
  /// None: it can only be assigned to.
  Barrier() noexcept = default;
  /// 1 to 32767.
  explicit Barrier(std::size_t participants);

  Barrier(const Barrier& other);
  Barrier(Barrier&& other) noexcept;
  Barrier& operator=(Barrier other) noexcept;
  ~Barrier();

  /// Until all others have arrived too.
  void arrive_and_wait() const;

  /// The same for so long at most: then false, and this participant has not arrived.
  template <class Rep, class Period>
  [[nodiscard]] bool arrive_and_wait_for(std::chrono::duration<Rep, Period> limit) const {
    using Nanoseconds = std::chrono::duration<double, std::nano>;
    return wait_for(Nanoseconds(limit) < Nanoseconds(std::chrono::nanoseconds::max())
                        ? std::chrono::ceil<std::chrono::nanoseconds>(limit)
                        : std::chrono::nanoseconds::max());
  }

  /// Arrives for this phase and takes part in no further one, without waiting.
  void arrive_and_drop() const;

  /// How many are expected in each phase.
  [[nodiscard]] std::size_t participants() const;
  /// Whether somebody has ended.
  [[nodiscard]] bool broken() const;

  // --- How it crosses ----------------------------------------------------------------------------

  friend void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const Barrier& barrier) {
    barrier.write_name(archive.buffer());
  }
  friend void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, Barrier& barrier) {
    barrier = Barrier(archive.reader());
  }

 private:
  template <class>
  friend struct detail::wire::ByName;

  explicit Barrier(detail::wire::Reader& reader);
  void write_name(detail::wire::Buffer& buffer) const;
  [[nodiscard]] bool wait_for(std::chrono::nanoseconds limit) const;
  [[nodiscard]] bool arrive(const detail::channel::Meeting::Manner& how) const;
  const detail::channel::Meeting& meeting() const;
  void enter(bool by_fork) const noexcept;

  detail::channel::BlockPointer block_;
  detail::channel::Meeting meeting_;
};

namespace detail::wire {

template <>
struct ByName<Barrier> {
  static constexpr bool value = true;
  static void encode(Buffer& buffer, const Barrier& barrier) { barrier.write_name(buffer); }
  static Barrier decode(Reader& reader) { return Barrier(reader); }
  static const channel::BlockPointer& meeting(const Barrier& barrier) noexcept {
    return barrier.block_;
  }
};

template <>
struct LeastBytes<Barrier> {
  static constexpr std::size_t value = sizeof(channel::BlockName);
};

}  // namespace detail::wire
}  // namespace apalis
