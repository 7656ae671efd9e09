// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/detail/sys/parent_watch.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <apalis/detail/sys/process.hpp>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <string>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using sys::Call;

namespace {

constexpr auto calls = static_cast<std::size_t>(sys::call_count);
std::array<std::atomic<int>, calls> asked{};

int count_call(Call call) noexcept {
  ++asked[static_cast<std::size_t>(call)];
  return 0;
}
int asked_for(Call call) {
  return asked[static_cast<std::size_t>(call)];
}

/// Installs the counting hook for a scope.
struct Counting {
  Counting() {
    for (auto& count : asked) count = 0;
    sys::set_fault_hook(count_call);
  }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
  ~Counting() { sys::set_fault_hook(nullptr); }
};

int always_eperm(Call) noexcept {
  return EPERM;
}

}  // namespace

TEST_CASE("without a hook every call goes through", "[fault]") {
  for (std::size_t i = 0; i < calls; ++i) CHECK(sys::injected_fault(static_cast<Call>(i)) == 0);
}

TEST_CASE("set_fault_hook returns the hook before", "[fault]") {
  CHECK(sys::set_fault_hook(always_eperm) == nullptr);
  CHECK(sys::injected_fault(Call::fork) == EPERM);
  CHECK(sys::set_fault_hook(count_call) == always_eperm);
  CHECK(sys::injected_fault(Call::fork) == 0);
  CHECK(sys::set_fault_hook(nullptr) == count_call);
}

TEST_CASE("each wrapper of a system call asks the hook", "[fault]") {
  const Counting counting;
  {
    const sys::SharedMemory memory{"apalis-fault", 2 * sys::page_size};
    CHECK(asked_for(Call::memfd_create) == 1);
    CHECK(asked_for(Call::ftruncate) == 1);
    CHECK(asked_for(Call::seal) == 1);
    CHECK(asked_for(Call::mmap) == 1);
    CHECK(asked_for(Call::populate) == 1);
    memory.back(0, sys::page_size);
    CHECK(asked_for(Call::back) == 1);
    CHECK(sys::back_here(memory.data(), sys::page_size) == 0);
    CHECK(asked_for(Call::back) == 2);
    (void)sys::discard(memory.data(), sys::page_size);
    CHECK(asked_for(Call::discard) == 1);
    (void)sys::hide(memory.data(), sys::page_size);
    CHECK(asked_for(Call::hide) == 1);
  }
  const pid_t pid = sys::fork_process();
  if (pid == 0) sys::exit_now(0);
  CHECK(asked_for(Call::fork) == 1);
  const auto pidfd = sys::open_pidfd(pid);
  CHECK(asked_for(Call::pidfd_open) == 1);
  sys::send_signal(pid, pidfd, 0);
  CHECK(asked_for(Call::send_signal) == 1);
  CHECK(end_of(pid) == fine);
  (void)sys::pin(0, -1);
  CHECK(asked_for(Call::set_affinity) == 1);
  (void)sys::allowed_cores();
  CHECK(asked_for(Call::get_affinity) == 1);
  (void)sys::register_heavy_barrier();
  CHECK(asked_for(Call::membarrier) == 1);
  // The pipe stays for the life of a process.
  CHECK(in_child([] {
          const int pipe = sys::parent_pipe(sys::lock_forks());
          expect(asked_for(Call::pipe) == 1, "parent_pipe() does not ask");
          const pid_t parent = ::getpid();
          const sys::WatchedFork watched;
          expect(asked_for(Call::watch_fork) == 1, "WatchedFork does not ask");
          expect(in_child([&] {
                   (void)sys::watch_parent(pipe, parent);
                   expect(asked_for(Call::watch_parent) == 1, "watch_parent() does not ask");
                 }) == fine,
                 "watch_parent() does not ask");
        }) == fine);
}
