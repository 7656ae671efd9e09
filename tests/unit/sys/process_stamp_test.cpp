// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/detail/sys/process_stamp.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

using apalis::detail::sys::process_stamp;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Pipe;
using apalis::test::start_child;

namespace {

/// The stamp as threads see it that all ask first at the same time; 0 if they disagree.
std::uint64_t stamp_of_threads() {
  std::array<std::uint64_t, 8> seen{};
  std::array<std::thread, 8> threads;
  std::atomic<std::size_t> ready{0};
  for (std::size_t i = 0; i < threads.size(); ++i)
    threads[i] = std::thread([&, i] {
      ++ready;
      while (ready < threads.size()) std::this_thread::yield();
      seen[i] = process_stamp();
    });
  for (auto& thread : threads) thread.join();
  for (const auto stamp : seen)
    if (stamp != seen[0]) return 0;
  return seen[0];
}

}  // namespace

TEST_CASE("a process has one stamp, in all its threads", "[process_stamp]") {
  const auto stamp = process_stamp();
  CHECK(stamp != 0);
  CHECK(process_stamp() == stamp);
  CHECK(stamp_of_threads() == stamp);
}

TEST_CASE("threads that ask first at once agree", "[process_stamp]") {
  const auto stamp = process_stamp();
  CHECK(in_child([&] {
          const auto mine = stamp_of_threads();  // nobody has asked in this process before
          expect(mine != 0, "the threads disagree");
          expect(mine == process_stamp(), "the stamp changed");
          expect(mine != stamp, "it is the parent's stamp");
        }) == fine);
}

TEST_CASE("forks, and forks of forks, have stamps of their own", "[process_stamp]") {
  const Pipe stamps;
  constexpr int width = 3;
  const auto tell = [&] { stamps.put(process_stamp()); };
  for (int i = 0; i < width; ++i) {
    CHECK(in_child([&] {
            tell();
            for (int k = 0; k < width; ++k)
              expect(in_child([&] {
                       tell();
                       expect(in_child(tell) == fine, "a fork of a fork of a fork failed");
                     }) == fine,
                     "a fork of a fork failed");
          }) == fine);
  }
  constexpr std::size_t told = width + 2 * width * width;
  std::set<std::uint64_t> all{process_stamp()};
  for (std::size_t i = 0; i < told; ++i) all.insert(stamps.take<std::uint64_t>());
  CHECK(all.size() == told + 1);
  CHECK_FALSE(all.contains(0));
}

TEST_CASE("the parent keeps its stamp while children come and go", "[process_stamp]") {
  const auto stamp = process_stamp();
  for (int i = 0; i < 10; ++i) CHECK(end_of(start_child([] { (void)process_stamp(); })) == fine);
  CHECK(process_stamp() == stamp);
}

// Such a child runs none of the C library's fork handlers.
TEST_CASE("a raw clone has a stamp of its own", "[process_stamp]") {
  const Pipe stamps;
  const auto stamp = process_stamp();
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L));
  REQUIRE(pid >= 0);
  if (pid == 0) {
    stamps.put(process_stamp());
    ::_exit(process_stamp() == stamp ? 1 : 0);
  }
  CHECK(end_of(pid) == fine);
  CHECK(stamps.take<std::uint64_t>() != stamp);
  CHECK(process_stamp() == stamp);
}
