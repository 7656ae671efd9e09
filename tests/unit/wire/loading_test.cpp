// SPDX-License-Identifier: BSL-1.0
//
// Bytes that cereal alone would believe.
#include <pthread.h>

#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/loading.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "round_trip.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

using namespace apalis::detail::wire;
using apalis::test::round_trip;

namespace {

struct Tree {
  std::vector<Tree> children;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(children);
  }
};

struct Node {
  std::unique_ptr<Node> next;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(next);
  }
};

// Its functions save nothing.
struct Nothing {
  template <class Archive>
  void serialize(Archive&) {}
};

struct Base {
  int n = 1;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(n);
  }
};

using Bytes = std::vector<std::byte>;

template <class T>
T decoded(const Bytes& bytes) {
  Reader reader{bytes};
  return decode<T>(reader);
}

Bytes bytes_of(const Buffer& buffer) {
  const auto bytes = buffer.bytes();
  return {bytes.begin(), bytes.end()};
}

void append_size(Bytes& bytes, std::uint64_t size) {
  Buffer buffer;
  buffer.append_size(size);
  bytes.insert(bytes.end(), buffer.data(), buffer.data() + buffer.size());
}

/// Calls `use` on a thread with little stack.
template <class Use>
void on_small_stack(Use use) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::size_t{512} * 1024);
  pthread_t thread{};
  const int code = pthread_create(
      &thread, &attributes,
      [](void* argument) -> void* {
        (*static_cast<Use*>(argument))();
        return nullptr;
      },
      &use);
  pthread_attr_destroy(&attributes);
  if (code != 0) throw std::runtime_error("pthread_create failed");
  pthread_join(thread, nullptr);
}

int depth(const Node* node) {
  int levels = 0;
  for (; node != nullptr; node = node->next.get()) ++levels;
  return levels;
}

template <class T>
bool is_malformed(const Bytes& bytes) {
  try {
    (void)decoded<T>(bytes);
    return false;
  } catch (const Malformed&) {
    return true;
  }
}

}  // namespace

TEST_CASE("bytes don't say how much stack is used", "[loading]") {
  // A level a byte: a million frames. Each vector holds one that holds one…
  const Bytes endless(1'000'000, std::byte{1});
  if (!apalis::test::under_tsan) {  // which notes the whole stack of each allocation: gigabytes
    CHECK(is_malformed<Tree>(endless));
    CHECK(is_malformed<std::unique_ptr<Node>>(endless));
  }
  bool small = false;
  on_small_stack(
      [&] { small = is_malformed<Tree>(endless) && is_malformed<std::unique_ptr<Node>>(endless); });
  CHECK(small);
}

TEST_CASE("what is deep and fits is loaded", "[loading]") {
  constexpr int levels = 500;
  Bytes bytes(levels, std::byte{1});
  bytes.push_back(std::byte{0});
  CHECK(depth(decoded<std::unique_ptr<Node>>(bytes).get()) == levels);
}

TEST_CASE("no object is taken for one of another type", "[loading]") {
  using Two = std::pair<std::shared_ptr<std::string>, std::shared_ptr<std::vector<double>>>;
  Buffer buffer;
  encode(buffer,
         Two{std::make_shared<std::string>("text"), std::make_shared<std::vector<double>>(2)});
  auto bytes = bytes_of(buffer);
  REQUIRE(decoded<Two>(bytes).second->size() == 2);
  // [new 1][size and text][new 2][vector]: the second becomes the first.
  const std::size_t second = 4 + 1 + 4;
  bytes.at(second) = std::byte{1};
  bytes.at(second + 3) = std::byte{0};
  CHECK(is_malformed<Two>(bytes));

  using Same = std::pair<std::shared_ptr<std::string>, std::shared_ptr<const std::string>>;
  const auto text = std::make_shared<std::string>("text");
  const auto same = round_trip(Same{text, text});
  CHECK(same.first == same.second);
}

TEST_CASE("elements that take no bytes are not made without end", "[loading]") {
  // Each of many vectors announces as many elements of nothing as there are bytes left.
  constexpr std::size_t size = 200'000;
  Bytes bytes;
  append_size(bytes, size / 9 - 8);
  while (bytes.size() < size) append_size(bytes, size - bytes.size() - 9);
  CHECK(is_malformed<std::vector<std::vector<Nothing>>>(bytes));

  std::vector<std::vector<Nothing>> many(100, std::vector<Nothing>(300));
  const auto copy = round_trip(many);
  CHECK(copy.size() == 100);
  CHECK(copy.back().size() == 300);
  const auto map =
      round_trip(std::map<int, std::vector<std::pair<Nothing, Nothing>>>{{1, {{}, {}}}});
  CHECK(map.at(1).size() == 2);
  CHECK(round_trip(std::pair{many, std::string("behind")}, 3).second == "behind");
}

TEST_CASE("elements are not made before their bytes are there", "[loading]") {
  using Large = std::array<double, 512>;
  STATIC_REQUIRE(LeastBytes<Large>::value == sizeof(Large));
  STATIC_REQUIRE(LeastBytes<std::pair<Nothing, int>>::value == sizeof(int));
  STATIC_REQUIRE(LeastBytes<std::pair<bool, std::array<Large, 2>>>::value == 1 + 2 * sizeof(Large));
  STATIC_REQUIRE(LeastBytes<std::string>::value == 0);
  const auto many = round_trip(std::map<int, std::deque<Large>>{{1, std::deque<Large>(3)}});
  CHECK(many.at(1).size() == 3);
  Bytes bytes;
  append_size(bytes, 1000);
  bytes.resize(1000 + sizeof(Large));
  CHECK(is_malformed<std::deque<Large>>(bytes));
}

TEST_CASE("a vector is loaded from wherever its bytes are", "[loading]") {
  struct alignas(32) Wide {
    double values[4] = {1, 2, 3, 4};
  };
  Buffer buffer;
  encode(buffer, std::vector<Wide>(3));
  const auto room = std::make_unique<std::byte[]>(buffer.size() + 64);
  for (std::size_t shift = 0; shift < 64; shift += 8) {
    std::memcpy(room.get() + shift, buffer.data(), buffer.size());
    Reader reader{{room.get() + shift, buffer.size()}};
    const auto copy = decode<std::vector<Wide>>(reader);
    REQUIRE(copy.size() == 3);
    CHECK(copy[2].values[3] == 4);
  }
}
