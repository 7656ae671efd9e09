// SPDX-License-Identifier: BSL-1.0
// Children end when their parent is killed, whatever they do, and not when a mere thread of it
// ends.
#include <sys/syscall.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <array>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../conformance/gate.hpp"
#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;

namespace {

struct Busy {
  Gate* entered = nullptr;

  int count() { return 1; }
  void spin() {
    entered->open();
    for (volatile bool on = true; on;) {
    }
  }
  void sleep_forever() {
    entered->open();
    for (;;) ::pause();
  }
  void spin_with_signals_blocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    spin();
  }
};

// Waits until the thread is gone from the process: join() returns a little earlier.
void await_end_of_thread(pid_t thread) {
  const std::string task = "/proc/self/task/" + std::to_string(thread);
  while (::access(task.c_str(), F_OK) == 0) std::this_thread::yield();
}

pid_t this_thread() {
  return static_cast<pid_t>(::syscall(SYS_gettid));
}

}  // namespace

TEST_CASE("idle children end when their parent is killed", "[orphans]") {
  Host host([](Host::Side& side) {
    Handler<Busy> fresh;
    Handler<Busy> used;
    used.call(&Busy::count).get();
    side.tell(fresh.pid());
    side.tell(used.pid());
    side.wait_for_test();
    return 0;
  });
  const Watched fresh(host.hear<pid_t>());
  const Watched used(host.hear<pid_t>());
  CHECK(used.runs());
  host.kill();
  CHECK(fresh.ends());
  CHECK(used.ends());
}

TEST_CASE("children end in mid-call when their parent is killed", "[orphans]") {
  Host host([](Host::Side& side) {
    Gate entered;
    std::array<Handler<Busy>, 3> h{Handler<Busy>{std::in_place, &entered},
                                   Handler<Busy>{std::in_place, &entered},
                                   Handler<Busy>{std::in_place, &entered}};
    auto a = h[0].call(&Busy::spin);
    auto b = h[1].call(&Busy::sleep_forever);
    auto c = h[2].call(&Busy::spin_with_signals_blocked);
    for (int i = 0; i < 3; ++i) entered.pass();
    for (auto& each : h) side.tell(each.pid());
    side.wait_for_test();
    return 0;
  });
  const Watched spinning(host.hear<pid_t>());
  const Watched sleeping(host.hear<pid_t>());
  const Watched deaf(host.hear<pid_t>());
  CHECK(spinning.runs());
  CHECK(sleeping.runs());
  CHECK(deaf.runs());
  host.kill();
  CHECK(spinning.ends());
  CHECK(sleeping.ends());
  CHECK(deaf.ends());
}

TEST_CASE("children that wait for room in a full buffer end when their parent is killed",
          "[orphans]") {
  Host host([](Host::Side& side) {
    Handler<Busy> h;
    std::vector<apalis::Token<std::string>> tokens;
    for (int i = 0; i < 10; ++i)
      tokens.push_back(h.call([](Busy&) { return std::string(20'000'000, 'r'); }));
    side.tell(h.pid());
    side.wait_for_test();
    return 0;
  });
  const Watched worker(host.hear<pid_t>());
  CHECK(worker.runs());
  host.kill();
  CHECK(worker.ends());
}

TEST_CASE("children of children end when the first parent is killed", "[orphans]") {
  struct Middle {
    Handler<Busy> inner;
    int inner_pid() { return static_cast<int>(inner.pid()); }
  };
  Host host([](Host::Side& side) {
    Handler<Middle> h;
    side.tell(static_cast<pid_t>(h.call(&Middle::inner_pid).get()));
    side.tell(h.pid());
    side.wait_for_test();
    return 0;
  });
  const Watched inner(host.hear<pid_t>());
  const Watched middle(host.hear<pid_t>());
  host.kill();
  CHECK(middle.ends());
  CHECK(inner.ends());
}

TEST_CASE("the worker of a worker that is killed ends too", "[orphans]") {
  struct Middle {
    Handler<Busy> inner;
    int inner_pid() { return static_cast<int>(inner.pid()); }
  };
  Handler<Middle> h;
  const Watched inner(h.call(&Middle::inner_pid).get());
  CHECK(inner.runs());
  h.kill();
  CHECK(inner.ends());
}

TEST_CASE("closing a handler ends the workers that its object owns", "[orphans]") {
  struct Middle {
    Handler<Busy> inner;
    int inner_pid() { return static_cast<int>(inner.pid()); }
  };
  Handler<Middle> h;
  const Watched inner(h.call(&Middle::inner_pid).get());
  h.close();
  CHECK(inner.ends());
}

TEST_CASE("children end though a plain fork of their parent lives on", "[orphans]") {
  Host host([](Host::Side& side) {
    const auto leave_bystander = [&side] {
      const pid_t pid = ::fork();
      expect(pid >= 0, "fork");
      if (pid == 0) side.wait_for_test();  // it outlives its parent, and not the test
      side.tell(pid);
    };
    Handler<Busy> before;
    before.call(&Busy::count).get();
    side.tell(before.pid());
    leave_bystander();
    Handler<Busy> after;
    after.call(&Busy::count).get();
    side.tell(after.pid());
    leave_bystander();
    side.wait_for_test();
    return 0;
  });
  const Watched before(host.hear<pid_t>());
  const Watched first(host.hear<pid_t>());
  const Watched after(host.hear<pid_t>());
  const Watched second(host.hear<pid_t>());
  host.kill();
  CHECK(before.ends());
  CHECK(after.ends());
  CHECK(first.runs());
  first.signal(SIGKILL);
  second.signal(SIGKILL);
}

TEST_CASE("children end though a sibling of theirs lives on", "[orphans]") {
  // A sibling inherits what its parent holds: it must not keep the others alive.
  Host host([](Host::Side& side) {
    Handler<Busy> first;
    Handler<Busy> second;
    first.call(&Busy::count).get();
    second.call(&Busy::count).get();
    side.tell(first.pid());
    side.tell(second.pid());
    side.wait_for_test();
    return 0;
  });
  const Watched first(host.hear<pid_t>());
  const Watched second(host.hear<pid_t>());
  second.signal(SIGSTOP);  // it holds whatever it holds, and does nothing
  host.kill();
  CHECK(first.ends());
  second.signal(SIGCONT);
  CHECK(second.ends());
}

TEST_CASE("children end when their parent leaves by _exit without closing them", "[orphans]") {
  Host host([](Host::Side& side) -> int {
    Gate entered;
    Handler<Busy> h{std::in_place, &entered};
    auto t = h.call(&Busy::spin);
    entered.pass();
    side.tell(h.pid());
    side.wait_for_test();
    ::_exit(0);
  });
  const Watched worker(host.hear<pid_t>());
  host.go_on();
  CHECK(host.status() == 0);
  CHECK(worker.ends());
}

TEST_CASE("a handler of static storage ends with its program", "[orphans]") {
  Host host([](Host::Side& side) -> int {
    static Handler<Busy> h;
    h.call(&Busy::count).get();
    side.tell(h.pid());
    side.wait_for_test();
    std::exit(0);
  });
  const Watched worker(host.hear<pid_t>());
  host.go_on();
  CHECK(host.status() == 0);
  CHECK(worker.ends());
}

TEST_CASE("children live on when the thread that made them ends", "[orphans]") {
  std::unique_ptr<Handler<Busy>> h;
  pid_t maker = 0;
  std::thread thread([&] {
    maker = this_thread();
    h = std::make_unique<Handler<Busy>>();
    h->call(&Busy::count).get();
  });
  thread.join();
  await_end_of_thread(maker);
  const Watched worker(h->pid());
  for (int i = 0; i < 1000; ++i) CHECK(h->call(&Busy::count).get() == 1);
  CHECK(worker.runs());
  CHECK(h->alive());
}

TEST_CASE("children that a thread made still end with the process", "[orphans]") {
  Host host([](Host::Side& side) {
    std::unique_ptr<Handler<Busy>> h;
    std::thread([&] { h = std::make_unique<Handler<Busy>>(); }).join();
    h->call(&Busy::count).get();
    side.tell(h->pid());
    side.wait_for_test();
    return 0;
  });
  const Watched worker(host.hear<pid_t>());
  CHECK(worker.runs());
  host.kill();
  CHECK(worker.ends());
}
