// SPDX-License-Identifier: BSL-1.0
// Every system call of the library that can fail does, at its first and at later times, in everything
// that a handler goes through. What comes of it is an Error or full function; never a hang, a crash,
// or something left.
#include <sys/mman.h>
#include <sys/wait.h>

#include <apalis/apalis.hpp>
#include <apalis/detail/sys/fault.hpp>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::ForkServer;
using apalis::Handler;
using namespace std::chrono_literals;
namespace sys = apalis::detail::sys;
using sys::Call;

namespace {

struct Row {
  const char* name;
  std::vector<int> errors;
};

/// A new call without a row here does not compile.
Row row_of(Call call) {
  switch (call) {
    case Call::memfd_create:
      return {"memfd_create", {EMFILE, ENOMEM}};
    case Call::ftruncate:
      return {"ftruncate", {EFBIG}};
    case Call::seal:
      return {"seal", {EPERM}};
    case Call::mmap:
      return {"mmap", {ENOMEM}};
    case Call::back:
      return {"back", {ENOMEM, ENOSPC}};
    case Call::discard:
      return {"discard", {EINVAL}};
    case Call::hide:
      return {"hide", {ENOMEM}};
    case Call::show:
      return {"show", {ENOMEM}};
    case Call::fork:
      return {"fork", {EAGAIN, ENOMEM}};
    case Call::fork_sibling:
      return {"fork_sibling", {EAGAIN, ENOSYS}};
    case Call::pidfd_open:
      return {"pidfd_open", {EMFILE, ENOSYS}};
    case Call::pipe:
      return {"pipe", {EMFILE}};
    case Call::watch_parent:
      return {"watch_parent", {EPERM}};
    case Call::set_affinity:
      return {"set_affinity", {EPERM}};
    case Call::membarrier:
      return {"membarrier", {ENOSYS}};
    case Call::populate:
      return {"populate", {EINVAL}};
    case Call::watch_fork:
      return {"watch_fork", {EMFILE}};
    case Call::count_threads:
      return {"count_threads", {ENOENT}};
    case Call::wait_pidfd:
      return {"wait_pidfd", {EINVAL}};
    case Call::send_signal:
      return {"send_signal", {EPERM}};
    case Call::get_affinity:
      return {"get_affinity", {EPERM}};
    case Call::title:
      return {"title", {EPERM}};
    case Call::arm_report:
      return {"arm_report", {EPERM}};
    case Call::event:
      return {"event", {EMFILE, ENFILE}};
    case Call::thread:
      return {"thread", {EAGAIN}};
    case Call::file:
      return {"file", {EACCES, ENOSPC}};
    case Call::find_process:
      return {"find_process", {ENOENT, EMFILE}};
  }
  throw std::logic_error("a call without a row");
}

/// What is refused, in this process and in those that it forks; and who asked, in all of them.
struct Refused {
  Call call{};
  int error = 0;  // 0: nothing is
  int time = 0;   // from this one on
  bool once = true;
  int seen = 0;
};
Refused refused;
std::array<std::atomic<int>, sys::call_count>* asked = nullptr;

int answer(Call call) noexcept {
  if (asked != nullptr) ++(*asked)[static_cast<std::size_t>(call)];
  if (refused.error == 0 || call != refused.call) return 0;
  const int time = refused.seen++;
  return time == refused.time || (time > refused.time && !refused.once) ? refused.error : 0;
}

struct Subject {
  int total = 0;
  int add(int x) { return total += x; }
  std::string echo(std::string text) const { return text; }
  bool meet(const apalis::Barrier& barrier) const { return barrier.arrive_and_wait_for(500ms); }
  int die_now() {
    ::raise(SIGKILL);
    return 0;
  }
};

/// Ends within the bound, as a result or as an Error.
template <class R>
void settle(apalis::Token<R> token) {
  expect(token.wait_for(60s), "a token hangs");
  try {
    token.get();
  } catch (const apalis::Error&) {
  }
}

template <class Step>
void attempt(Step step) {
  try {
    step();
  } catch (const apalis::Error& e) {
    expect(std::string(e.what()).size() > 20, "an Error says too little");
  }
}

void use(Handler<Subject>& h) {
  settle(h.call(&Subject::add, 1));
  settle(h.call(&Subject::echo, std::string(1'000'000, 'x')));
  h.post(&Subject::add, 1);
  h.drain();
}

/// First handler, calls, restart, retirement, closing: everything, with or without a server.
void whole_life(bool served) {
  if (served) attempt([] { ForkServer::start(); });
  attempt([] {
    Handler<Subject> h;
    use(h);
    h.close();
  });
  attempt([] {
    Handler<Subject> h{{.cpu = 0}, std::in_place};
    use(h);
    h.kill();
  });
  attempt([] {
    Handler<Subject> h{{.on_error = [](const auto&) {}, .restart = {.max = 3, .backoff = 1ms}},
                       std::in_place};
    for (int i = 0; i < 2; ++i) {
      settle(h.call(&Subject::die_now));
      use(h);
    }
  });
  attempt([] {
    Handler<Subject> h{{.on_error = [](const auto&) {}, .max_calls_per_worker = 2}, std::in_place};
    for (int i = 0; i < 5; ++i) settle(h.call(&Subject::add, 1));
    h.close();
  });
  attempt([] {
    Handler<Subject> h{{.backend = apalis::Backend::threads}, std::in_place};
    use(h);
    h.close();
  });
  attempt([] {
    Handler<Subject> h;
    const auto text = apalis::share(std::string(70'000, 'x'), {.directory = "/tmp"});
    settle(h.call(&Subject::echo, text));
    h.close();
  });
  attempt([] {
    Handler<Subject> h;
    const apalis::Barrier barrier(2);
    auto met = h.call(&Subject::meet, barrier);
    (void)barrier.arrive_and_wait_for(500ms);
    settle(std::move(met));
    h.close();
  });
  ForkServer::stop();
  expect(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD, "a child was left");
}

void expect_full_function(bool served) {
  if (served) ForkServer::start();
  Handler<Subject> h{{.restart = {.max = 1}}, std::in_place};
  expect(h.call(&Subject::add, 1).get() == 1, "a wrong result");
  settle(h.call(&Subject::die_now));
  expect(h.call(&Subject::add, 1).get() == 1, "not replaced");
  h.close();
  ForkServer::stop();
}

int live_with(const Refused& what, bool served) {
  sys::set_fault_hook(&answer);
  refused = what;
  whole_life(served);
  refused.error = 0;
  expect_full_function(served);
  const auto descriptors = open_descriptors();
  refused = what;
  whole_life(served);
  refused.error = 0;
  expect_full_function(served);
  expect(open_descriptors() == descriptors, "a descriptor is left");
  return 0;
}

}  // namespace

TEST_CASE("a whole life makes every call that can be refused", "[injection]") {
  void* memory =
      ::mmap(nullptr, sizeof *asked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& counts = *::new (memory) std::array<std::atomic<int>, sys::call_count>{};
  asked = &counts;
  for (const bool served : {false, true}) {
    Host host([&](Host::Side&) { return live_with({}, served); });
    CHECK(host.status() == 0);
  }
  asked = nullptr;
  for (int i = 0; i < sys::call_count; ++i) {
    INFO(row_of(static_cast<Call>(i)).name);
    CHECK(counts.at(static_cast<std::size_t>(i)) > 0);
  }
  ::munmap(memory, sizeof counts);
}

namespace {

/// Each call refused at each of `times`.
void refuse_each(bool served, bool once, std::initializer_list<int> times) {
  for (int i = 0; i < sys::call_count; ++i) {
    const auto call = static_cast<Call>(i);
    for (const int error : row_of(call).errors)
      for (const int time : times) {
        INFO(row_of(call).name << ", errno " << error << ", time " << time);
        Host host([&](Host::Side&) {
          return live_with({.call = call, .error = error, .time = time, .once = once}, served);
        });
        CHECK(host.status() == 0);
      }
  }
}

}  // namespace

TEST_CASE("each call refused once, at its first or at a later time", "[injection]") {
  refuse_each(false, true, {0, 1, 2, 4});
}

TEST_CASE("each call refused once, beside a fork server", "[injection]") {
  refuse_each(true, true, {0, 1, 2, 4});
}

TEST_CASE("each call refused for good, from its first or a later time on", "[injection]") {
  refuse_each(false, false, {0, 2});
}

TEST_CASE("each call refused for good, beside a fork server", "[injection]") {
  refuse_each(true, false, {0, 2});
}
