// SPDX-License-Identifier: BSL-1.0
// One-way calls to a group's objects: what drain, close, the hook and the destructor say of them.
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cell.hpp"

using apalis::GroupHandler;
using apalis::PostError;
using namespace conformance;

TEST_CASE("drain tells how many posts failed on all workers, and one of the firsts", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 3, 9);
  for (int x = 0; x < 9; ++x) g[static_cast<std::size_t>(x)].post(&Cell::odd, x);
  try {
    g.drain();
    FAIL("drain() kept quiet");
  } catch (const PostError& e) {
    CHECK(e.count() == 5);
    CHECK_THROWS_WITH(std::rethrow_exception(e.first()), "even 0");
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("even 0"));
  }
  g.drain();
  CHECK(g.map(&Cell::add, 0) == std::vector{0, 1, 0, 3, 0, 5, 0, 7, 0});
}

TEST_CASE("drain of a group waits for every post", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 5);
  for (int i = 0; i < 5000; ++i) g[static_cast<std::size_t>(i) % 5].post(&Cell::grow, 1);
  g.drain();
  CHECK(g.map(&Cell::add, 0) == std::vector<int>(5, 1000));
}

TEST_CASE("close of a group throws what its posts failed with", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto g = cells(backend, 2, 4);
  g[1].post(&Cell::odd, 2);
  g[2].post(&Cell::odd, 4);
  try {
    g.close();
    FAIL("close() kept quiet");
  } catch (const PostError& e) {
    CHECK(e.count() == 2);
  }
  g.close();
}

TEST_CASE("the error hook hears of failed posts in a group that is dropped", "[group]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::mutex mutex;  // the destructor may tell from whichever thread learns of it
  std::size_t told = 0;
  auto options = group_options(backend, 2);
  options.on_error = [&](const std::exception_ptr& error) {
    const std::lock_guard lock{mutex};
    ++told;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception&) {
    }
  };
  {
    GroupHandler<Cell> g{options, std::in_place, 4};
    g[0].post(&Cell::odd, 2);
    g[1].post(&Cell::odd, 2);
  }
  const std::lock_guard lock{mutex};
  CHECK(told >= 2);
}
