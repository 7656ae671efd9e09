// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/sys/per_process.hpp>
#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Pipe;
using apalis::test::start_child;
using sys::PerProcess;

namespace {

struct Counter {
  int value = 7;
  std::mutex mutex;
};

// Usable before any dynamic initialisation, which static objects of users rely on.
constinit PerProcess<Counter> counter;

}  // namespace

TEST_CASE("a process has one value, made at first use", "[per_process]") {
  static constinit PerProcess<Counter> own;
  Counter& first = own.get();
  CHECK(first.value == 7);
  first.value = 8;
  CHECK(&own.get() == &first);
  CHECK(own.get().value == 8);
}

TEST_CASE("a fork starts with a fresh value and leaves its parent's alone", "[per_process]") {
  counter.get().value = 1;
  CHECK(in_child([] {
          expect(counter.get().value == 7, "the value is not fresh");
          counter.get().value = 2;
          expect(in_child([] { expect(counter.get().value == 7, "not fresh"); }) == fine,
                 "the value of a fork of a fork is not fresh");
          expect(counter.get().value == 2, "the value changed");
        }) == fine);
  CHECK(counter.get().value == 1);
}

TEST_CASE("threads that ask first at once get the same value", "[per_process]") {
  static constinit PerProcess<Counter> own;
  std::array<Counter*, 8> seen{};
  std::array<std::thread, 8> threads;
  std::atomic<std::size_t> ready{0};
  for (std::size_t i = 0; i < threads.size(); ++i)
    threads[i] = std::thread([&, i] {
      ++ready;
      while (ready < threads.size()) std::this_thread::yield();
      seen[i] = &own.get();
    });
  for (auto& thread : threads) thread.join();
  for (const Counter* value : seen) CHECK(value == seen[0]);
}

TEST_CASE("a mutex locked by another thread at the fork is free in the fork", "[per_process]") {
  (void)counter.get();
  const Pipe locked, forked;
  std::thread holder([&] {
    const std::lock_guard guard{counter.get().mutex};
    const auto held = sys::lock_forks();
    locked.put('x');
    (void)forked.take();
  });
  (void)locked.take();
  const pid_t child = start_child([] {
    const std::lock_guard guard{counter.get().mutex};
    const auto held = sys::lock_forks();
    expect(held.owns_lock(), "the lock is not held");
  });
  CHECK(end_of(child) == fine);
  forked.put('x');
  holder.join();
}

TEST_CASE("lock_forks lets one thread in at a time", "[per_process]") {
  int inside = 0;  // not atomic: the lock is what protects it
  int most = 0;
  std::array<std::thread, 4> threads;
  for (auto& thread : threads)
    thread = std::thread([&] {
      for (int i = 0; i < 1000; ++i) {
        const auto held = sys::lock_forks();
        if (++inside > most) most = inside;
        --inside;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(most == 1);
}

TEST_CASE("a thread may take the lock again", "[per_process]") {
  const auto held = sys::lock_forks();
  const auto again = sys::lock_forks();
  CHECK(again.owns_lock());
}

TEST_CASE("a fork under the lock starts with an unlocked one", "[per_process]") {
  const auto held = sys::lock_forks();
  CHECK(in_child([] {
          std::thread([] { expect(sys::lock_forks().owns_lock(), "the lock is not held"); }).join();
        }) == fine);
}
