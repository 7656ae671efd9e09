// SPDX-License-Identifier: BSL-1.0
#pragma once

// A process that crashes leaves word of it in memory that its maker reads afterwards.
//
//   prepare_crash_reports(held);                        // in the parent, before it forks
//   if (fork_process() == 0) arm_crash_report(shared);  // in the child
//   …
//   if (auto report = checked(shared_report_copy)) …    // in the parent, once the child is dead

#include <apalis/detail/sys/per_process.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace apalis::detail::sys {

/// What a crashing process writes down. Plain bytes of another process: only what checked() returns
/// may be believed to be in range, and nothing of it to be true.
struct CrashReport {
  static constexpr std::uint32_t most_frames = 48;
  static constexpr std::uint32_t is_armed = 0x61'70'61'6c;
  static constexpr std::uint32_t is_written = 0x63'72'61'73;

  // Bits of `flags`.
  static constexpr std::uint32_t has_address = 1;   // `address` says something
  static constexpr std::uint32_t overflow = 2;      // it lies where the stack would have grown
  static constexpr std::uint32_t other_thread = 4;  // than the one that armed

  std::uint32_t state = 0;   // is_armed, then is_written; anything else: nothing
  std::uint32_t armed = 0;   // bit n: signal n writes a report
  std::int32_t signal = 0;
  std::int32_t code = 0;     // si_code: what made the signal
  std::int32_t thread = 0;   // its id, as the process itself sees it
  std::int32_t sender = 0;   // another process that sent the signal, 0 if none did
  std::uint32_t flags = 0;
  std::uint32_t frames = 0;  // how many of `stack` count
  std::uint64_t address = 0;           // si_addr, or the number of a refused system call
  std::uint64_t stack[most_frames]{};  // where it happened, then the return addresses

  [[nodiscard]] bool has(std::uint32_t flag) const noexcept { return (flags & flag) != 0; }
};
static_assert(std::is_trivially_copyable_v<CrashReport>);
static_assert(sizeof(CrashReport) == 40 + 8 * CrashReport::most_frames);

/// The report if one was written and each field is in its range, with an overlong stack cut.
/// `report` must be a copy that no other process can change.
[[nodiscard]] std::optional<CrashReport> checked(CrashReport report) noexcept;

/// Whether a death by `signal` should have left a report and did not.
[[nodiscard]] bool is_missing(const CrashReport& report, int signal) noexcept;

/// Appends the calling thread's return addresses to report.stack, from the code that a signal
/// interrupted on; `context` is the ucontext_t of its handler. May fault on a broken stack.
using StackWalk = void (*)(void* context, CrashReport& report);
void walk_stack(void* context, CrashReport& report);

/// Does at the first call what no child should have to: gets a second stack, and walks this one,
/// for what an unwinder does at its first use.
void prepare_crash_reports(const ForkLock& held) noexcept;

/// From now on SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS and SIGTRAP of this process write
/// `report` before they end it as they would have. Signals that somebody handles or ignores
/// already are left alone, and whoever takes one over later has it. A stack that overflows is
/// reported for the calling thread only: others have no second stack to tell it on.
/// A dozen system calls; allocates nothing. `report` must stay mapped.
/// **Fork:** a fork of this process crashes without a report.
void arm_crash_report(CrashReport& report, StackWalk walk = &walk_stack) noexcept;

}  // namespace apalis::detail::sys
