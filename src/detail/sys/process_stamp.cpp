// SPDX-License-Identifier: BSL-1.0
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <apalis/detail/sys/process_stamp.hpp>

namespace apalis::detail::sys::stamp {

constinit std::atomic<const std::atomic<std::uint64_t>*> page{nullptr};

namespace {

using Word = std::atomic<std::uint64_t>;

constinit std::atomic<Word*> writable{nullptr};
constinit Word fallback{0};

/// A page that is zero in every fork; where the kernel can't (before 4.14), a word that the C
/// library's fork handler clears, which only a raw clone() escapes.
Word* make_page() noexcept {
  void* memory =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) {
    if (::madvise(memory, 4096, MADV_WIPEONFORK) == 0) return ::new (memory) Word{0};
    ::munmap(memory, 4096);
  }
  ::pthread_atfork(nullptr, nullptr, [] { fallback.store(0, std::memory_order_relaxed); });
  return &fallback;
}

Word& word() noexcept {
  Word* current = writable.load(std::memory_order_acquire);
  if (current == nullptr) {
    Word* fresh = make_page();
    if (writable.compare_exchange_strong(current, fresh, std::memory_order_acq_rel)) {
      current = fresh;
    } else if (fresh != &fallback) {
      ::munmap(static_cast<void*>(fresh), 4096);
    }
    page.store(current, std::memory_order_release);  // partner: process_stamp()'s acquire
  }
  return *current;
}

}  // namespace

std::uint64_t renew() noexcept {
  // A pid alone could come back in a grandchild; the generation counts forks on the way down.
  static constinit std::atomic<std::uint64_t> generation{0};
  const auto fresh = (generation.fetch_add(1) + 1) << 32 | static_cast<std::uint32_t>(::getpid());
  Word& value = word();
  std::uint64_t expected = 0;
  if (value.compare_exchange_strong(expected, fresh)) return fresh;
  return expected;
}

}  // namespace apalis::detail::sys::stamp
