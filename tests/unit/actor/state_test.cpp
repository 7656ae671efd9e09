// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/error.hpp>
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "fake_link.hpp"
#include "support/catch.hpp"

using apalis::detail::actor::Reply;
using apalis::detail::actor::State;
using apalis::detail::wire::Buffer;
using apalis::test::FakeLink;
using apalis::test::FakeState;
using Phase = State::Phase;

namespace {

/// As much of a reply's start as store_small() may read.
std::array<std::byte, State::inline_bytes> padded(std::string_view text) {
  std::array<std::byte, State::inline_bytes> bytes{};
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Stores an exception as a worker's reply brings it.
void store_invalid_argument(State& state, const char* what) {
  Buffer buffer;
  try {
    throw std::invalid_argument(what);
  } catch (...) {
    apalis::detail::wire::encode_current_exception(buffer, "Counter::add");
  }
  auto copy = std::make_unique<std::byte[]>(buffer.size());
  std::memcpy(copy.get(), buffer.data(), buffer.size());
  state.store(Reply::exception, std::move(copy), buffer.size());
}

}  // namespace

TEST_CASE("a state has an outcome once it is settled, or cancelled early", "[state]") {
  FakeState state;
  CHECK(state.phase() == Phase::idle);
  CHECK_FALSE(state.has_outcome());
  state.set_phase(Phase::pending);
  CHECK_FALSE(state.has_outcome());
  state.set_phase(Phase::early);
  CHECK(state.has_outcome());
  state.set_phase(Phase::settled);
  CHECK(state.has_outcome());
}

TEST_CASE("a state keeps small results in itself", "[state]") {
  const auto check = [](std::string_view text) {
    FakeState state;
    const auto bytes = padded(text);
    state.store_small(Reply::value, bytes.data(), text.size());
    CHECK(text_of(state.bytes()) == text);
    CHECK(text_of(state.bytes()) == text);  // as often as one likes
    CHECK(state.error() == nullptr);
    CHECK_FALSE(state.was_cancelled());
  };
  check("");
  check("x");
  check(std::string(State::inline_bytes, 'y'));
}

TEST_CASE("a state keeps large results until they are decoded", "[state]") {
  FakeState state;
  auto bytes = std::make_unique<std::byte[]>(10'000);
  std::memset(bytes.get(), 'z', 10'000);
  state.store(Reply::value, std::move(bytes), 10'000);
  CHECK(text_of(state.bytes()) == std::string(10'000, 'z'));
  state.drop_bytes();
}

TEST_CASE("a state throws what the call threw", "[state]") {
  FakeState state;
  store_invalid_argument(state, "not that");
  CHECK_THROWS_AS(state.bytes(), std::invalid_argument);
  CHECK_THROWS_WITH(state.bytes(), Catch::Matchers::ContainsSubstring("not that"));
  REQUIRE(state.error() != nullptr);
  CHECK(state.error() == state.error());  // decoded once
}

TEST_CASE("what the call threw names the worker of its link", "[state]") {
  bool destroyed = false;
  auto* const link = new FakeLink(destroyed);
  {
    FakeState state;
    state.attach(*link);
    store_invalid_argument(state, "not that");
    try {
      (void)state.bytes();
      FAIL("it returned");
    } catch (const apalis::RemoteError& error) {
      CHECK(error.worker_pid() == FakeLink::worker);
      CHECK(error.where() == "Counter::add");
      CHECK(error.message() == "not that");
    }
  }
  link->release();
  CHECK(destroyed);
}

TEST_CASE("an exception that makes no sense is an Error", "[state]") {
  FakeState state;
  const auto garbage = padded("\xff\xff\xff\xff garbage");
  state.store_small(Reply::exception, garbage.data(), 12);
  CHECK_THROWS_AS(state.bytes(), apalis::Error);
  FakeState empty;
  empty.store_small(Reply::exception, garbage.data(), 0);
  CHECK_THROWS_AS(empty.bytes(), apalis::Error);
}

TEST_CASE("a cancelled state throws Cancelled", "[state]") {
  FakeState state;
  state.store_cancelled();
  CHECK(state.was_cancelled());
  CHECK_THROWS_AS(state.bytes(), apalis::Cancelled);
  CHECK_THROWS_AS(state.bytes(), apalis::Cancelled);
  CHECK(state.error() != nullptr);
}

TEST_CASE("a failure of the library's own", "[state]") {
  FakeState state;
  const auto error = std::make_exception_ptr(apalis::WorkerDied("it died", {.pid = 5}));
  state.store_error(error);
  CHECK_FALSE(state.was_cancelled());
  CHECK(state.error() == error);
  CHECK_THROWS_AS(state.bytes(), apalis::WorkerDied);
}

TEST_CASE("a state keeps its link's memory", "[state]") {
  bool destroyed = false;
  auto* const link = new FakeLink(destroyed);
  auto first = std::make_unique<FakeState>();
  auto second = std::make_unique<FakeState>();
  CHECK(first->source() == nullptr);
  first->attach(*link);
  second->attach(*link);
  CHECK(first->source() == link);
  link->release();
  CHECK_FALSE(destroyed);
  first.reset();
  CHECK_FALSE(destroyed);
  second.reset();
  CHECK(destroyed);
}
