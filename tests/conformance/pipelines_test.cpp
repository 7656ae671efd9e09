// SPDX-License-Identifier: BSL-1.0
// Any number of calls in flight, in any order of gets, with any sizes, never deadlocks.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "backends.hpp"

using apalis::Handler;
using apalis::Token;
using namespace conformance;

namespace {

struct Mill {
  std::uint64_t calls = 0;
  std::uint64_t next() { return ++calls; }
  std::string echo(const std::string& s) { return s; }
  std::size_t swallow(const std::string& s) { return s.size(); }
  std::string produce(std::size_t n) { return std::string(n, 'p'); }
};

// Mostly small, now and then 300 kB: about 100 MB for 100 000 of them.
std::size_t mixed_size(std::mt19937& random) {
  const auto dice = random() % 1000;
  if (dice < 250) return 0;
  if (dice < 900) return random() % 200;
  if (dice < 998) return random() % 4000;
  return random() % 300'001;
}

std::vector<std::size_t> shuffled(std::size_t n, std::mt19937& random) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

}  // namespace

TEST_CASE("100 000 calls are in flight before the first get", "[pipelines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Mill>(backend);
  std::vector<Token<std::uint64_t>> tokens;
  for (int i = 0; i < 100'000; ++i) tokens.push_back(h.call<&Mill::next>());
  std::mt19937 random(1);
  bool same = true;
  for (std::size_t i : shuffled(tokens.size(), random)) same = same && tokens[i].get() == i + 1;
  CHECK(same);
}

TEST_CASE("100 000 calls of mixed sizes are got in random order", "[pipelines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Mill>(backend);
  std::mt19937 random(2);
  std::vector<std::size_t> sizes(100'000);
  std::vector<Token<std::string>> tokens;
  for (auto& size : sizes) {
    size = mixed_size(random);
    tokens.push_back(h.call(&Mill::echo, std::string(size, static_cast<char>('a' + size % 26))));
  }
  bool same = true;
  for (std::size_t i : shuffled(tokens.size(), random))
    same = same && std::move(tokens[i]).get() ==
                       std::string(sizes[i], static_cast<char>('a' + sizes[i] % 26));
  CHECK(same);
}

TEST_CASE("large results pile up while the parent goes on submitting", "[pipelines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Mill>(backend);
  std::vector<Token<std::string>> tokens;
  for (std::size_t i = 0; i < 2000; ++i) tokens.push_back(h.call(&Mill::produce, 100'000 + i));
  bool same = true;
  for (std::size_t i = tokens.size(); i-- > 0;)
    same = same && tokens[i].get().size() == 100'000 + i;
  CHECK(same);
}

TEST_CASE("large arguments pile up while the results stay small", "[pipelines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Mill>(backend);
  std::vector<Token<std::size_t>> tokens;
  for (std::size_t i = 0; i < 2000; ++i)
    tokens.push_back(h.call(&Mill::swallow, std::string(100'000 + i, 's')));
  bool same = true;
  for (std::size_t i = 0; i < tokens.size(); ++i) same = same && tokens[i].get() == 100'000 + i;
  CHECK(same);
}

TEST_CASE("every second token is dropped while others are got late", "[pipelines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Mill>(backend);
  std::vector<Token<std::string>> kept;
  for (std::size_t i = 0; i < 20'000; ++i) {
    auto t = h.call(&Mill::produce, i % 3000);
    if (i % 2 == 0) kept.push_back(std::move(t));
  }
  bool same = true;
  for (std::size_t i = kept.size(); i-- > 0;) same = same && kept[i].get().size() == 2 * i % 3000;
  CHECK(same);
}

TEST_CASE("several handlers are kept busy from one thread", "[pipelines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::vector<Handler<Mill>> handlers;
  for (int i = 0; i < 4; ++i) handlers.push_back(on<Mill>(backend));
  std::mt19937 random(3);
  std::vector<std::size_t> sizes(20'000);
  std::vector<Token<std::string>> tokens;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = mixed_size(random);
    tokens.push_back(handlers[i % 4].call(&Mill::echo, std::string(sizes[i], 'e')));
  }
  bool same = true;
  for (std::size_t i : shuffled(tokens.size(), random))
    same = same && tokens[i].get().size() == sizes[i];
  CHECK(same);
}

TEST_CASE("a slow reader holds nothing up between two handlers", "[pipelines]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto full = on<Mill>(backend);
  auto other = on<Mill>(backend);
  std::vector<Token<std::string>> piled;
  for (std::size_t i = 0; i < 500; ++i) piled.push_back(full.call(&Mill::produce, 50'000U));
  for (std::size_t i = 0; i < 500; ++i) CHECK(other.call(&Mill::next).get() == i + 1);
  for (auto& t : piled) CHECK(t.get().size() == 50'000);
}
