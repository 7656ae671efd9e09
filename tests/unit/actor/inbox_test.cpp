// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../channel/lane_memory.hpp"
#include "fake_link.hpp"
#include "support/catch.hpp"

using namespace apalis::detail::actor;
using apalis::test::FakeState;
using apalis::test::LaneMemory;
namespace channel = apalis::detail::channel;
using Phase = State::Phase;

namespace {

constexpr apalis::detail::wire::Entry entry{nullptr, "Counter::add"};

/// A child's end, and the parent's.
struct Ends {
  LaneMemory memory;
  channel::Sender sender{memory.lane(), true};
  Inbox inbox{memory.lane()};

  void send(std::uint8_t tag, std::string_view text) {
    REQUIRE(apalis::test::send(sender, {tag, as_bytes(text)}));
  }
  void send(Answer answer, std::string_view text) { send(static_cast<std::uint8_t>(answer), text); }
  void await(State& state) {
    state.entry = &entry;
    state.set_phase(Phase::pending);
    inbox.pending.push(state);
  }
  static std::vector<std::byte> as_bytes(std::string_view text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
  }
};

std::string text_of(State& state) {
  const auto bytes = state.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("replies settle the pending states in order", "[inbox]") {
  Ends ends;
  FakeState first;
  FakeState second;
  ends.await(first);
  ends.await(second);
  CHECK_FALSE(ends.inbox.take().any);
  ends.send(Answer::value, "one");
  const std::string large(5000, 'x');
  ends.send(Answer::value, large);
  CHECK(ends.inbox.has_message());
  CHECK(ends.inbox.take().any);
  CHECK(ends.inbox.has_heard());
  CHECK(text_of(first) == "one");
  CHECK(text_of(second) == large);
  CHECK(ends.inbox.pending.empty());
}

TEST_CASE("a large reply comes in pieces", "[inbox]") {
  Ends ends;
  FakeState state;
  ends.await(state);
  const auto part = Ends::as_bytes("0123456789");
  constexpr auto tag = static_cast<std::uint8_t>(Answer::value);
  REQUIRE(ends.sender.try_send_piece(tag, part.data(), part.size(), 20));
  CHECK(ends.inbox.take().any);
  CHECK(state.phase() == Phase::pending);
  REQUIRE(ends.sender.try_send_piece(tag, part.data(), part.size(), 20));
  CHECK(ends.inbox.take().any);
  CHECK(text_of(state) == "01234567890123456789");
}

TEST_CASE("a reply that nobody asked for is a violation", "[inbox]") {
  Ends ends;
  const auto part = Ends::as_bytes("0123456789");
  SECTION("whole") {
    ends.send(Answer::value, "one");
  }
  SECTION("in pieces") {
    constexpr auto value = static_cast<std::uint8_t>(Answer::value);
    REQUIRE(ends.sender.try_send_piece(value, part.data(), part.size(), 20));
  }
  CHECK_THROWS_AS(ends.inbox.take(), channel::ProtocolViolation);
}

TEST_CASE("what no worker sends is a violation", "[inbox]") {
  Ends ends;
  FakeState state;
  ends.await(state);
  const auto part = Ends::as_bytes("0123456789");
  const auto send_piece = [&](std::uint64_t total) {
    constexpr auto value = static_cast<std::uint8_t>(Answer::value);
    REQUIRE(ends.sender.try_send_piece(value, part.data(), part.size(), total));
  };
  SECTION("kinds that there are not") {
    const auto tag = GENERATE(0, 5, 77, 255);
    ends.send(static_cast<std::uint8_t>(tag), "one");
  }
  SECTION("more pieces than the whole") {
    send_piece(15);
    send_piece(15);
  }
  SECTION("a whole that shrinks") {
    send_piece(25);
    send_piece(25);
    send_piece(12);
  }
  CHECK_THROWS_AS(ends.inbox.take(), channel::ProtocolViolation);
  // Whoever ends the link settles it.
  CHECK(state.phase() == Phase::pending);
  CHECK(ends.inbox.pending.front() == &state);
}

TEST_CASE("failed posts are known to the errand that comes behind them", "[inbox]") {
  Ends ends;
  Errand errand;
  errand.set_phase(Phase::pending);
  ends.inbox.pending.push(errand);
  ends.send(Answer::post_failed, "not an exception, but kept as it is");
  const std::array<char, 8> count{3};
  ends.send(Answer::value, {count.data(), count.size()});
  CHECK(ends.inbox.take().any);
  CHECK(errand.has_outcome());
  CHECK(errand.failed_posts() == 3);
  CHECK(errand.failures.has_unreported());
  CHECK_FALSE(ends.inbox.failures.has_unreported());
}

TEST_CASE("the count of failed posts may be cut short", "[inbox]") {
  Ends ends;
  Errand errand;
  errand.set_phase(Phase::pending);
  ends.inbox.pending.push(errand);
  ends.send(Answer::value, "\x02");
  CHECK(ends.inbox.take().any);
  CHECK(errand.failed_posts() == 2);
}

TEST_CASE("an abandoned state goes with its reply", "[inbox]") {
  Ends ends;
  auto* state = new FakeState;
  ends.await(*state);
  state->abandoned = true;
  ends.send(Answer::value, "one");
  CHECK(ends.inbox.take().any);
  CHECK(ends.inbox.pending.empty());
}

TEST_CASE("a cancelled call keeps its outcome", "[inbox]") {
  Ends ends;
  FakeState early;
  FakeState late;
  ends.await(early);
  ends.await(late);
  early.store_cancelled();
  early.set_phase(Phase::early);
  ends.send(Answer::value, "too late");
  ends.send(Answer::cancelled, "");
  CHECK(ends.inbox.take().any);
  CHECK(early.was_cancelled());
  CHECK(early.phase() == Phase::settled);
  CHECK(late.was_cancelled());
}

TEST_CASE("a worker that never stops talking does not keep its parent", "[inbox]") {
  Ends ends;
  for (std::uint32_t i = 0; i < channel::lane_units; ++i) ends.send(Answer::post_failed, "p");
  CHECK(ends.inbox.take().any);
  CHECK_FALSE(ends.inbox.has_message());
}

// --- Attachments ---------------------------------------------------------------------------------

namespace {

constexpr auto of_value = static_cast<std::uint8_t>(Answer::value);

/// What a result of `count` ints announces.
std::vector<std::byte> head_of(std::uint64_t count) {
  std::vector<std::byte> head(9, std::byte{apalis::detail::wire::Buffer::attached_mark});
  std::memcpy(head.data() + 1, &count, sizeof count);
  return head;
}

struct Numbers {
  Ends ends;
  std::unique_ptr<ReplyState<std::vector<int>>> state =
      std::make_unique<ReplyState<std::vector<int>>>();
  Numbers() { ends.await(*state); }

  void send(const std::vector<std::byte>& bytes, channel::MessageSize whole) {
    REQUIRE(ends.sender.try_send_piece(of_value, bytes.data(), bytes.size(), whole));
  }
  void send(std::span<const int> numbers, channel::MessageSize whole) {
    const auto bytes = std::as_bytes(numbers);
    REQUIRE(ends.sender.try_send_piece(of_value, bytes.data(), bytes.size(), whole));
  }
};

}  // namespace

TEST_CASE("an attached result is put together as it arrives", "[inbox]") {
  Numbers n;
  const std::vector<int> xs{1, 2, 3, 4, 5, 6};
  const channel::MessageSize whole{9 + 24, 9};
  n.send(head_of(6), whole);
  n.send(std::span(xs).first(4), whole);
  CHECK(n.ends.inbox.take().any);
  CHECK(n.state->phase() == Phase::pending);
  n.send(std::span(xs).last(2), whole);
  CHECK(n.ends.inbox.take().any);
  REQUIRE(n.state->phase() == Phase::settled);
  CHECK(n.state->value() == xs);
}

TEST_CASE("what is attached to a cancelled call's reply is dropped", "[inbox]") {
  Numbers n;
  n.state->store_cancelled();
  n.state->set_phase(Phase::early);
  const std::vector<int> xs{1, 2, 3};
  const channel::MessageSize whole{9 + 12, 9};
  n.send(head_of(3), whole);
  n.send(std::span(xs), whole);
  CHECK(n.ends.inbox.take().any);
  CHECK(n.state->phase() == Phase::settled);
  CHECK_THROWS_AS(n.state->value(), apalis::Cancelled);
}

TEST_CASE("an attachment that is not what its head announces fails the call", "[inbox]") {
  Numbers n;
  const std::vector<int> xs{1, 2, 3};
  const auto count = GENERATE(std::uint64_t{2}, std::uint64_t{4}, ~std::uint64_t{0});
  const channel::MessageSize whole{9 + 12, 9};
  n.send(head_of(count), whole);
  n.send(std::span(xs), whole);
  CHECK(n.ends.inbox.take().any);
  REQUIRE(n.state->phase() == Phase::settled);
  CHECK_THROWS_AS(n.state->value(), apalis::Error);
}

TEST_CASE("attachments that no worker sends are a violation", "[inbox]") {
  Numbers n;
  const std::vector<int> xs{1, 2, 3};
  SECTION("a torn element") {
    n.send(head_of(3), {9 + 11, 9});
    n.send(std::vector<std::byte>(11), {9 + 11, 9});
  }
  SECTION("more than announced") {
    n.send(head_of(2), {9 + 8, 9});
    n.send(std::span(xs), {9 + 8, 9});
  }
  SECTION("a head that runs into them") {
    n.send(std::vector<std::byte>(12), {9 + 8, 9});
  }
  SECTION("sizes that change on the way") {
    n.send(head_of(3), {9 + 12, 9});
    n.send(std::span(xs), {9 + 12, 8});
  }
  SECTION("an exception's") {
    const auto head = head_of(3);
    REQUIRE(n.ends.sender.try_send_piece(static_cast<std::uint8_t>(Answer::exception), head.data(),
                                         head.size(), {9 + 12, 9}));
  }
  CHECK_THROWS_AS(n.ends.inbox.take(), channel::ProtocolViolation);
  CHECK(n.state->phase() == Phase::pending);
}

TEST_CASE("a result that is no block has no attachments", "[inbox]") {
  Ends ends;
  auto state = std::make_unique<ReplyState<int>>();
  ends.await(*state);
  const auto head = head_of(3);
  REQUIRE(ends.sender.try_send_piece(of_value, head.data(), head.size(), {9 + 12, 9}));
  REQUIRE(ends.sender.try_send_piece(of_value, head.data(), 9, {9 + 12, 9}));
  CHECK_THROWS_AS(ends.inbox.take(), channel::ProtocolViolation);
}

TEST_CASE("half a result is forgotten with the worker that sent it", "[inbox]") {
  Numbers n;
  const std::vector<int> xs{1, 2, 3};
  const channel::MessageSize whole{9 + 12, 9};
  n.send(head_of(3), whole);
  n.send(std::span(xs).first(2), whole);
  CHECK(n.ends.inbox.take().any);
  n.ends.sender.restart();
  n.ends.inbox.restart();
  n.send(head_of(3), whole);
  n.send(std::span(xs), whole);
  CHECK(n.ends.inbox.take().any);
  REQUIRE(n.state->phase() == Phase::settled);
  CHECK(n.state->value() == xs);
}
