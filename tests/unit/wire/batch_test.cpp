// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/batch.hpp>
#include <cstdint>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::wire;
using apalis::Outcome;

namespace batch_cases {

struct Subject {
  int total = 0;
  int add(int x) { return total += x; }
  int checked(int x) {
    if (x < 0) throw std::invalid_argument("negative: " + std::to_string(x));
    return add(x);
  }
  void nothing(int x) { (void)checked(x); }
  std::string word(int x) { return std::string(static_cast<std::size_t>(checked(x)), 'w'); }
  bool positive(int x) { return x > 0; }
  double sum(std::span<const double> xs) {
    if (reinterpret_cast<std::uintptr_t>(xs.data()) % alignof(double) != 0)
      throw std::logic_error("misaligned");
    return std::accumulate(xs.begin(), xs.end(), 0.0);
  }
  std::vector<double> doubled(const std::vector<double>& xs) {
    std::vector<double> result;
    for (double x : xs) result.push_back(2 * x);
    return result;
  }
};

}  // namespace batch_cases

using batch_cases::Subject;

namespace {

class Batch {
 public:
  template <class F, class... Arguments>
  void add(F f, Arguments&&... arguments) {
    Buffer call;
    encode_call<Subject>(call, f, std::forward<Arguments>(arguments)...);
    calls_.push_back(std::move(call));
  }
  [[nodiscard]] std::size_t size() const { return calls_.size(); }

  /// The reply.
  Buffer run(Subject& subject) const {
    Buffer message;
    begin_batch(message, calls_.size());
    for (const Buffer& call : calls_) append_to_batch(message, call.bytes());
    Reader reader(message.bytes());
    Buffer reply;
    read_entry(reader)->invoke(&subject, reader, reply);
    REQUIRE(reader.remaining() == 0);
    return reply;
  }

 private:
  std::vector<Buffer> calls_;
};

template <class R>
std::vector<Outcome<R>> outcomes(const Buffer& reply, std::size_t n) {
  Reader reader(reply.bytes());
  auto result = decode_batch<R>(reader, n, 4711);
  REQUIRE(reader.remaining() == 0);
  return result;
}

}  // namespace

TEST_CASE("a batch runs its calls in order and replies with their results", "[batch]") {
  Batch batch;
  for (int i = 1; i <= 300; ++i) batch.add(&Subject::add, i);
  Subject subject;
  const Buffer reply = batch.run(subject);
  CHECK(subject.total == 300 * 301 / 2);

  Reader reader(reply.bytes());
  std::vector<int> values{-1};
  REQUIRE(decode_batch_values(reader, batch.size(), values));
  CHECK(reader.remaining() == 0);
  CHECK(values.size() == 301);
  CHECK(values[0] == -1);
  CHECK(values[2] == 3);
  CHECK(values.back() == subject.total);

  const auto each = outcomes<int>(reply, batch.size());
  CHECK(each.at(1).value() == 3);
}

TEST_CASE("an empty batch is one", "[batch]") {
  Subject subject;
  const Buffer reply = Batch{}.run(subject);
  CHECK(reply.size() == 0);
  Reader reader(reply.bytes());
  std::vector<int> values;
  CHECK(decode_batch_values(reader, 0, values));
  Reader none(reply.bytes());
  CHECK(decode_batch_values(none, 0));
  CHECK(outcomes<int>(reply, 0).empty());
}

TEST_CASE("one call's exception is that call's own", "[batch]") {
  Batch batch;
  for (int x : {1, -2, 3, -4, 5}) batch.add(&Subject::checked, x);
  Subject subject;
  const Buffer reply = batch.run(subject);
  CHECK(subject.total == 9);

  Reader reader(reply.bytes());
  std::vector<int> values;
  CHECK_FALSE(decode_batch_values(reader, batch.size(), values));

  const auto each = outcomes<int>(reply, batch.size());
  REQUIRE(each.size() == 5);
  CHECK(each[0].value() == 1);
  CHECK(each[2].value() == 4);
  CHECK(each[4].value() == 9);
  CHECK_FALSE(each[3].has_value());
  CHECK_THROWS_AS(each[1].value(), std::invalid_argument);
  CHECK_THROWS_WITH(each[1].value(), "negative: -2");
  try {
    std::rethrow_exception(each[3].error());
  } catch (const apalis::RemoteError& e) {
    CHECK(e.worker_pid() == 4711);
    CHECK_FALSE(e.where().empty());
  }
}

TEST_CASE("results of every kind", "[batch]") {
  Subject subject;
  SECTION("none") {
    Batch batch;
    batch.add(&Subject::nothing, 1);
    batch.add(&Subject::nothing, 2);
    const Buffer good = batch.run(subject);
    CHECK(good.size() == 2);
    Reader reader(good.bytes());
    CHECK(decode_batch_values(reader, 2));
    batch.add(&Subject::nothing, -2);
    const Buffer bad = batch.run(subject);
    Reader again(bad.bytes());
    CHECK_FALSE(decode_batch_values(again, 3));
    const auto each = outcomes<void>(bad, 3);
    CHECK(each[0].has_value());
    CHECK_NOTHROW(each[1].value());
    CHECK_THROWS_AS(each[2].value(), std::invalid_argument);
  }
  SECTION("strings, and a failure that shortens the reply so far by half a result") {
    Batch batch;
    for (int x : {3, -1, 4}) batch.add(&Subject::word, x);
    const auto each = outcomes<std::string>(batch.run(subject), 3);
    CHECK(each[0].value() == "www");
    CHECK_FALSE(each[1]);
    CHECK(each[2].value() == "wwwwwww");
  }
  SECTION("bools") {
    Batch batch;
    for (int x : {3, -1, 4}) batch.add(&Subject::positive, x);
    const Buffer reply = batch.run(subject);
    Reader reader(reply.bytes());
    std::vector<bool> values;
    REQUIRE(decode_batch_values(reader, 3, values));
    CHECK(values == std::vector<bool>{true, false, true});
  }
  SECTION("vectors") {
    Batch batch;
    for (std::size_t n = 0; n < 20; ++n) batch.add(&Subject::doubled, std::vector<double>(n, 1.5));
    const Buffer reply = batch.run(subject);
    Reader reader(reply.bytes());
    std::vector<std::vector<double>> values;
    REQUIRE(decode_batch_values(reader, 20, values));
    for (std::size_t n = 0; n < 20; ++n) CHECK(values[n] == std::vector<double>(n, 3));
  }
}

TEST_CASE("calls that borrow are aligned inside a batch", "[batch]") {
  Batch batch;
  for (std::size_t n = 0; n < 40; ++n) {
    const std::vector<double> xs(n, 1);
    batch.add(&Subject::checked, 1);  // an odd number of bytes between them
    batch.add([](Subject& s, std::string_view, std::span<const double> x) { return s.sum(x) > 0; },
              std::string(n % 9, '-'), xs);
  }
  Subject subject;
  const Buffer reply = batch.run(subject);
  Reader reader(reply.bytes());
  for (std::size_t n = 0; n < 40; ++n) {
    REQUIRE(read_status(reader) == CallStatus::ok);
    CHECK(decode<int>(reader) == static_cast<int>(n) + 1);
    REQUIRE(read_status(reader) == CallStatus::ok);
    CHECK(decode<bool>(reader) == (n > 0));
  }
}

TEST_CASE("encode_batch is the same in one go", "[batch]") {
  Buffer one;
  encode_call<Subject>(one, &Subject::add, 1);
  Buffer two;
  encode_call<Subject>(two, &Subject::sum, std::vector<double>{1, 2});
  const std::span<const std::byte> calls[] = {one.bytes(), two.bytes()};
  Buffer message;
  encode_batch(message, calls);
  Reader reader(message.bytes());
  Subject subject;
  Buffer reply;
  read_entry(reader)->invoke(&subject, reader, reply);
  Reader replied(reply.bytes());
  CHECK(read_status(replied) == CallStatus::ok);
  CHECK(decode<int>(replied) == 1);
  CHECK(read_status(replied) == CallStatus::ok);
  CHECK(decode<double>(replied) == 3);
}

TEST_CASE("replies that can't be right are malformed", "[batch]") {
  Batch batch;
  for (int x : {1, -2}) batch.add(&Subject::checked, x);
  Subject subject;
  Buffer reply = batch.run(subject);
  for (std::size_t n = 0; n < reply.size(); ++n) {
    Reader reader(reply.bytes().first(n));
    REQUIRE_THROWS_AS(decode_batch<int>(reader, 2, 1), Malformed);
  }
  Reader too_few(reply.bytes());
  CHECK_THROWS_AS(decode_batch<int>(too_few, 3, 1), Malformed);
  reply.data()[0] = std::byte{7};
  Reader bad_status(reply.bytes());
  CHECK_THROWS_AS(decode_batch<int>(bad_status, 2, 1), Malformed);
}
