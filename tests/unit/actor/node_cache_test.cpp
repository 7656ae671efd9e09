// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/node_cache.hpp>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/sanitizers.hpp"

using apalis::detail::actor::allocate_node;
using apalis::detail::actor::free_node;
using apalis::detail::actor::node_bytes;

namespace {

/// Nodes that were taken from the heap and not given back to it, be they in use or in a cache.
std::atomic<long> nodes{0};
std::atomic<bool> heap_is_full{false};

}  // namespace

// Every over-aligned allocation of this program comes by here: nodes, and nothing else.
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (heap_is_full) throw std::bad_alloc{};
  const auto step = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(step, (size + step - 1) / step * step);
  if (memory == nullptr) throw std::bad_alloc{};
  ++nodes;
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept {
  if (memory != nullptr) --nodes;
  std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc)
}
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}

namespace {

/// Runs `body` in a thread and returns how many nodes more there are after its end.
template <class F>
long left_by_thread(F body) {
  const long before = nodes;
  std::thread{std::move(body)}.join();
  return nodes - before;
}

}  // namespace

TEST_CASE("nodes are aligned and apart", "[node_cache]") {
  CHECK(left_by_thread([] {
          std::vector<void*> held;
          for (int i = 0; i < 100; ++i) {
            held.push_back(allocate_node());
            std::memset(held.back(), i, node_bytes);
          }
          for (int i = 0; i < 100; ++i) {
            const auto* bytes =
                static_cast<const unsigned char*>(held[static_cast<std::size_t>(i)]);
            if (reinterpret_cast<std::uintptr_t>(bytes) % 64 != 0) std::abort();
            for (std::size_t k = 0; k < node_bytes; ++k)
              if (bytes[k] != i) std::abort();
          }
          for (void* node : held) free_node(node);
        }) == 0);
}

TEST_CASE("a freed node is the next one given out", "[node_cache]") {
  if (apalis::test::under_asan) return;  // where nothing is kept, for its sake
  bool same = true;
  CHECK(left_by_thread([&] {
          void* const first = allocate_node();
          void* const second = allocate_node();
          free_node(first);
          free_node(second);
          same = allocate_node() == second && allocate_node() == first;
          free_node(first);
          free_node(second);
        }) == 0);
  CHECK(same);
}

TEST_CASE("in the long run no node comes from the heap", "[node_cache]") {
  if (apalis::test::under_asan) return;  // where nothing is kept, for its sake
  long grown = -1;
  CHECK(left_by_thread([&] {
          std::vector<void*> held;
          const auto round = [&] {
            for (int i = 0; i < 1000; ++i) held.push_back(allocate_node());
            for (void* node : held) free_node(node);
            held.clear();
          };
          round();
          const long before = nodes;
          heap_is_full = true;  // nobody may ask it
          for (int i = 0; i < 10; ++i) round();
          heap_is_full = false;
          grown = nodes - before;
        }) == 0);
  CHECK(grown == 0);
}

TEST_CASE("a cache is bounded", "[node_cache]") {
  if (apalis::test::under_asan) return;  // where nothing is kept, for its sake
  long kept = 0;
  CHECK(left_by_thread([&] {
          const long before = nodes;
          std::vector<void*> held;
          held.reserve(20'000);
          for (int i = 0; i < 20'000; ++i) held.push_back(allocate_node());
          for (void* node : held) free_node(node);
          kept = nodes - before;
        }) == 0);
  CHECK(kept > 0);
  CHECK(kept < 10'000);
}

TEST_CASE("a node may be freed by another thread than the one it was made for", "[node_cache]") {
  std::array<void*, 50> held{};
  const long before = nodes;
  CHECK(left_by_thread([&] {
          for (void*& node : held) node = allocate_node();
        }) == 50);
  CHECK(left_by_thread([&] {
          for (void* node : held) free_node(node);
        }) == -50);
  CHECK(nodes == before);
}

TEST_CASE("full memory is std::bad_alloc, and the cache goes on", "[node_cache]") {
  bool thrown = false;
  CHECK(left_by_thread([&] {
          heap_is_full = true;
          try {
            (void)allocate_node();
          } catch (const std::bad_alloc&) {
            thrown = true;
          }
          heap_is_full = false;
          free_node(allocate_node());
        }) == 0);
  CHECK(thrown);
}

// A thread_local token, or one in a static object, may outlive its thread's cache.
TEST_CASE("nodes that are freed after the thread's cache was closed go to the heap",
          "[node_cache]") {
  struct Late {
    std::array<void*, 5> held{};
    ~Late() {
      for (void* node : held)
        if (node != nullptr) free_node(node);
      free_node(allocate_node());
    }
  };
  for (const bool cache_is_empty : {true, false}) {
    CAPTURE(cache_is_empty);
    CHECK(left_by_thread([&] {
            thread_local Late late;  // before the cache, hence destroyed after it
            for (std::size_t i = 0; i < 3; ++i) late.held[i] = allocate_node();
            void* const first = allocate_node();
            void* const second = allocate_node();
            free_node(first);
            free_node(second);
            if (!cache_is_empty) return;
            late.held[3] = allocate_node();
            late.held[4] = allocate_node();
          }) == 0);
  }
}
