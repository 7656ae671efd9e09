// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <unistd.h>

#include <apalis/detail/sys/fd.hpp>
#include <type_traits>
#include <utility>

#include "support/catch.hpp"

using apalis::detail::sys::Fd;

namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}
int open_null() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static_assert(!std::is_copy_constructible_v<Fd> && !std::is_copy_assignable_v<Fd>);
static_assert(std::is_nothrow_move_constructible_v<Fd> && std::is_nothrow_move_assignable_v<Fd>);

}  // namespace

TEST_CASE("an Fd closes what it holds at the end of its scope", "[fd]") {
  int number = -1;
  {
    const Fd fd{open_null()};
    REQUIRE(fd);
    number = fd.get();
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));
}

TEST_CASE("an empty Fd holds nothing, and neither does a failed call's result", "[fd]") {
  Fd fd;
  CHECK_FALSE(fd);
  fd.reset();
  CHECK(fd.get() == -1);
  CHECK_FALSE(Fd{-1});
}

TEST_CASE("an Fd moves, and closes what it held before", "[fd]") {
  Fd first{open_null()};
  Fd second{open_null()};
  const int one = first.get();
  const int two = second.get();
  second = std::move(first);
  CHECK_FALSE(first);  // NOLINT(bugprone-use-after-move): what is left is part of the contract
  CHECK(second.get() == one);
  CHECK(is_open(one));
  CHECK_FALSE(is_open(two));
  const Fd third{std::move(second)};
  CHECK_FALSE(second);  // NOLINT(bugprone-use-after-move)
  CHECK(third.get() == one);
  CHECK(is_open(one));
}

TEST_CASE("an Fd survives a move to itself", "[fd]") {
  Fd fd{open_null()};
  const int number = fd.get();
  Fd& same = fd;
  fd = std::move(same);
  CHECK(fd.get() == number);
  CHECK(is_open(number));
}

TEST_CASE("an Fd can be closed early, or let go of", "[fd]") {
  Fd fd{open_null()};
  const int number = fd.get();
  fd.reset();
  CHECK_FALSE(fd);
  CHECK_FALSE(is_open(number));
  fd = Fd{open_null()};
  const int kept = fd.release();
  CHECK_FALSE(fd);
  CHECK(is_open(kept));
  ::close(kept);
}
