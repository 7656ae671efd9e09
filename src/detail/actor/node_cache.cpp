// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/node_cache.hpp>
#include <new>

namespace apalis::detail::actor {
namespace {

struct Node {
  Node* next;
};

// AddressSanitizer sees no use after free of what is kept.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool keeps = false;
#elif defined(__has_feature)
constexpr bool keeps = !__has_feature(address_sanitizer);
#else
constexpr bool keeps = true;
#endif
constexpr std::size_t most_kept = keeps ? 4096 : 0;  // per thread: 768 kB

/// Trivially destructible, so that access needs no guard.
struct Cache {
  Node* top;
  std::size_t size;
  bool closed;  // the thread is ending: Sweeper has run
};
constinit thread_local Cache cache{nullptr, 0, false};

void release(Node* node) noexcept {
  ::operator delete(static_cast<void*>(node), node_alignment);
}

/// Empties the thread's cache when the thread ends.
struct Sweeper {
  ~Sweeper() {
    while (cache.top != nullptr) {
      Node* node = cache.top;
      cache.top = node->next;
      release(node);
    }
    cache.size = 0;
    cache.closed = true;
  }
  void arm() const noexcept {}
};
thread_local const Sweeper sweeper;

}  // namespace

void* allocate_node() {
  Node* node = cache.top;
  if (node != nullptr) [[likely]] {
    cache.top = node->next;
    --cache.size;
    return node;
  }
  return ::operator new(node_bytes, node_alignment);
}

void free_node(void* memory) noexcept {
  Node* node = ::new (memory) Node{cache.top};
  if constexpr (!keeps) return release(node);
  if (cache.size == 0) {
    if (cache.closed) return release(node);
    sweeper.arm();  // makes the runtime construct it, hence destroy it
  } else if (cache.size >= most_kept) {
    return release(node);
  }
  cache.top = node;
  ++cache.size;
}

}  // namespace apalis::detail::actor
