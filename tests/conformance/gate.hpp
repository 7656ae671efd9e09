// SPDX-License-Identifier: BSL-1.0
#pragma once

// A gate that processes related by fork share: one side waits at it, the other lets it through.
//
//   Gate entered, leave;                                        // before the handler is made
//   auto h = on<Waiter>(backend, &entered, &leave);             // the same address in the child
//   auto t = h.call(&Waiter::wait);  entered.pass();            // the call is running now
//   leave.open();  t.get();

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>

class Gate {
 public:
  Gate() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category());
  }
  ~Gate() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// Lets one passer through, now or later.
  void open() {
    const char ticket = 't';
    if (::write(ends_[1], &ticket, 1) != 1)
      throw std::system_error(errno, std::generic_category(), "Gate::open");
  }

  /// Waits until the gate is opened; throws after a minute, so that no test hangs.
  void pass() {
    if (!pass_within(std::chrono::minutes(1))) throw std::runtime_error("Gate: nobody opened it");
  }

  /// Like pass(), for a caller that must never give up by itself.
  void pass_unbounded() {
    while (!pass_within(std::chrono::hours(1))) {
    }
  }

  bool pass_within(std::chrono::milliseconds bound) {
    pollfd ready{ends_[0], POLLIN, 0};
    int found = 0;
    do found = ::poll(&ready, 1, static_cast<int>(bound.count()));
    while (found < 0 && errno == EINTR);
    char ticket = 0;
    return found == 1 && ::read(ends_[0], &ticket, 1) == 1;
  }

 private:
  int ends_[2];
};

/// An object whose call says when it runs and waits until it may end.
struct Waiter {
  Gate* entered = nullptr;
  Gate* leave = nullptr;
  int calls = 0;

  int wait() {
    entered->open();
    leave->pass();
    return ++calls;
  }
  int count() { return ++calls; }
  int seen() const { return calls; }
};
