// SPDX-License-Identifier: BSL-1.0
// One-way calls: post, drain, and where their failures surface.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends.hpp"
#include "gate.hpp"

using apalis::Handler;
using namespace conformance;

namespace {

struct Ledger {
  int total = 0;
  std::vector<int> order;
  int add(int x) { return total += x; }
  void append(int x) { order.push_back(x); }
  void refuse(int x) { throw std::invalid_argument("refused " + std::to_string(x)); }
  int* address() { return &total; }
  std::unique_ptr<int> own(std::unique_ptr<int> p) {
    total += *p;
    return p;
  }
};

void expect_post_error(Handler<Ledger>& h, std::size_t count, const std::string& first) {
  try {
    h.drain();
    FAIL("drain() kept quiet");
  } catch (const apalis::PostError& e) {
    CHECK(e.count() == count);
    try {
      std::rethrow_exception(e.first());
    } catch (const std::invalid_argument& inner) {
      CHECK(std::string(inner.what()) == first);
      CHECK(dynamic_cast<const apalis::RemoteError*>(&inner) != nullptr);
    }
  }
}

// What is written to stderr while `body` runs.
template <class Body>
std::string stderr_of(Body body) {
  std::fflush(stderr);
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  const int saved = ::fcntl(2, F_DUPFD_CLOEXEC, 3);
  ::dup2(::fileno(file), 2);
  std::exception_ptr failure;
  try {
    body();
  } catch (...) {
    failure = std::current_exception();
  }
  std::fflush(stderr);
  ::dup2(saved, 2);
  ::close(saved);
  std::string text;
  std::array<char, 4096> buffer{};
  ::lseek(::fileno(file), 0, SEEK_SET);
  for (ssize_t n = 0; (n = ::read(::fileno(file), buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  std::fclose(file);
  if (failure) std::rethrow_exception(failure);
  return text;
}

}  // namespace

TEST_CASE("drain waits until every post has run", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  for (int i = 0; i < 10'000; ++i) h.post(&Ledger::add, 1);
  h.post<&Ledger::add>(5);
  h.post([](Ledger& l, int x) { l.total += x; }, 10);
  h.drain();
  CHECK(h.get(&Ledger::total).get() == 10'015);
  h.drain();
}

TEST_CASE("drain waits for a call whose token was dropped", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  if (!runs_beside(backend)) return;
  Gate entered, leave, ended;
  struct Late {
    Gate* entered;
    Gate* leave;
    Gate* ended;
    int run() {
      entered->open();
      leave->pass();
      ended->open();
      return 1;
    }
  };
  auto h = on<Late>(backend, &entered, &leave, &ended);
  { auto dropped = h.call(&Late::run); }
  entered.pass();
  leave.open();
  h.drain();
  CHECK(ended.pass_within(std::chrono::milliseconds(0)));
}

TEST_CASE("drain on a handler without work returns at once", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  h.drain();
  h.drain();
  CHECK(h.call(&Ledger::add, 1).get() == 1);
}

TEST_CASE("posts, calls, sets and gets of one thread keep their order", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  std::vector<apalis::Token<int>> sums;
  int expected = 0;
  for (int i = 0; i < 2000; ++i) {
    switch (i % 4) {
      case 0:
        h.post(&Ledger::add, i);
        expected += i;
        break;
      case 1:
        h.set(&Ledger::total, i);
        expected = i;
        break;
      case 2:
        sums.push_back(h.get(&Ledger::total));
        CHECK(sums.back().get() == expected);
        break;
      default:
        h.post(&Ledger::append, i);
        sums.push_back(h.call(&Ledger::add, 1));
        expected += 1;
    }
  }
  h.drain();
  CHECK(h.get(&Ledger::total).get() == expected);
  const auto order = h.get(&Ledger::order).get();
  CHECK(order.size() == 500);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a post takes move-only arguments and drops any result", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  h.post(&Ledger::own, std::make_unique<int>(4));
  h.post(&Ledger::address);
  h.post([](Ledger& l) -> int& { return l.total; });
  h.drain();
  CHECK(h.get(&Ledger::total).get() == 4);
}

TEST_CASE("the first failure of the posts and their count surface at drain", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  h.post(&Ledger::add, 1);
  for (int i = 10; i < 15; ++i) h.post(&Ledger::refuse, i);
  h.post(&Ledger::add, 1);
  expect_post_error(h, 5, "refused 10");
  CHECK(h.get(&Ledger::total).get() == 2);
  h.drain();  // told once
  h.post(&Ledger::refuse, 20);
  expect_post_error(h, 1, "refused 20");
}

TEST_CASE("a call does not throw what a post before it threw", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  h.post(&Ledger::refuse, 1);
  CHECK(h.call(&Ledger::add, 2).get() == 2);
  expect_post_error(h, 1, "refused 1");
}

TEST_CASE("failures of calls do not surface at drain", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  auto kept = h.call(&Ledger::refuse, 1);
  { auto dropped = h.call(&Ledger::refuse, 2); }
  CHECK_NOTHROW(h.drain());
  CHECK_THROWS_AS(kept.get(), std::invalid_argument);
}

TEST_CASE("close tells of failed posts as drain does", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Ledger>(backend);
  h.post(&Ledger::refuse, 1);
  h.post(&Ledger::refuse, 2);
  try {
    h.close();
    FAIL("close() kept quiet");
  } catch (const apalis::PostError& e) {
    CHECK(e.count() == 2);
    CHECK_THROWS_AS(std::rethrow_exception(e.first()), std::invalid_argument);
  }
  CHECK_FALSE(h.alive());
}

TEST_CASE("the error hook hears of a failed post", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<std::string> heard;
  apalis::Options options = options_for(backend);
  options.on_error = [&heard](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      heard.emplace_back(e.what());
    }
  };
  Handler<Ledger> h{options, std::in_place};
  h.post(&Ledger::refuse, 7);
  h.post(&Ledger::add, 1);
  try {
    h.drain();
  } catch (const apalis::PostError& e) {
    CHECK(e.count() == 1);
  }
  REQUIRE(heard.size() == 1);
  CHECK(contains(heard[0], "refused 7"));
}

TEST_CASE("a destructor tells stderr of post failures that nobody asked for", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  const std::string text = stderr_of([&] {
    auto h = on<Ledger>(backend);
    h.post(&Ledger::refuse, 1);
    h.post(&Ledger::refuse, 2);
  });
  CAPTURE(text);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(contains(text, "apalis"));
  CHECK(contains(text, "refused 1"));
}

TEST_CASE("a destructor says nothing where the failures surfaced before", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  CHECK(stderr_of([&] {
          auto h = on<Ledger>(backend);
          h.post(&Ledger::refuse, 1);
          CHECK_THROWS_AS(h.drain(), apalis::PostError);
          h.post(&Ledger::add, 1);
        }).empty());
}

TEST_CASE("a destructor tells the error hook, not stderr", "[posts]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  int heard = 0;
  CHECK(stderr_of([&] {
          apalis::Options options = options_for(backend);
          options.on_error = [&heard](std::exception_ptr) { ++heard; };
          Handler<Ledger> h{options, std::in_place};
          h.post(&Ledger::refuse, 1);
        }).empty());
  CHECK(heard >= 1);  // of the failure when it is known, and of what the destructor can't throw
}
