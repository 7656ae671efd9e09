// SPDX-License-Identifier: BSL-1.0
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/detail/sys/code_names.hpp>
#include <apalis/detail/sys/crash_report.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <random>
#include <span>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::fine;
using apalis::test::Pipe;
using apalis::test::start_child;
using sys::CrashReport;

namespace {

std::string killed_by(int signal) { return "killed by signal " + std::to_string(signal); }

/// A report in memory that a fork shares.
class SharedReport {
 public:
  SharedReport()
      : report_(::new (::mmap(nullptr, sizeof(CrashReport), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0)) CrashReport) {}
  ~SharedReport() { ::munmap(report_, sizeof(CrashReport)); }
  SharedReport(const SharedReport&) = delete;
  SharedReport& operator=(const SharedReport&) = delete;
  [[nodiscard]] CrashReport& operator*() const { return *report_; }

 private:
  CrashReport* report_;
};

struct Crash {
  std::string end;
  CrashReport report;
};

/// Runs `body` in a child that is armed.
Crash crash(const std::function<void()>& body, sys::StackWalk walk = &sys::walk_stack) {
  sys::prepare_crash_reports(sys::lock_forks());
  const SharedReport shared;
  const auto end = end_of(start_child([&] {
    sys::arm_crash_report(*shared, walk);
    body();
  }));
  return {end, *shared};
}

bool names(const CrashReport& report, const std::string& function) {
  const auto stack = sys::code_names(std::span{report.stack, report.frames},
                                     *sys::loaded_modules(sys::lock_forks()));
  return std::any_of(stack.begin(), stack.end(), [&](const sys::CodeName& name) {
    return name.function.find(function) != std::string::npos;
  });
}

// Not 0, which UndefinedBehaviorSanitizer looks for, but as inaccessible.
constexpr std::uintptr_t nowhere = 16;

[[gnu::noinline]] int touch(std::uintptr_t address) {
  return *reinterpret_cast<volatile int*>(address);
}
// With something left to do after the call, so that it is no jump.
volatile int afterwards = 0;
[[gnu::noinline]] void crash_by_touching() { afterwards = touch(nowhere) + 1; }

volatile bool deeper = true;
[[gnu::noinline]] int overflow_by_recursion(volatile char* above) {
  volatile char frame[256];
  frame[0] = above == nullptr ? char{0} : above[0];
  if (!deeper) return 0;
  return overflow_by_recursion(frame) + frame[0];
}

[[gnu::noinline]] void call_nothing(int (*function)()) { afterwards = function() + 1; }
[[gnu::noinline]] void call_into_nothing(int (*function)()) {
  call_nothing(function);
  afterwards = afterwards + 1;
}

bool is_written(const CrashReport& report) { return sys::checked(report).has_value(); }

}  // namespace

TEST_CASE("each fatal signal is reported and ends the process as before", "[crash_report]") {
  const int signal = GENERATE(SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP);
  const auto [end, report] = crash([&] { ::raise(signal); });
  CHECK(end == killed_by(signal));
  REQUIRE(is_written(report));
  CHECK(report.signal == signal);
  CHECK(report.code == SI_TKILL);
  CHECK(report.sender == 0);
  CHECK(report.flags == 0);
  CHECK(report.frames >= 3);
}

TEST_CASE("a bad access is reported with its address and place", "[crash_report]") {
  const auto [end, report] = crash([] { crash_by_touching(); });
  CHECK(end == killed_by(SIGSEGV));
  REQUIRE(is_written(report));
  CHECK(report.code == SEGV_MAPERR);
  CHECK(report.address == nowhere);
  CHECK(report.flags == CrashReport::has_address);
  CHECK(names(report, "touch"));
  CHECK(names(report, "crash_by_touching"));
}

TEST_CASE("an address that no page can have is not told by the processor", "[crash_report]") {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
  const auto [end, report] = crash([] { touch(std::uintptr_t{0x4141414141414141}); });
  CHECK(end == killed_by(SIGSEGV));
  REQUIRE(is_written(report));
  CHECK_FALSE(report.has(CrashReport::has_address));
  CHECK(names(report, "touch"));
#endif
}

TEST_CASE("a stack overflow is told from other bad accesses", "[crash_report]") {
  const auto [end, report] = crash([] { overflow_by_recursion(nullptr); });
  CHECK(end == killed_by(SIGSEGV));
  REQUIRE(is_written(report));
  CHECK(report.has(CrashReport::overflow));
  CHECK(report.frames == CrashReport::most_frames);
  CHECK(names(report, "overflow_by_recursion"));
}

TEST_CASE("a call to where no code is names its caller", "[crash_report]") {
  auto* volatile nothing = reinterpret_cast<int (*)()>(nowhere);
  const auto [end, report] = crash([&] { call_into_nothing(nothing); });
  CHECK(end == killed_by(SIGSEGV));
  REQUIRE(is_written(report));
  CHECK(report.stack[0] == nowhere);
  CHECK(report.address == nowhere);
  CHECK(names(report, "call_nothing"));
  CHECK(names(report, "call_into_nothing"));
}

TEST_CASE("a thread's crash is reported as such", "[crash_report]") {
  const auto [end, report] = crash([] { std::thread{[] { crash_by_touching(); }}.join(); });
  CHECK(end == killed_by(SIGSEGV));
  REQUIRE(is_written(report));
  CHECK(report.has(CrashReport::other_thread));
  CHECK(report.address == nowhere);
  CHECK(names(report, "crash_by_touching"));
}

TEST_CASE("threads that crash together leave one whole report", "[crash_report]") {
  for (int round = 0; round < 20; ++round) {
    const auto [end, report] = crash([] {
      std::atomic<int> here{0};
      const auto together = [&] {
        ++here;
        while (here < 4) {
        }
        crash_by_touching();
      };
      std::thread others[]{std::thread{together}, std::thread{together}, std::thread{together}};
      together();
    });
    CHECK(end == killed_by(SIGSEGV));
    REQUIRE(is_written(report));
    CHECK(names(report, "crash_by_touching"));
  }
}

TEST_CASE("who sent a fatal signal is reported", "[crash_report]") {
  const SharedReport shared;
  const Pipe armed;
  const pid_t pid = start_child([&] {
    sys::arm_crash_report(*shared);
    armed.put('a');
    for (;;) ::pause();
  });
  (void)armed.take();
  ::kill(pid, SIGBUS);
  CHECK(end_of(pid) == killed_by(SIGBUS));
  REQUIRE(is_written(*shared));
  CHECK((*shared).sender == ::getpid());
  CHECK((*shared).code == SI_USER);
}

TEST_CASE("a signal that has a handler is left to it, before and after", "[crash_report]") {
  const auto early = [] {
    const SharedReport shared;
    const auto end = end_of(start_child([&] {
      ::signal(SIGSEGV, [](int) { ::_exit(5); });
      ::signal(SIGBUS, SIG_IGN);
      sys::arm_crash_report(*shared);
      ::raise(SIGBUS);
      ::raise(SIGSEGV);
    }));
    return Crash{end, *shared};
  }();
  CHECK(early.end == "exit status 5");
  CHECK_FALSE(is_written(early.report));
  CHECK_FALSE(sys::is_missing(early.report, SIGSEGV));
  CHECK(sys::is_missing(early.report, SIGABRT));

  const auto [end, report] = crash([] {
    ::signal(SIGSEGV, [](int) { ::_exit(6); });
    ::raise(SIGSEGV);
  });
  CHECK(end == "exit status 6");
  CHECK_FALSE(is_written(report));
}

TEST_CASE("a fork of the process leaves no report in its name", "[crash_report]") {
  const auto [end, report] = crash([] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      crash_by_touching();
      ::_exit(1);
    }
    apalis::test::expect(end_of(pid) == killed_by(SIGSEGV), "the fork did not die as it would");
  });
  CHECK(end == fine);
  CHECK_FALSE(is_written(report));
}

TEST_CASE("a fork that arms has a report of its own", "[crash_report]") {
  const SharedReport own;
  const auto [end, report] = crash([&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      sys::arm_crash_report(*own);
      crash_by_touching();
      ::_exit(1);
    }
    apalis::test::expect(end_of(pid) == killed_by(SIGSEGV), "the fork did not die as it would");
  });
  CHECK(end == fine);
  CHECK_FALSE(is_written(report));
  REQUIRE(is_written(*own));
  CHECK(names(*own, "crash_by_touching"));
}

TEST_CASE("a walk that faults costs the stack and nothing else", "[crash_report]") {
  const auto [end, report] = crash([] { ::raise(SIGFPE); },
                                   [](void*, CrashReport&) { crash_by_touching(); });
  CHECK(end == killed_by(SIGFPE));
  REQUIRE(is_written(report));
  CHECK(report.signal == SIGFPE);
  CHECK(report.frames == 0);
}

TEST_CASE("a walk that does not end is ended", "[crash_report]") {
  const auto [end, report] = crash([] { ::raise(SIGFPE); },
                                   // In calls: ThreadSanitizer holds signals back between them.
                                   [](void*, CrashReport&) {
                                     for (;;) ::pause();
                                   });
  CHECK(end == killed_by(SIGFPE));
  CHECK(is_written(report));
}

TEST_CASE("a broken stack is walked as far as it goes", "[crash_report]") {
  // A thread whose stack holds nothing but noise.
  const auto [end, report] = crash([] {
    struct Noise {
      [[gnu::noinline]] static void spill() {
        auto* frame = static_cast<std::uintptr_t*>(__builtin_frame_address(0));
        frame[0] = 0x1234;
        frame[1] = 0x5678;
        ::raise(SIGABRT);
      }
    };
    Noise::spill();
  });
  CHECK(end == killed_by(SIGABRT));
  REQUIRE(is_written(report));
  CHECK(report.frames >= 1);
}

TEST_CASE("a host's second stack stays, a small one is replaced", "[crash_report]") {
  const std::size_t size = GENERATE(std::size_t{64} * 1024, std::size_t{8} * 1024);
  sys::prepare_crash_reports(sys::lock_forks());
  const auto [end, report] = [&] {
    const SharedReport shared;
    static char memory[64 * 1024];
    const auto how = end_of(start_child([&] {
      const stack_t hosts{.ss_sp = memory, .ss_flags = 0, .ss_size = size};
      apalis::test::expect(::sigaltstack(&hosts, nullptr) == 0, "no second stack");
      sys::arm_crash_report(*shared);
      stack_t now;
      ::sigaltstack(nullptr, &now);
      apalis::test::expect((now.ss_sp == memory) == (size == sizeof memory), "the wrong stack");
      overflow_by_recursion(nullptr);
    }));
    return Crash{how, *shared};
  }();
  CHECK(end == killed_by(SIGSEGV));
  REQUIRE(is_written(report));
  CHECK(report.has(CrashReport::overflow));
}

TEST_CASE("a report of hostile bytes is refused or in range", "[crash_report]") {
  std::mt19937 random{7};
  CHECK_FALSE(is_written(CrashReport{}));
  for (int round = 0; round < 20'000; ++round) {
    std::uint32_t words[sizeof(CrashReport) / 4];
    for (auto& word : words) word = static_cast<std::uint32_t>(random());
    if (round % 2 == 0) words[0] = CrashReport::is_written;
    if (round % 4 == 0) words[2] = static_cast<std::uint32_t>(random() % 100);
    CrashReport report;
    std::memcpy(&report, words, sizeof report);
    for (const int signal : {-1, 0, 11, 31, 32, 64, 1000}) (void)sys::is_missing(report, signal);
    const auto believed = sys::checked(report);
    if (!believed) continue;
    REQUIRE(believed->frames <= CrashReport::most_frames);
    REQUIRE((believed->signal > 0 && believed->signal <= SIGRTMAX));
    if (round % 400 == 0) (void)names(*believed, "nobody");
  }
  CrashReport report;
  report.state = CrashReport::is_written;
  report.signal = SIGSEGV;
  report.frames = 0xffffffff;
  REQUIRE(sys::checked(report).has_value());
  CHECK(sys::checked(report)->frames == CrashReport::most_frames);
  report.signal = -1;
  CHECK_FALSE(sys::checked(report).has_value());
}
