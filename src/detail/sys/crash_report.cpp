// SPDX-License-Identifier: BSL-1.0
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <apalis/detail/sys/crash_report.hpp>
#include <apalis/detail/sys/fault.hpp>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

namespace apalis::detail::sys {
namespace {

constexpr int reported_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
constexpr unsigned patience_s = 1;                           // with a walk that does not end
constexpr std::size_t small_stack = std::size_t{16} * 1024;  // too small for the unwinder
constexpr std::uint64_t reach = std::uint64_t{1} << 20;      // of one frame over the stack's end
constexpr int most_steps = 4 * CrashReport::most_frames;     // of a walk that finds no way

/// Where signals of the thread that armed are handled, as its own stack may be what broke. Its
/// pages cost nothing until then. From the heap: among the library's variables it would keep those
/// that a child writes at its start in pages apart, each of which costs a fault.
constinit char* second_stack = nullptr;
constexpr std::size_t second_stack_bytes = std::size_t{64} * 1024;

/// Set up by arm_crash_report(); read by the handler, in this process only.
struct Armed {
  CrashReport* report = nullptr;
  StackWalk walk = nullptr;
  pid_t process = 0;
  const char* base = nullptr;  // an address in the oldest frame that is of interest
  std::atomic<pid_t> reporter{0};  // the first thread that crashed
  volatile sig_atomic_t walking = 0;
  int signal = 0;
};
constinit Armed armed;
sigjmp_buf after_walk;  // where a walk that faults comes back to

pid_t this_thread() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

/// Ends this process by the signal that it got, as if nobody had handled it.
void die_of(int signal, siginfo_t* info) noexcept {
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(signal, &plain, nullptr);
  // With the first signal's particulars, for the core file.
  if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), this_thread(), signal, info) != 0)
    ::syscall(SYS_tgkill, ::getpid(), this_thread(), signal);
  // Whoever survives that (the first process of a pid namespace) goes on as it would have.
}

/// The walk did not end. Runs in whichever thread the kernel took.
void give_up(int) noexcept {
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(armed.signal, &plain, nullptr);
  ::kill(::getpid(), armed.signal);
}

void watch_the_walk() noexcept {
  struct sigaction late = {};
  late.sa_handler = &give_up;
  ::sigaction(SIGALRM, &late, nullptr);
  // The thread, or ThreadSanitizer's handler around ours, may have blocked what ends a walk.
  sigset_t awaited;
  ::sigemptyset(&awaited);
  ::sigaddset(&awaited, SIGALRM);
  for (const int signal : reported_signals) ::sigaddset(&awaited, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &awaited, nullptr);
  ::alarm(patience_s);
}

/// Where a thread was when a signal came.
struct Machine {
  std::uint64_t counter = 0;
  std::uint64_t stack = 0;
};

Machine machine_of(const void* context) noexcept {
  const auto& saved = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return {static_cast<std::uint64_t>(saved.gregs[REG_RIP]),
          static_cast<std::uint64_t>(saved.gregs[REG_RSP])};
#elif defined(__aarch64__)
  return {saved.pc, saved.sp};
#else
  static_cast<void>(saved);
  return {};
#endif
}

void set_machine(void* context, const Machine& machine) noexcept {
  auto& saved = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  saved.gregs[REG_RIP] = static_cast<greg_t>(machine.counter);
  saved.gregs[REG_RSP] = static_cast<greg_t>(machine.stack);
#elif defined(__aarch64__)
  saved.pc = machine.counter;
  saved.sp = machine.stack;
#else
  static_cast<void>(saved);
  static_cast<void>(machine);
#endif
}

/// As if a function that has done nothing yet had returned. May fault.
Machine returned(const void* context) noexcept {
  Machine machine = machine_of(context);
#if defined(__x86_64__)
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is an integer
  std::memcpy(&machine.counter, reinterpret_cast<const void*>(machine.stack),
              sizeof machine.counter);
  machine.stack += sizeof machine.counter;
#elif defined(__aarch64__)
  machine.counter = static_cast<const ucontext_t*>(context)->uc_mcontext.regs[30];
#endif
  return machine;
}

/// An address that faults, near the stack pointer and no deeper than the stack began, is one that
/// the stack can't grow to: what it has is mapped.
bool is_overflow(std::uint64_t address, std::uint64_t stack, bool main_thread) noexcept {
  if (stack == 0 || address + reach < stack || address >= stack + reach) return false;
  return !main_thread || address < reinterpret_cast<std::uintptr_t>(armed.base);
}

bool add(CrashReport& report, std::uint64_t address) noexcept {
  if (report.frames >= CrashReport::most_frames) return false;
  report.stack[report.frames] = address;
  std::atomic_signal_fence(std::memory_order_release);  // counted when it is there
  ++report.frames;
  return report.frames < CrashReport::most_frames;
}

void write_facts(CrashReport& report, int signal, const siginfo_t& info, const void* context) {
  report.signal = signal;
  report.code = info.si_code;
  report.thread = this_thread();
  const bool main_thread = report.thread == armed.process;
  if (!main_thread) report.flags |= CrashReport::other_thread;
  if (info.si_code == SI_USER || info.si_code == SI_TKILL || info.si_code == SI_QUEUE) {
    if (info.si_pid != armed.process) report.sender = info.si_pid;
  } else if (signal == SIGSYS && info.si_code > 0) {
    report.address = static_cast<std::uint64_t>(info.si_syscall);
    report.flags |= CrashReport::has_address;
  } else if ((signal == SIGSEGV || signal == SIGBUS) && info.si_code > 0 &&
             info.si_code != SI_KERNEL) {
    // SI_KERNEL: the processor does not tell an address that no page can have.
    report.address = reinterpret_cast<std::uintptr_t>(info.si_addr);
    report.flags |= CrashReport::has_address;
    if (signal == SIGSEGV && is_overflow(report.address, machine_of(context).stack, main_thread))
      report.flags |= CrashReport::overflow;
  }
  std::atomic_signal_fence(std::memory_order_release);
  report.state = CrashReport::is_written;
}

void write_stack(CrashReport& report, void* context) noexcept {
  watch_the_walk();
  if (::sigsetjmp(after_walk, 0) == 0) {
    armed.walking = 1;
    armed.walk(context, report);
  }
  armed.walking = 0;
}

void on_crash(int signal, siginfo_t* info, void* context) {
  // A fork of the worker has these handlers and the same memory, and no say in it.
  if (::getpid() != armed.process) return die_of(signal, info);
  pid_t first = 0;
  if (!armed.reporter.compare_exchange_strong(first, this_thread())) {
    if (first != this_thread()) {
      for (;;) ::pause();  // it ends this process
    }
    if (armed.walking != 0) ::siglongjmp(after_walk, 1);
    return die_of(signal, info);
  }
  armed.signal = signal;
  CrashReport& report = *armed.report;
  write_facts(report, signal, *info, context);
  write_stack(report, context);
  die_of(signal, info);
}

/// True if the signal now comes to us; it stays with whoever handles or ignores it.
bool take_over(int signal) noexcept {
  struct sigaction ours = {};
  ours.sa_sigaction = &on_crash;
  // Nothing is blocked, lest a second fault within the handler kill before it can be jumped from.
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  struct sigaction before;
  if (::sigaction(signal, &ours, &before) != 0) return false;
  const bool inherited = (before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction == &on_crash;
  const bool free = (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_DFL;
  if (free || inherited) return true;
  ::sigaction(signal, &before, nullptr);
  return false;
}

/// Written out: the table would be the only thing that a child reads in its page.
template <std::size_t... i>
void arm(CrashReport& report, std::index_sequence<i...> /*each*/) noexcept {
  ((report.armed |= take_over(reported_signals[i]) ? std::uint32_t{1} << reported_signals[i] : 0),
   ...);
}

void use_second_stack() noexcept {
  if (second_stack == nullptr) return;
  const stack_t ours{.ss_sp = second_stack, .ss_flags = 0, .ss_size = second_stack_bytes};
  stack_t before;
  if (::sigaltstack(&ours, &before) != 0) return;  // we are on one
  if ((before.ss_flags & SS_DISABLE) == 0 && before.ss_size >= small_stack)
    ::sigaltstack(&before, nullptr);
}

struct Walk {
  CrashReport& report;
  std::uint64_t from;
  bool found;
  int steps_left;
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* data) {
  auto& walk = *static_cast<Walk*>(data);
  if (--walk.steps_left <= 0) return _URC_NORMAL_STOP;
  const std::uint64_t address = _Unwind_GetIP(context);
  if (!walk.found) {  // still in the handler
    walk.found = address == walk.from;
    return _URC_NO_REASON;
  }
  if (address == 0) return _URC_NORMAL_STOP;
  return add(walk.report, address) ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

}  // namespace

std::optional<CrashReport> checked(CrashReport report) noexcept {
  if (report.state != CrashReport::is_written || report.signal <= 0 || report.signal > SIGRTMAX)
    return std::nullopt;
  if (report.frames > CrashReport::most_frames) report.frames = CrashReport::most_frames;
  return report;
}

bool is_missing(const CrashReport& report, int signal) noexcept {
  return report.state == CrashReport::is_armed && signal > 0 && signal < 32 &&
         (report.armed >> signal & 1) != 0;
}

void walk_stack(void* context, CrashReport& report) {
  const auto before = machine_of(context);
  add(report, before.counter);
  Walk walk{report, before.counter, false, most_steps};
  // A call to where no code is: the unwinder knows no way from there, but its caller's.
  const bool astray = report.has(CrashReport::has_address) && report.address == before.counter;
  if (astray) {
    const auto caller = returned(context);
    add(report, caller.counter);
    set_machine(context, caller);
    walk.from = caller.counter;
  }
  _Unwind_Backtrace(&visit, &walk);
  if (astray) set_machine(context, before);
}

void prepare_crash_reports(const ForkLock& /*held*/) noexcept {
  if (second_stack != nullptr) return;
  // Never freed: signals may come until the end. Without it, an overflow is not reported.
  second_stack = ::new (std::nothrow) char[second_stack_bytes];
  CrashReport nobodys;
  Walk walk{nobodys, 0, true, most_steps};
  _Unwind_Backtrace(&visit, &walk);
}

void arm_crash_report(CrashReport& report, StackWalk walk) noexcept {
  report = CrashReport{};
  if (injected_fault(Call::arm_report) != 0) return;
  armed.report = &report;
  armed.walk = walk;
  armed.process = ::getpid();
  armed.base = static_cast<const char*>(__builtin_frame_address(0));
  armed.reporter.store(0, std::memory_order_relaxed);
  armed.walking = 0;
  use_second_stack();
  arm(report, std::make_index_sequence<std::size(reported_signals)>{});
  report.state = CrashReport::is_armed;
}

}  // namespace apalis::detail::sys
