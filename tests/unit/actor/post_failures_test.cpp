// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/error.hpp>
#include <array>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>

#include "support/catch.hpp"

using apalis::detail::actor::describe;
using apalis::detail::actor::PostFailures;
using apalis::detail::wire::Buffer;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr pid_t worker = 77;

Buffer out_of_range(const char* what) {
  Buffer buffer;
  try {
    throw std::out_of_range(what);
  } catch (...) {
    apalis::detail::wire::encode_current_exception(buffer, "Counter::add");
  }
  return buffer;
}

/// The PostError in a pointer; fails if it is anything else.
apalis::PostError post_error(const std::exception_ptr& error) {
  REQUIRE(error != nullptr);
  try {
    std::rethrow_exception(error);
  } catch (const apalis::PostError& e) {
    return e;
  }
}

}  // namespace

TEST_CASE("without failures there is nothing to report or to throw", "[post_failures]") {
  PostFailures failures;
  CHECK_FALSE(failures.has_unreported());
  CHECK(failures.report(worker) == nullptr);
  CHECK(failures.take(0, worker, "counter") == nullptr);
}

TEST_CASE("the first failure is kept, with the count of all", "[post_failures]") {
  PostFailures failures;
  failures.note(out_of_range("first").bytes());
  failures.note(out_of_range("second").bytes());
  const auto error = post_error(failures.take(3, worker, "counter"));
  CHECK(error.count() == 3);
  CHECK_THROWS_AS(std::rethrow_exception(error.first()), std::out_of_range);
  CHECK_THROWS_WITH(std::rethrow_exception(error.first()), ContainsSubstring("first"));
  CHECK_THAT(error.what(), ContainsSubstring("3 one-way calls of 'counter' failed"));
  CHECK_THAT(error.what(), ContainsSubstring("first"));
  try {
    std::rethrow_exception(error.first());
  } catch (const apalis::RemoteError& remote) {
    CHECK(remote.worker_pid() == worker);
    CHECK(remote.where() == "Counter::add");
  } catch (...) {
    FAIL("it is no RemoteError");
  }
}

TEST_CASE("one failure is told in the singular", "[post_failures]") {
  PostFailures failures;
  failures.note(out_of_range("no").bytes());
  CHECK_THAT(post_error(failures.take(1, worker, "c")).what(),
             ContainsSubstring("1 one-way call of 'c' failed"));
}

TEST_CASE("what was taken is forgotten", "[post_failures]") {
  PostFailures failures;
  failures.note(out_of_range("old").bytes());
  CHECK(failures.take(1, worker, "c") != nullptr);
  CHECK_FALSE(failures.has_unreported());
  CHECK(failures.take(0, worker, "c") == nullptr);
  failures.note(out_of_range("new").bytes());
  CHECK(failures.has_unreported());
  CHECK_THAT(describe(post_error(failures.take(1, worker, "c")).first()), ContainsSubstring("new"));
}

TEST_CASE("a failure is reported once, and thrown nevertheless", "[post_failures]") {
  PostFailures failures;
  failures.note(out_of_range("no").bytes());
  CHECK(failures.has_unreported());
  const auto reported = failures.report(worker);
  CHECK_THROWS_AS(std::rethrow_exception(reported), std::out_of_range);
  CHECK_FALSE(failures.has_unreported());
  failures.note(out_of_range("again").bytes());
  CHECK_FALSE(failures.has_unreported());  // since the last drain, it is not the first
  CHECK(post_error(failures.take(2, worker, "c")).first() == reported);
}

TEST_CASE("failures whose first is not known are told by their count", "[post_failures]") {
  PostFailures failures;
  const auto error = post_error(failures.take(2, worker, "c"));
  CHECK(error.count() == 2);
  CHECK(error.first() == nullptr);
}

TEST_CASE("bytes that are no exception are a failure too", "[post_failures]") {
  PostFailures failures;
  const std::array<std::byte, 3> garbage{std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};
  failures.note(garbage);
  CHECK_THROWS_AS(std::rethrow_exception(post_error(failures.take(1, worker, "c")).first()),
                  apalis::Error);
}

TEST_CASE("describe finds words for any exception", "[post_failures]") {
  CHECK(describe(std::make_exception_ptr(std::runtime_error("some words"))) == "some words");
  CHECK_FALSE(describe(std::make_exception_ptr(5)).empty());
  CHECK_FALSE(describe(nullptr).empty());
}
