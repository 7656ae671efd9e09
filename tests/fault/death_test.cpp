// SPDX-License-Identifier: BSL-1.0
// What is told of a worker that died: each way of dying, by its own words.
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <apalis/detail/channel/layout.hpp>
#include <array>
#include <cinttypes>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::WorkerDied;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Workers made in its scope have no handlers of the test framework's or a sanitizer's.
class PlainSignals {
 public:
  PlainSignals() {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      struct sigaction plain = {};
      plain.sa_handler = SIG_DFL;
      ::sigaction(numbers[i], &plain, &before_[i]);
    }
  }
  ~PlainSignals() {
    for (std::size_t i = 0; i < numbers.size(); ++i)
      ::sigaction(numbers[i], &before_[i], nullptr);
  }
  PlainSignals(const PlainSignals&) = delete;
  PlainSignals& operator=(const PlainSignals&) = delete;

 private:
  static constexpr std::array numbers{SIGSEGV, SIGBUS, SIGILL,  SIGFPE,
                                      SIGABRT, SIGSYS, SIGTRAP, SIGTERM};
  std::array<struct sigaction, numbers.size()> before_{};
};

// Each crashes in a function of its own name, which has something left to do and so stays on the
// stack.
volatile int afterwards = 0;
volatile bool deeper = true;
volatile std::uintptr_t nowhere = 16;  // as inaccessible as 0, and not looked for by sanitizers

[[gnu::noinline]] void touch_nowhere() {
  afterwards = *reinterpret_cast<volatile int*>(std::uintptr_t{nowhere}) + 1;
}
[[gnu::noinline]] int dig(volatile char* above) {
  volatile char frame[512];
  frame[0] = above == nullptr ? char{0} : above[0];
  return deeper ? dig(frame) + frame[0] : 0;
}
[[gnu::noinline]] void jump_into_nothing() {
  auto* volatile nothing = reinterpret_cast<int (*)()>(std::uintptr_t{nowhere});
  afterwards = nothing() + 1;
}
[[gnu::noinline]] void throw_in_a_thread() {
  throw std::runtime_error("nobody catches this");
}
[[gnu::noinline]] void give_up() {
  if (deeper) std::abort();
  afterwards = 1;
}
[[gnu::noinline]] void read_a_shortened_file() {
  const int file = ::memfd_create("short", MFD_CLOEXEC);
  if (::ftruncate(file, 4096) != 0) return;
  const auto* bytes = static_cast<volatile char*>(
      ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0));
  if (::ftruncate(file, 0) != 0) return;
  afterwards = bytes[0] + 1;
}
[[gnu::noinline]] void run_no_instruction() {
  if (deeper) __builtin_trap();
  afterwards = 1;
}
__attribute__((noinline, no_sanitize("undefined"))) void divide_by_zero() {
  volatile int zero = 0;
  volatile int number = 100;
  afterwards = number / zero;
}

struct Subject {
  int count = 0;
  int add() { return ++count; }
};

/// Has a worker die in this way and returns what is told. Pointers to functions do not cross: the
/// worker has `way` by its fork.
struct Doomed {
  void (*way)();
  int go() {
    way();
    return afterwards;
  }
};

struct Told {
  WorkerDied error;
  pid_t pid;
};

Told death_by(void (*way)()) {
  const PlainSignals plain;
  Handler<Doomed> h{Doomed{way}};
  const pid_t pid = h.pid();
  try {
    h.call<&Doomed::go>().get();
  } catch (const WorkerDied& e) {
    return {e, pid};
  }
  throw std::runtime_error("it survived");
}

bool names(const WorkerDied& e, const std::string& function) {
  return std::any_of(e.stack().begin(), e.stack().end(), [&](const std::string& frame) {
    return frame.find(function) != std::string::npos;
  });
}

void check_signal(const Told& told, int signal) {
  INFO(told.error.what());
  for (const auto& frame : told.error.stack()) UNSCOPED_INFO(frame);
  CHECK(told.error.signal() == signal);
  CHECK(told.error.exit_status() == -1);
  CHECK(told.error.pid() == told.pid);
  CHECK_THAT(told.error.call(), ContainsSubstring("Doomed::go"));
  const std::string what = told.error.what();
  CHECK(what.find('\n') == std::string::npos);
  CHECK_THAT(what, ContainsSubstring(told.error.hint()));
}

void check_crash(const Told& told, int signal, const std::string& function) {
  check_signal(told, signal);
  for (const auto& frame : told.error.stack()) UNSCOPED_INFO(frame);
  CHECK(names(told.error, function));
  CHECK(names(told.error, "Doomed::go"));
}

}  // namespace

TEST_CASE("a bad access is told with address, function and stack", "[death]") {
  const auto told = death_by(&touch_nowhere);
  check_crash(told, SIGSEGV, "touch_nowhere");
  CHECK(told.error.hint() == "at address 0x10");
  CHECK_THAT(told.error.stack().at(0), ContainsSubstring("touch_nowhere"));
  CHECK_THAT(told.error.what(), ContainsSubstring("touch_nowhere"));
}

TEST_CASE("a stack overflow is told as such", "[death]") {
  const auto told = death_by([] { afterwards = dig(nullptr); });
  check_signal(told, SIGSEGV);
  CHECK_THAT(told.error.hint(), ContainsSubstring("stack overflow"));
  CHECK(names(told.error, "dig"));
}

TEST_CASE("a thread that overflows its own stack is told without a stack", "[death]") {
  const auto told = death_by([] { std::thread{[] { afterwards = dig(nullptr); }}.join(); });
  check_signal(told, SIGSEGV);
  if (under_sanitizer) return;  // which gives each thread a second stack
  CHECK_THAT(told.error.hint(), ContainsSubstring("overflows its own stack"));
  CHECK(told.error.stack().empty());
}

TEST_CASE("a call to where no code is names its caller", "[death]") {
  const auto told = death_by(&jump_into_nothing);
  check_crash(told, SIGSEGV, "jump_into_nothing");
  CHECK_THAT(told.error.what(), ContainsSubstring("at address 0x10, in ") &&
                                    ContainsSubstring("jump_into_nothing"));
  CHECK(told.error.hint() == "at address 0x10");
}

TEST_CASE("abort is told with its caller", "[death]") {
  check_crash(death_by(&give_up), SIGABRT, "give_up");
}

TEST_CASE("an exception that leaves a thread is told with its thrower", "[death]") {
  const auto told = death_by([] { std::thread{&throw_in_a_thread}.join(); });
  check_signal(told, SIGABRT);
  CHECK_THAT(told.error.hint(), ContainsSubstring("in thread"));
  CHECK(names(told.error, "throw_in_a_thread"));
}

TEST_CASE("a file that was shortened is told as such", "[death]") {
  const auto told = death_by(&read_a_shortened_file);
  check_crash(told, SIGBUS, "read_a_shortened_file");
  CHECK_THAT(told.error.hint(), ContainsSubstring("end of a mapped file"));
}

TEST_CASE("an instruction that is none is told as such", "[death]") {
#if defined(__x86_64__)
  const auto told = death_by(&run_no_instruction);
  check_crash(told, SIGILL, "run_no_instruction");
  CHECK_THAT(told.error.hint(), ContainsSubstring("no instruction"));
#endif
}

TEST_CASE("a division by zero is told as such", "[death]") {
#if defined(__x86_64__)
  const auto told = death_by(&divide_by_zero);
  check_crash(told, SIGFPE, "divide_by_zero");
  CHECK(told.error.hint() == "integer division by zero");
#endif
}

TEST_CASE("SIGKILL and exit leave no stack and no guess", "[death]") {
  const auto killed = death_by([] { ::raise(SIGKILL); });
  check_signal(killed, SIGKILL);
  CHECK(killed.error.hint().empty());
  CHECK(killed.error.stack().empty());

  const auto ended = death_by([] { std::exit(3); });
  CHECK(ended.error.signal() == 0);
  CHECK(ended.error.exit_status() == 3);
  CHECK(ended.error.pid() == ended.pid);
  CHECK(ended.error.hint().empty());
  CHECK(ended.error.stack().empty());
}

TEST_CASE("a fatal signal from outside is told with its sender", "[death]") {
  const PlainSignals plain;
  Handler<Subject> h;
  CHECK(h.call(&Subject::add).get() == 1);
  const Watched worker(h.pid());
  worker.signal(SIGBUS);
  REQUIRE(worker.ends());
  try {
    h.call(&Subject::add).get();
    FAIL("it survived");
  } catch (const WorkerDied& e) {
    CHECK(e.signal() == SIGBUS);
    CHECK(e.call().empty());
    CHECK(e.hint() == "sent by process " + std::to_string(::getpid()));
    CHECK_FALSE(e.stack().empty());
  }
}

TEST_CASE("a handler of the object's own has its signal", "[death]") {
  const auto told = death_by([] {
    ::signal(SIGSEGV, [](int) { ::_exit(9); });
    touch_nowhere();
  });
  CHECK(told.error.exit_status() == 9);
  CHECK(told.error.stack().empty());
}

TEST_CASE("handlers that the program has already are kept by its workers", "[death]") {
  const PlainSignals plain;
  ::signal(SIGSEGV, [](int) { ::_exit(8); });
  Handler<Doomed> h{Doomed{&touch_nowhere}};
  try {
    h.call(&Doomed::go).get();
    FAIL("it survived");
  } catch (const WorkerDied& e) {
    CHECK(e.exit_status() == 8);
  }
}

TEST_CASE("a fork of the worker that crashes is not told of", "[death]") {
  const auto told = death_by([] {
    if (::fork() == 0) touch_nowhere();
    int status = 0;
    (void)::wait(&status);
    ::_exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 7 : 1);
  });
  CHECK(told.error.exit_status() == 7);
  CHECK(told.error.stack().empty());
}

TEST_CASE("a worker of a worker that crashes is told of to the middle one", "[death]") {
  struct Middle {
    std::string ask() {
      Handler<Doomed> inner{Doomed{&touch_nowhere}};
      try {
        inner.call(&Doomed::go).get();
        return "it survived";
      } catch (const WorkerDied& e) {
        return std::string(e.what()) + (names(e, "touch_nowhere") ? "" : " without a stack");
      }
    }
  };
  const PlainSignals plain;
  Handler<Middle> h;
  const auto words = h.call(&Middle::ask).get();
  CHECK_THAT(words, ContainsSubstring("at address 0x10, in "));
  CHECK_THAT(words, !ContainsSubstring("without a stack"));
  CHECK(h.alive());
}

namespace {

/// A control group with little memory, below one that the caller of the tests allows: a test must
/// not rearrange a machine's groups unasked.
class TightGroup {
 public:
  explicit TightGroup(const std::string& parent)
      : folder_(parent + "/apalis-test-" + std::to_string(::getpid())) {
    write(parent + "/cgroup.subtree_control", "+memory");  // version 2
    if (::mkdir(folder_.c_str(), 0755) != 0) throw std::runtime_error("no group at " + folder_);
    write(folder_ + "/memory.max", limit);
    write(folder_ + "/memory.swap.max", "0");
    write(folder_ + "/memory.limit_in_bytes", limit);  // version 1
    write(folder_ + "/memory.memsw.limit_in_bytes", limit);
  }
  ~TightGroup() { ::rmdir(folder_.c_str()); }
  TightGroup(const TightGroup&) = delete;
  TightGroup& operator=(const TightGroup&) = delete;

  /// Moves the calling process there.
  void enter() const { write(folder_ + "/cgroup.procs", std::to_string(::getpid())); }

 private:
  static constexpr const char* limit = "67108864";

  /// What a version of the interface lacks is not made.
  static void write(const std::string& path, const std::string& text) {
    if (::access(path.c_str(), W_OK) == 0) std::ofstream(path) << text;
  }
  std::string folder_;
};

struct Hungry {
  int eat() {
    constexpr std::size_t bite = std::size_t{1} << 20;
    for (int i = 0; i < 256; ++i) {
      auto* bytes = static_cast<volatile char*>(std::malloc(bite));
      for (std::size_t at = 0; at < bite; at += 4096) bytes[at] = 1;
    }
    return 0;
  }
};

}  // namespace

TEST_CASE("a victim of the out-of-memory killer is told as such", "[death]") {
  const char* parent = std::getenv("APALIS_TEST_CGROUP");
  if (parent == nullptr) {
    WARN("skipped: APALIS_TEST_CGROUP names no memory control group to make another one in");
    return;
  }
  const TightGroup group(parent);
  Host host([&](Host::Side&) {
    group.enter();
    Handler<Hungry> h;
    try {
      h.call(&Hungry::eat).get();
      expect(false, "the group's limit does not hold");
    } catch (const WorkerDied& e) {
      expect(e.signal() == SIGKILL, e.what());
      expect(e.hint().find("most likely the kernel's out-of-memory killer") == 0, e.what());
    }
    return 0;
  });
  CHECK(host.status() == 0);
}

namespace {

/// In a worker: its own report.
apalis::detail::sys::CrashReport& own_report() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &first, &last, access) == 3 &&
        line.find("memfd:apalis") != std::string::npos && access[1] == 'w' &&
        last - first == apalis::detail::channel::slice_bytes)
      return reinterpret_cast<apalis::detail::channel::ControlPage*>(first)->crash;
  }
  std::_Exit(55);
}

struct Liar {
  int lie(unsigned seed, int signal) {
    std::mt19937 random{seed};
    auto& report = own_report();
    std::uint32_t words[sizeof report / 4];
    for (auto& word : words) word = static_cast<std::uint32_t>(random());
    words[0] = report.is_written;
    words[2] = static_cast<std::uint32_t>(signal);
    if (seed % 3 == 0) words[7] = report.most_frames;
    std::memcpy(&report, words, sizeof report);
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return 0;
  }
};

}  // namespace

TEST_CASE("a worker that lies about its end hurts nobody", "[death]") {
  for (unsigned seed = 0; seed < 40; ++seed) {
    Handler<Liar> h;
    try {
      h.call(&Liar::lie, seed, seed % 2 == 0 ? SIGTERM : SIGABRT).get();
      FAIL("it survived");
    } catch (const WorkerDied& e) {
      REQUIRE(e.signal() == (seed % 2 == 0 ? SIGTERM : SIGABRT));
      REQUIRE(e.stack().size() <= apalis::detail::sys::CrashReport::most_frames);
      REQUIRE(std::strlen(e.what()) < 2'000);
    }
  }
}
