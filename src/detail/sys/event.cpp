// SPDX-License-Identifier: BSL-1.0
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/event.hpp>
#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/process.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <cerrno>
#include <cstdint>

namespace apalis::detail::sys {
namespace {

constexpr auto too_many = "too many open files: see ulimit -n";

Fd checked(int fd, const char* what) {
  if (const int code = injected_fault(Call::event); code != 0) {
    if (fd >= 0) ::close(fd);
    throw_errno(code, what, too_many);
  }
  if (fd < 0) throw_errno(errno, what, too_many);
  return Fd{fd};
}

}  // namespace

Fd make_event() {
  return checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "cannot make an eventfd");
}

void signal_event(int event) noexcept {
  const int before = errno;
  constexpr std::uint64_t one = 1;
  // Refused only where the count would overflow: then it is readable already.
  [[maybe_unused]] const auto written = ::write(event, &one, sizeof one);
  errno = before;
}

void clear_event(int event) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto bytes = ::read(event, &count, sizeof count);  // EAGAIN: it was clear
}

EventSet::EventSet(int event)
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "cannot make an epoll instance")),
      timer_(checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                     "cannot make a timer")) {
  add(event);
  add(timer_.get());
}

void EventSet::add(int fd) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &wanted) != 0)
    throw_errno(errno, "cannot add to an epoll instance", "see fs.epoll.max_user_watches");
}

Fd EventSet::add_process(pid_t pid) {
  Fd process = open_pidfd(pid);
  if (process) add(process.get());
  return process;
}

void EventSet::remove(Fd& process) noexcept {
  // By hand: closing is not enough where a fork of this process has a copy.
  if (process) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, process.get(), nullptr);
  process.reset();
}

void EventSet::set_timer(std::chrono::nanoseconds delay) noexcept {
  itimerspec when{};  // all zero: never
  if (delay.count() >= 0) {
    const auto some = std::max(delay, std::chrono::nanoseconds{1});
    when.it_value.tv_sec = static_cast<time_t>(some.count() / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(some.count() % 1'000'000'000);
  }
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

}  // namespace apalis::detail::sys
