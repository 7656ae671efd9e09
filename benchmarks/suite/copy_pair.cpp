// SPDX-License-Identifier: BSL-1.0
#include "copy_pair.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "raw_calls.hpp"
#include "stopwatch.hpp"

namespace apalis::bench {

CopyPair::CopyPair(std::size_t doubles)
    : bytes_(doubles * sizeof(double)),
      shared_(new (shared_memory(sizeof(Shared))) Shared{}),
      source_(static_cast<double*>(shared_memory(bytes_)), doubles) {
  make_dirty(source_);
  (void)calibration();
  const auto [read_end, write_end] = make_pipe();
  child_ = checked(fork(), "fork");
  if (child_ == 0) {
    die_with_parent();
    close(write_end);
    serve(read_end);
  }
  close(read_end);
  wake_fd_ = write_end;
}

CopyPair::~CopyPair() {
  end_child(child_);
  close(wake_fd_);
  munmap(source_.data(), bytes_);
  munmap(shared_, sizeof(Shared));
}

void CopyPair::serve(int wake_fd) noexcept {
  std::vector<double> target(source_.size(), 1.0);
  for (char byte; read(wake_fd, &byte, 1) == 1;) {
    std::uint32_t last = asleep;
    do {
      std::uint32_t stamp;
      while ((stamp = shared_->order.load(std::memory_order_acquire)) == last) pause_core();
      last = stamp;
      if (stamp != asleep)
        shared_->nanoseconds =
            timed(1, [&] { std::memcpy(target.data(), source_.data(), bytes_); });
      keep(*target.data());
      shared_->done.store(stamp, std::memory_order_release);
    } while (last != asleep);
  }
  _exit(0);
}

void CopyPair::order(std::uint32_t stamp) noexcept {
  shared_->order.store(stamp, std::memory_order_release);
  while (shared_->done.load(std::memory_order_acquire) != stamp) pause_core();
}

Side CopyPair::side() {
  return {.sample =
              [this] {
                make_dirty(source_);
                if (++stamp_ == asleep) ++stamp_;
                order(stamp_);
                return shared_->nanoseconds;
              },
          .begin = [this] { checked(write(wake_fd_, "", 1), "write"); },
          .end = [this] { order(asleep); }};
}

void make_dirty(std::span<double> source) {
  const double next = source.front() + 1;
  std::fill(source.begin(), source.end(), next);
  keep(*source.data());
}

}  // namespace apalis::bench
