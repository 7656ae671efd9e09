// SPDX-License-Identifier: BSL-1.0
// A kernel that refuses: a clear SystemError, nothing leaked, and all is well once it relents.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <apalis/detail/sys/fault.hpp>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::SystemError;
namespace sys = apalis::detail::sys;

namespace {

struct Subject {
  int total = 0;
  int add(int x) { return total += x; }
  std::size_t length(const std::string& s) const { return s.size(); }
  int die() {
    ::raise(SIGKILL);
    return 0;
  }
};

// What the kernel refuses while a Refusal lives; children made meanwhile inherit it.
sys::Call refused_call;
int refused_errno = 0;
int refusals = 0;

class Refusal {
 public:
  Refusal(sys::Call call, int error) {
    refused_call = call;
    refused_errno = error;
    refusals = 0;
    sys::set_fault_hook([](sys::Call c) noexcept {
      if (c != refused_call) return 0;
      ++refusals;
      return refused_errno;
    });
  }
  ~Refusal() { sys::set_fault_hook(nullptr); }
  Refusal(const Refusal&) = delete;
  Refusal& operator=(const Refusal&) = delete;
};

void expect_working() {
  Handler<Subject> h;
  for (int i = 1; i <= 10; ++i) expect(h.call(&Subject::add, 1).get() == i, "a wrong result");
  expect(h.call(&Subject::length, std::string(3'000'000, 'x')).get() == 3'000'000, "a wrong size");
  h.close();
}

void expect_no_children() {
  expect(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD, "a child was left");
}

// One attempt under the refusal: true if it was refused properly, false if it worked.
bool refused_properly(int error) {
  try {
    expect_working();
    return false;
  } catch (const SystemError& e) {
    expect(e.code() == error, "SystemError has another code");
    expect(std::string(e.what()).size() > 30, "SystemError says too little");
    return true;
  }
}

// In a fresh process, where not even the library's own reservation exists, and in a warm one.
void check_refusal(sys::Call call, int error, bool must_fail_when_fresh) {
  for (const bool warm : {false, true}) {
    CAPTURE(warm);
    Host host([&](Host::Side&) {
      if (warm) expect_working();
      std::size_t descriptors = 0;
      {
        const Refusal refusal(call, error);
        for (int attempt = 0; attempt < 10; ++attempt) {
          const bool refused = refused_properly(error);
          expect(!must_fail_when_fresh || warm || refused, "the refusal went unnoticed");
          expect_no_children();
          if (attempt == 1) descriptors = open_descriptors();
        }
        expect(open_descriptors() == descriptors, "a descriptor leaks with each attempt");
      }
      expect_working();
      expect_no_children();
      expect_working();
      return 0;
    });
    CHECK(host.status() == 0);
  }
}

}  // namespace

TEST_CASE("fork refused", "[refusals]") {
  check_refusal(sys::Call::fork, EAGAIN, true);
}

TEST_CASE("memfd_create refused", "[refusals]") {
  check_refusal(sys::Call::memfd_create, EMFILE, true);
}

TEST_CASE("ftruncate refused", "[refusals]") {
  check_refusal(sys::Call::ftruncate, ENOSPC, true);
}

TEST_CASE("mmap refused", "[refusals]") {
  check_refusal(sys::Call::mmap, ENOMEM, true);
}

TEST_CASE("pages for shared memory refused", "[refusals]") {
  check_refusal(sys::Call::back, ENOMEM, true);
}

TEST_CASE("the parent's pipe refused", "[refusals]") {
  check_refusal(sys::Call::pipe, EMFILE, true);
}

TEST_CASE("sealing refused", "[refusals]") {
  check_refusal(sys::Call::seal, EPERM, false);
}

TEST_CASE("hiding the other slices refused", "[refusals]") {
  check_refusal(sys::Call::hide, ENOMEM, false);
}

TEST_CASE("giving pages back refused", "[refusals]") {
  check_refusal(sys::Call::discard, EINVAL, false);
}

TEST_CASE("what is only better with the kernel's help works without it", "[refusals]") {
  const auto call = GENERATE(sys::Call::pidfd_open, sys::Call::watch_parent, sys::Call::membarrier);
  CAPTURE(static_cast<int>(call));
  Host host([&](Host::Side&) {
    const Refusal refusal(call, ENOSYS);
    expect_working();
    Handler<Subject> doomed;
    auto t = doomed.call(&Subject::die);
    expect(t.wait_for(std::chrono::milliseconds(patience_ms)), "the death goes unnoticed");
    try {
      t.get();
      return 1;
    } catch (const apalis::WorkerDied& e) {
      expect(e.signal() == SIGKILL, "the status got lost");
    }
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a sleeping child ends with its parent even where the watch was refused", "[refusals]") {
  const auto call = GENERATE(sys::Call::watch_parent, sys::Call::pidfd_open);
  CAPTURE(static_cast<int>(call));
  Host host([&](Host::Side& side) {
    const Refusal refusal(call, EPERM);
    Handler<Subject> h;
    h.call(&Subject::add, 1).get();
    side.tell(h.pid());
    side.wait_for_test();
    return 0;
  });
  const Watched worker(host.hear<pid_t>());
  host.kill();
  CHECK(worker.ends());
}

TEST_CASE("pages refused in mid-life fail the large message and nothing else", "[refusals]") {
  Host host([](Host::Side&) {
    Handler<Subject> h;
    expect(h.call(&Subject::add, 1).get() == 1, "a wrong result");
    {
      const Refusal refusal(sys::Call::back, ENOMEM);
      try {
        expect(h.call(&Subject::length, std::string(50'000'000, 'x')).get() == 50'000'000, "size");
      } catch (const SystemError& e) {
        expect(e.code() == ENOMEM, "SystemError has another code");
      }
      expect(h.call(&Subject::add, 1).get() == 2, "small calls must go on");
    }
    expect(h.call(&Subject::length, std::string(50'000'000, 'x')).get() == 50'000'000, "size");
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("an option that names a core the process may not use is a SystemError", "[refusals]") {
  try {
    Handler<Subject> h{{.cpu = 100'000}, std::in_place, 0};
    FAIL("it was accepted");
  } catch (const SystemError& e) {
    CHECK(e.code() == EINVAL);
    CHECK(std::string(e.what()).find("100000") != std::string::npos);
  }
  const sys::FaultHook none = nullptr;
  {
    const Refusal refusal(sys::Call::set_affinity, EINVAL);
    CHECK_THROWS_AS((Handler<Subject>{{.cpu = 0}, std::in_place, 0}), SystemError);
  }
  CHECK(sys::set_fault_hook(nullptr) == none);
}

TEST_CASE("a user's limit of processes is a SystemError of fork", "[refusals]") {
  Host host([](Host::Side&) {
    // Root is above this limit: the host becomes somebody without any process.
    if (::getuid() == 0) expect(::setuid(54'321) == 0, "setuid");
    rlimit limit{};
    expect(::getrlimit(RLIMIT_NPROC, &limit) == 0, "getrlimit");
    const rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = 0;
    expect(::setrlimit(RLIMIT_NPROC, &limit) == 0, "setrlimit");
    for (int i = 0; i < 3; ++i) {
      expect(refused_properly(EAGAIN), "fork was not refused");
      expect_no_children();
    }
    limit.rlim_cur = soft;
    expect(::setrlimit(RLIMIT_NPROC, &limit) == 0, "setrlimit");
    expect_working();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("no descriptor left is a SystemError or does without", "[refusals]") {
  if (under_sanitizer) return;
  const bool warm = GENERATE(false, true);
  CAPTURE(warm);
  Host host([&](Host::Side&) {
    if (warm) expect_working();
    for (int spare = 0; spare < 4; ++spare) {
      const std::size_t before = open_descriptors();
      rlimit limit{};
      expect(::getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
      const rlim_t soft = limit.rlim_cur;
      // Every number below the limit is taken, save `spare` of them.
      const int lowest_free = ::dup(0);
      expect(lowest_free >= 0, "dup");
      ::close(lowest_free);
      limit.rlim_cur = static_cast<rlim_t>(lowest_free) + static_cast<rlim_t>(spare);
      expect(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
      for (int attempt = 0; attempt < 3; ++attempt) {
        const bool refused = refused_properly(EMFILE);
        expect(warm || spare > 0 || refused, "made without any descriptor");
        expect_no_children();
      }
      limit.rlim_cur = soft;
      expect(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
      // At most what the library keeps for the process: its memory and its pipe.
      expect(open_descriptors() <= before + (warm ? 0 : 3), "a descriptor leaks");
    }
    expect_working();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a limit of address space leaves room for small programs", "[refusals]") {
  if (under_sanitizer) return;
  Host host([](Host::Side&) {
    rlimit limit{};
    expect(::getrlimit(RLIMIT_AS, &limit) == 0, "getrlimit");
    std::size_t pages = 0;
    std::FILE* statm = std::fopen("/proc/self/statm", "r");
    expect(statm != nullptr && std::fscanf(statm, "%zu", &pages) == 1, "statm");
    std::fclose(statm);
    limit.rlim_cur =
        static_cast<rlim_t>(pages) * static_cast<rlim_t>(::getpagesize()) + (rlim_t{256} << 20);
    expect(::setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
    expect_working();
    return 0;
  });
  CHECK(host.status() == 0);
}

TEST_CASE("a worker that runs out of memory answers with bad_alloc", "[refusals]") {
  if (under_sanitizer) return;
  Host host([](Host::Side&) {
    Handler<Subject> h;
    auto t = h.call([](Subject&) {
      rlimit limit{};
      ::getrlimit(RLIMIT_AS, &limit);
      limit.rlim_cur = 1 << 20;  // less than it has: every further mapping fails
      ::setrlimit(RLIMIT_AS, &limit);
      std::vector<std::vector<char>> hoard;
      for (;;) hoard.emplace_back(100'000'000);
    });
    expect(t.wait_for(std::chrono::milliseconds(patience_ms)), "no answer");
    try {
      t.get();
      return 1;
    } catch (const std::bad_alloc&) {
    }
    expect(h.call(&Subject::add, 1).get() == 1, "the worker must go on");
    return 0;
  });
  CHECK(host.status() == 0);
}
