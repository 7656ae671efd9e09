// SPDX-License-Identifier: BSL-1.0
// Token: the future of one call.
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends.hpp"
#include "gate.hpp"

using apalis::Token;
using namespace conformance;
using namespace std::chrono_literals;

namespace {

struct Subject {
  int total = 0;
  int add(int x) { return total += x; }
  void reset() { total = 0; }
  std::string text(std::size_t n) const { return std::string(n, 't'); }
  std::unique_ptr<int> give(int x) const { return std::make_unique<int>(x); }
  int fail(int x) { throw std::out_of_range("fail " + std::to_string(x)); }
};

}  // namespace

TEST_CASE("get on an lvalue is repeatable and refers to the token's own result", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::text, 100U);
  static_assert(std::is_same_v<decltype(t.get()), const std::string&>);
  static_assert(std::is_same_v<decltype(t()), const std::string&>);
  static_assert(std::is_same_v<decltype(std::move(t).get()), std::string>);
  const std::string& first = t.get();
  const std::string& second = t.get();
  const std::string& third = t();
  CHECK(&first == &second);
  CHECK(&first == &third);
  CHECK(first == std::string(100, 't'));
  CHECK(t.valid());
}

TEST_CASE("get on an rvalue moves the result out and leaves the token empty", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  const int r = h.call(&Subject::add, 5).get();
  CHECK(r == 5);
  auto t = h.call(&Subject::give, 6);
  const std::unique_ptr<int> taken = std::move(t).get();
  CHECK(*taken == 6);
  CHECK_FALSE(t.valid());  // NOLINT(bugprone-use-after-move)
  CHECK_THROWS_AS(t.get(), apalis::Error);
}

TEST_CASE("a move-only result can be read in place", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::give, 6);
  CHECK(*t.get() == 6);
  CHECK(*t() == 6);
  CHECK(*std::move(t).get() == 6);
}

TEST_CASE("a token of void has get without a value", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend, 3);
  auto t = h.call(&Subject::reset);
  static_assert(std::is_void_v<decltype(t.get())>);
  static_assert(std::is_void_v<decltype(t())>);
  static_assert(std::is_void_v<decltype(std::move(t).get())>);
  t.get();
  t();
  t.get();
  std::move(t).get();
  CHECK_THROWS_AS(t.get(), apalis::Error);  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("an empty token is not valid and refuses get", "[tokens]") {
  Token<int> t;
  CHECK_FALSE(t.valid());
  CHECK_THROWS_AS(t.get(), apalis::Error);
  Token<void> v;
  CHECK_FALSE(v.valid());
  CHECK_THROWS_AS(v.get(), apalis::Error);
}

TEST_CASE("tokens move and never copy", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  static_assert(!std::is_copy_constructible_v<Token<int>>);
  static_assert(!std::is_copy_assignable_v<Token<int>>);
  static_assert(std::is_nothrow_move_constructible_v<Token<int>>);
  static_assert(std::is_nothrow_move_assignable_v<Token<int>>);
  auto h = on<Subject>(backend);
  auto a = h.call(&Subject::add, 1);
  auto b = std::move(a);
  CHECK_FALSE(a.valid());  // NOLINT(bugprone-use-after-move)
  CHECK_THROWS_AS(a.get(), apalis::Error);
  CHECK(b.get() == 1);
  auto c = h.call(&Subject::add, 1);
  b = std::move(c);
  CHECK(b.get() == 2);
  auto& self = b;
  b = std::move(self);
  CHECK((!b.valid() || b.get() == 2));
}

TEST_CASE("gets may come in any order", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  std::vector<Token<int>> tokens;
  for (int i = 0; i < 1000; ++i) tokens.push_back(h.call(&Subject::add, 1));
  for (std::size_t i = tokens.size(); i-- > 0;) CHECK(tokens[i].get() == static_cast<int>(i) + 1);
}

TEST_CASE("ready turns true without a get", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 1);
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!t.ready() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK(t.ready());
  CHECK(t.get() == 1);
  CHECK(t.ready());
}

TEST_CASE("wait returns when the result is there", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 1);
  t.wait();
  CHECK(t.ready());
  CHECK(t.wait_for(0ms));
  CHECK(t.wait_for(1h));
  CHECK(t.get() == 1);
}

TEST_CASE("a running call is not ready and a bounded wait for it ends", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  auto t = h.call(&Waiter::wait);
  auto v = h.call([](Waiter&) {});
  entered.pass();
  CHECK_FALSE(t.ready());
  CHECK(t.try_get() == nullptr);
  CHECK_FALSE(v.try_get());
  CHECK_FALSE(t.wait_for(0ms));
  const auto before = std::chrono::steady_clock::now();
  CHECK_FALSE(t.wait_for(20ms));
  CHECK(std::chrono::steady_clock::now() - before >= 20ms);
  leave.open();
  CHECK(t.wait_for(60s));
  CHECK(t.get() == 1);
  v.get();
}

TEST_CASE("try_get gives the result once it is there", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 4);
  static_assert(std::is_same_v<decltype(t.try_get()), const int*>);
  t.wait();
  const int* result = t.try_get();
  REQUIRE(result != nullptr);
  CHECK(*result == 4);
  CHECK(result == &t.get());
  auto v = h.call(&Subject::reset);
  static_assert(std::is_same_v<decltype(v.try_get()), bool>);
  v.wait();
  CHECK(v.try_get());
}

TEST_CASE("try_get throws the failure of its call", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::fail, 4);
  t.wait();
  CHECK(t.ready());
  CHECK_THROWS_AS(t.try_get(), std::out_of_range);
}

TEST_CASE("a failed token throws the same at every get", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::fail, 1);
  CHECK_THROWS_AS(t.get(), std::out_of_range);
  CHECK_THROWS_AS(t.get(), std::out_of_range);
  CHECK_THROWS_AS(t(), std::out_of_range);
  CHECK_THROWS_AS(std::move(t).get(), std::out_of_range);
}

TEST_CASE("cancel drops a call that has not started", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  auto running = h.call(&Waiter::wait);
  entered.pass();
  std::vector<Token<int>> queued;
  for (int i = 0; i < 10; ++i) queued.push_back(h.call(&Waiter::count));
  for (std::size_t i = 0; i < 10; i += 2) CHECK(queued[i].cancel());
  CHECK_FALSE(running.cancel());
  CHECK(queued[0].ready());
  CHECK_THROWS_AS(queued[0].get(), apalis::Cancelled);
  leave.open();
  CHECK(running.get() == 1);
  for (std::size_t i = 0; i < 10; ++i) {
    if (i % 2 == 0)
      CHECK_THROWS_AS(queued[i].get(), apalis::Cancelled);
    else
      CHECK(queued[i].get() == 2 + static_cast<int>(i / 2));
  }
  CHECK(h.call(&Waiter::seen).get() == 6);
}

TEST_CASE("cancel leaves a call alone that has ended", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  auto t = h.call(&Subject::add, 1);
  t.wait();
  CHECK_FALSE(t.cancel());
  CHECK(t.get() == 1);
  CHECK_FALSE(t.cancel());
}

TEST_CASE("cancel drops a large message that has not started", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  auto running = h.call(&Waiter::wait);
  entered.pass();
  const auto size_of = [](Waiter&, const std::string& s) { return s.size(); };
  auto kept = h.call(size_of, std::string(100'000, 'k'));
  auto dropped = h.call(size_of, std::string(100'000, 'd'));
  auto last = h.call(size_of, std::string(5, 'l'));
  CHECK(dropped.cancel());
  leave.open();
  CHECK(last.get() == 5);
  CHECK(kept.get() == 100'000);
  CHECK_THROWS_AS(dropped.get(), apalis::Cancelled);
}

TEST_CASE("a dropped token discards its result", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  for (std::size_t i = 0; i < 2000; ++i) {
    auto dropped = h.call(&Subject::text, i * 20);
  }
  { auto dropped = h.call(&Subject::fail, 1); }
  { auto dropped = h.call(&Subject::add, 7); }
  CHECK(h.call(&Subject::add, 1).get() == 8);
}

TEST_CASE("dropping the token of a running call does not block", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  {
    auto dropped = h.call(&Waiter::wait);
    entered.pass();
  }
  auto after = h.call(&Waiter::seen);
  CHECK_FALSE(after.ready());
  leave.open();
  CHECK(after.get() == 1);
}

TEST_CASE("tokens outlive their handler", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<Token<std::string>> tokens;
  Token<int> failed;
  {
    auto h = on<Subject>(backend);
    for (std::size_t i = 0; i < 200; ++i) tokens.push_back(h.call(&Subject::text, i * 100));
    failed = h.call(&Subject::fail, 1);
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    CHECK(tokens[i].ready());
    CHECK(tokens[i].get().size() == i * 100);
  }
  CHECK_THROWS_AS(failed.get(), std::out_of_range);
}

TEST_CASE("a token may be read by another thread than made it", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Subject>(backend);
  int result = 0;
  std::thread reader([&result, t = h.call(&Subject::add, 5)]() mutable { result = t.get(); });
  CHECK(h.call(&Subject::add, 1).get() == 6);
  reader.join();
  CHECK(result == 5);
}

TEST_CASE("a token is woken though another thread reads the same handler's replies", "[tokens]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave;
  auto h = on<Waiter>(backend, &entered, &leave);
  auto first = h.call(&Waiter::wait);
  auto second = h.call(&Waiter::count);
  int a = 0;
  int b = 0;
  std::thread one([&] { a = first.get(); });
  std::thread two([&] { b = second.get(); });
  entered.pass();
  leave.open();
  one.join();
  two.join();
  CHECK(a == 1);
  CHECK(b == 2);
}
