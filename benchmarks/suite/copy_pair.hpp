// SPDX-License-Identifier: BSL-1.0
#pragma once

// The reference of payloads: a forked process copies what its parent has just written, from shared
// memory into memory of its own that it has used before. No data crosses cores with fewer steps.

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "interleave.hpp"

namespace apalis::bench {

class CopyPair {
 public:
  explicit CopyPair(std::size_t doubles);
  ~CopyPair();
  CopyPair(const CopyPair&) = delete;
  CopyPair& operator=(const CopyPair&) = delete;

  /// Each sample writes the source here and times the copying there, by the process that copies.
  [[nodiscard]] Side side();

 private:
  struct Shared {
    alignas(128) std::atomic<std::uint32_t> order;
    alignas(128) std::atomic<std::uint32_t> done;
    double nanoseconds;
  };
  static constexpr std::uint32_t asleep = 0;  // the order that ends a block

  [[noreturn]] void serve(int wake_fd) noexcept;
  void order(std::uint32_t stamp) noexcept;

  std::size_t bytes_;
  Shared* shared_;
  std::span<double> source_;
  std::uint32_t stamp_ = asleep;
  int wake_fd_;
  pid_t child_;
};

/// Writes all of it, so that it is in this core's caches as far as they reach.
void make_dirty(std::span<double> source);

}  // namespace apalis::bench
