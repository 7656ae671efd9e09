// SPDX-License-Identifier: BSL-1.0
#include "meter.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

thread_local bool metering = false;
thread_local std::size_t held = 0;
thread_local std::size_t most = 0;

void* take(std::size_t size, std::size_t alignment) noexcept {
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = std::malloc(std::max<std::size_t>(size, 1));
  } else if (::posix_memalign(&memory, alignment, size) != 0) {
    memory = nullptr;
  }
  if (memory != nullptr && metering) {
    held += ::malloc_usable_size(memory);
    most = std::max(most, held);
  }
  return memory;
}

void give_back(void* memory) noexcept {
  // What was taken before the metering began may be given back in it.
  if (memory != nullptr && metering) held -= std::min(held, ::malloc_usable_size(memory));
  std::free(memory);
}

void* take_or_throw(std::size_t size, std::size_t alignment) {
  if (void* const memory = take(size, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// The whole program's. Inlined, g++ would take free() for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t n) {
  return take_or_throw(n, 1);
}
[[gnu::noinline]] void* operator new(std::size_t n, std::align_val_t alignment) {
  return take_or_throw(n, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return take(n, 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  give_back(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  give_back(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  give_back(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  give_back(memory);
}
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
  give_back(memory);
}

namespace apalis::fuzz {
namespace {

// An element of a byte may be a map's node, or a struct of strings; a chain of exceptions names the
// causes of each of its 64.
constexpr std::size_t most_each = 256;
constexpr std::size_t most_in_any_case = std::size_t{64} * 1024;

}  // namespace

Meter::Meter() {
  held = 0;
  most = 0;
  metering = true;
}

Meter::~Meter() {
  metering = false;
}

void Meter::allow(std::size_t bytes) const {
  if (most <= most_in_any_case + bytes * most_each) return;
  std::fprintf(stderr, "%zu bytes of input made the decoding hold %zu bytes\n", bytes, most);
  std::abort();
}

}  // namespace apalis::fuzz
