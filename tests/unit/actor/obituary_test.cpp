// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/actor/obituary.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/error.hpp>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/catch.hpp"

namespace sys = apalis::detail::sys;
using apalis::WorkerDied;
using apalis::detail::actor::Death;
using apalis::detail::actor::obituary;
using Catch::Matchers::ContainsSubstring;
using sys::CrashReport;

namespace {

WorkerDied told(Death death) {
  try {
    std::rethrow_exception(obituary(std::move(death)));
  } catch (const WorkerDied& e) {
    return e;
  }
}

sys::ExitStatus killed_by(int signal) { return {.known = true, .status = 0, .signal = signal}; }

CrashReport crash_of(int signal, int code) {
  CrashReport report;
  report.state = CrashReport::is_written;
  report.signal = signal;
  report.code = code;
  return report;
}

Death death_of(int signal, const CrashReport& report = {}) {
  Death death;
  death.worker = "w";
  death.pid = 42;
  death.status = killed_by(signal);
  death.report = report;
  return death;
}

std::string hint_of(int signal, int code, std::uint32_t flags = 0) {
  auto report = crash_of(signal, code);
  report.flags = flags;
  report.address = 0x10;
  return told(death_of(signal, report)).hint();
}

std::shared_ptr<const sys::ModuleMap> loaded() { return sys::loaded_modules(sys::lock_forks()); }

/// A counter of out-of-memory kills in a file.
class Counter {
 public:
  explicit Counter(bool of_group) : of_group_(of_group) {
    if (::mkdtemp(folder_) == nullptr) throw std::runtime_error("mkdtemp");
    if (of_group_) std::ofstream(path("groups")) << "0::/\n";
    set(5);
  }
  ~Counter() {
    for (const char* name : {"groups", "memory.events", "vmstat"}) ::unlink(path(name).c_str());
    ::rmdir(folder_);
  }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  void set(int kills) const {
    std::ofstream(path(of_group_ ? "memory.events" : "vmstat")) << "oom_kill " << kills << '\n';
  }
  [[nodiscard]] sys::OomFiles files() const {
    return {.groups = path("groups"), .root = folder_, .machine = path("vmstat")};
  }

 private:
  [[nodiscard]] std::string path(const char* name) const {
    return std::string(folder_) + "/" + name;
  }
  char folder_[28] = "/tmp/apalis-obituary-XXXXXX";
  bool of_group_;
};

}  // namespace

TEST_CASE("a death by a signal names it, the process and the call", "[obituary]") {
  auto death = death_of(SIGKILL);
  death.call = "Counter::add";
  const auto e = told(std::move(death));
  CHECK(e.pid() == 42);
  CHECK(e.signal() == SIGKILL);
  CHECK(e.exit_status() == -1);
  CHECK(e.call() == "Counter::add");
  CHECK(e.hint().empty());
  CHECK(e.stack().empty());
  CHECK(std::string(e.what()) ==
        "apalis: worker 'w' (pid 42) was killed by signal 9 (SIGKILL) during Counter::add");
}

TEST_CASE("a death by exit names the status", "[obituary]") {
  auto death = death_of(0);
  death.status = {.known = true, .status = 3};
  const auto e = told(std::move(death));
  CHECK(e.signal() == 0);
  CHECK(e.exit_status() == 3);
  CHECK(std::string(e.what()) == "apalis: worker 'w' (pid 42) exited with status 3");
}

TEST_CASE("a death that somebody else reaped is told by the worker's own account", "[obituary]") {
  auto death = death_of(0, crash_of(SIGSEGV, SEGV_MAPERR));
  death.status = {};
  death.report.flags = CrashReport::has_address;
  const auto e = told(std::move(death));
  CHECK(e.signal() == 0);
  CHECK(e.exit_status() == -1);
  CHECK_THAT(e.hint(), ContainsSubstring("SIGSEGV"));
  CHECK_THAT(e.hint(), ContainsSubstring("at address 0x0"));
}

TEST_CASE("the hint says what made the signal", "[obituary]") {
  constexpr auto address = CrashReport::has_address;
  CHECK(hint_of(SIGSEGV, SEGV_MAPERR, address) == "at address 0x10");
  CHECK(hint_of(SIGSEGV, SEGV_ACCERR, address) == "forbidden access at address 0x10");
  CHECK(hint_of(SIGSEGV, SI_KERNEL) == "access to an impossible address");
  CHECK(hint_of(SIGSEGV, SEGV_MAPERR, address | CrashReport::overflow) ==
        "stack overflow at address 0x10");
  CHECK(hint_of(SIGFPE, FPE_INTDIV) == "integer division by zero");
  CHECK(hint_of(SIGBUS, BUS_ADRERR, address) ==
        "access beyond the end of a mapped file at address 0x10");
  CHECK(hint_of(SIGSYS, 1, address) == "system call 16 refused");
  CHECK(hint_of(SIGABRT, SI_TKILL).empty());
  CHECK(hint_of(SIGILL, SI_USER).empty());

  auto report = crash_of(SIGABRT, SI_USER);
  report.sender = 7;
  report.thread = 43;
  report.flags = CrashReport::other_thread;
  CHECK(told(death_of(SIGABRT, report)).hint() ==
        "sent by process 7, in thread 43 of the worker");
}

TEST_CASE("a report of another end is not believed", "[obituary]") {
  auto report = crash_of(SIGSEGV, SEGV_MAPERR);
  report.flags = CrashReport::has_address;
  report.frames = 1;
  auto death = death_of(SIGKILL, report);
  const auto map = loaded();
  death.code = map.get();
  const auto e = told(std::move(death));
  CHECK(e.hint().empty());
  CHECK(e.stack().empty());
}

TEST_CASE("a death that should have left a report says why it may not have", "[obituary]") {
  CrashReport report;
  report.state = CrashReport::is_armed;
  report.armed = 1U << SIGSEGV;
  CHECK_THAT(told(death_of(SIGSEGV, report)).hint(), ContainsSubstring("its own stack"));
  CHECK(told(death_of(SIGBUS, report)).hint().empty());
  CHECK(told(death_of(SIGKILL, report)).hint().empty());
}

TEST_CASE("the stack is in words, its top in the message", "[obituary]") {
  auto report = crash_of(SIGSEGV, SEGV_MAPERR);
  report.flags = CrashReport::has_address;
  report.stack[0] = reinterpret_cast<std::uintptr_t>(&std::qsort) + 1;
  report.stack[1] = 0x10;
  report.frames = 2;
  auto death = death_of(SIGSEGV, report);
  const auto map = loaded();
  death.code = map.get();
  const auto e = told(std::move(death));
  REQUIRE(e.stack().size() == 2);
  CHECK_THAT(e.stack()[0], ContainsSubstring("qsort+0x1"));
  CHECK(e.stack()[1] == "0x10");
  CHECK_THAT(e.what(), ContainsSubstring("at address 0x0, in "));
  CHECK_THAT(e.what(), ContainsSubstring("qsort"));
  CHECK(std::string(e.what()).find('\n') == std::string::npos);
}

TEST_CASE("an unexplained SIGKILL is held against the out-of-memory killer", "[obituary]") {
  const bool of_group = GENERATE(true, false);
  const Counter counter{of_group};
  sys::OomWatch watch{counter.files()};
  auto death = death_of(SIGKILL);
  death.oom = &watch;
  CHECK(told(death).hint().empty());
  counter.set(6);

  auto ours = death;
  ours.killed_by_us = true;
  ours.reason = "Handler::kill() was called";
  CHECK(told(ours).hint() == "Handler::kill() was called");
  auto other = death;
  other.status = killed_by(SIGTERM);
  CHECK(told(other).hint().empty());

  const auto hint = told(death).hint();
  CHECK_THAT(hint, ContainsSubstring("out-of-memory killer"));
  CHECK_THAT(hint, ContainsSubstring(of_group ? "most likely" : "perhaps"));
  CHECK(told(death).hint().empty());  // one kill, one victim
}

TEST_CASE("a report of hostile bytes is words or nothing", "[obituary]") {
  std::mt19937 random{11};
  const auto map = loaded();
  for (int round = 0; round < 2'000; ++round) {
    std::uint32_t words[sizeof(CrashReport) / 4];
    for (auto& word : words) word = static_cast<std::uint32_t>(random());
    words[0] = round % 3 == 0 ? CrashReport::is_armed : CrashReport::is_written;
    words[2] = static_cast<std::uint32_t>(round % 66);
    auto death = death_of(round % 66);
    if (round % 2 == 0) death.status = {};
    if (round % 20 == 0) death.code = map.get();
    std::memcpy(&death.report, words, sizeof death.report);
    const auto e = told(std::move(death));
    REQUIRE(e.stack().size() <= CrashReport::most_frames);
    REQUIRE(std::strlen(e.what()) < 2'000);
  }
}
