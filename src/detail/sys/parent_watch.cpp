// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/fd.hpp>
#include <apalis/detail/sys/parent_watch.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <utility>

namespace apalis::detail::sys {
namespace {

constinit PerProcess<Fd> write_end;
constinit std::atomic<int> inherited_end{-1};  // the same descriptor, as a fork sees it
constinit thread_local bool is_watched_fork = false;
constinit thread_local int watch_end = -1;  // the read end made for the child about to be forked
constinit int own_watch = -1;               // in a watched child: its own read end

void close_watch_end() noexcept {
  if (watch_end >= 0) ::close(std::exchange(watch_end, -1));
}

/// In the child of any fork() of this program. Async-signal-safe.
void close_inherited_end() noexcept {
  if (!is_watched_fork) ::close(inherited_end.exchange(-1, std::memory_order_relaxed));
}

bool is_hung_up(int fd) noexcept {
  pollfd entry{.fd = fd, .events = 0, .revents = 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLHUP) != 0;
}

}  // namespace

int parent_pipe(const ForkLock& /*held*/) {
  Fd& end = write_end.get();
  if (!end) {
    int fds[2] = {-1, -1};
    const int code = injected_fault(Call::pipe);
    if (code != 0 || ::pipe2(fds, O_CLOEXEC) != 0)
      throw_errno(code != 0 ? code : errno, "cannot make a pipe", "see ulimit -n");
    ::close(fds[0]);  // each child gets a read end of its own
    end = Fd{fds[1]};
    inherited_end.store(end.get(), std::memory_order_relaxed);
    static const int registered = ::pthread_atfork(nullptr, nullptr, &close_inherited_end);
    if (registered != 0) throw_errno(registered, "cannot register a fork handler");
  }
  return end.get();
}

WatchedFork::WatchedFork() noexcept {
  is_watched_fork = true;
  // Opening the pipe through /proc gives the child an open file description of its own; owner and
  // signal belong to that, so children can't share one. Done on this side of the fork, where it
  // costs a third.
  if (injected_fault(Call::watch_fork) != 0) return;
  char path[32] = "/proc/self/fd/";
  // A child without a pipe of its own makes siblings: they watch what it watches.
  const int writer = inherited_end.load(std::memory_order_relaxed);
  *std::to_chars(path + std::strlen(path), std::end(path) - 1, writer >= 0 ? writer : own_watch)
       .ptr = '\0';
  watch_end = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (watch_end < 0) return;
  if (::fcntl(watch_end, F_SETSIG, SIGKILL) != 0 ||
      ::fcntl(watch_end, F_SETFL, O_RDONLY | O_NONBLOCK | O_ASYNC) != 0)
    close_watch_end();  // without an owner, it signals nobody
}

WatchedFork::~WatchedFork() {
  is_watched_fork = false;
  close_watch_end();
}

bool watch_parent(int pipe, pid_t parent) noexcept {
  is_watched_fork = false;
  inherited_end.store(-1, std::memory_order_relaxed);
  const bool armed = injected_fault(Call::watch_parent) == 0 && watch_end >= 0 &&
                     ::fcntl(watch_end, F_SETOWN, ::getpid()) == 0;
  if (pipe != no_pipe) ::close(pipe);
  if (own_watch >= 0) ::close(own_watch);  // of the process that forked this one for its parent
  if (parent_is_gone(parent) || (armed && is_hung_up(watch_end))) exit_now(0);
  if (!armed) close_watch_end();
  own_watch = std::exchange(watch_end, -1);  // stays open for the life of the process
  return armed;
}

bool parent_is_gone(pid_t parent) noexcept { return ::getppid() != parent; }

}  // namespace apalis::detail::sys
