// SPDX-License-Identifier: BSL-1.0
#include <signal.h>

#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <apalis/detail/sys/thread.hpp>
#include <array>
#include <memory>
#include <utility>

namespace apalis::detail::sys {
namespace {

struct Start {
  void (*body)(void*);
  void* argument;
  std::array<char, 16> name{};  // the kernel's length
};

void* run(void* start) {
  const std::unique_ptr<Start> owned{static_cast<Start*>(start)};
  ::pthread_setname_np(::pthread_self(), owned->name.data());
  owned->body(owned->argument);
  return nullptr;
}

}  // namespace

Thread::Thread(const std::string& name, void (*body)(void*), void* argument) {
  auto start = std::make_unique<Start>(Start{body, argument});
  name.copy(start->name.data(), start->name.size() - 1);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = injected_fault(Call::thread);
  if (code == 0) code = ::pthread_create(&id_, nullptr, &run, start.get());
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (code != 0)
    throw_errno(code, "cannot start a worker thread", "see ulimit -u and the cgroup's pids.max");
  (void)start.release();  // the thread's
  joinable_ = true;
}

void unblock_signals() noexcept {
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void Thread::join() noexcept {
  if (std::exchange(joinable_, false)) ::pthread_join(id_, nullptr);
}

}  // namespace apalis::detail::sys
