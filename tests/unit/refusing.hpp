// SPDX-License-Identifier: BSL-1.0
#pragma once

// System calls that fail on demand.
//
//   const Refusing no_memory(sys::Call::back, ENOMEM);       // until the end of the scope
//   const Refusing second(sys::Call::mmap, ENOMEM, 1, 1);    // after one success, once

#include <apalis/detail/sys/fault.hpp>
#include <atomic>
#include <limits>

namespace apalis::test {

/// One at a time.
class Refusing {
 public:
  Refusing(detail::sys::Call call, int code, int after = 0,
           int times = std::numeric_limits<int>::max()) {
    refused = call;
    errno_value = code;
    before = after;
    left = times;
    asked_ = 0;
    previous_ = detail::sys::set_fault_hook([](detail::sys::Call asked) noexcept {
      if (asked != refused) return 0;
      ++asked_;
      if (before > 0) {
        --before;
        return 0;
      }
      if (left == 0) return 0;
      --left;
      return errno_value.load();
    });
  }
  Refusing(const Refusing&) = delete;
  Refusing& operator=(const Refusing&) = delete;
  ~Refusing() { detail::sys::set_fault_hook(previous_); }

  /// How often the call was made.
  [[nodiscard]] static int asked() noexcept { return asked_; }

 private:
  static inline std::atomic<detail::sys::Call> refused{};
  static inline std::atomic<int> errno_value{0};
  static inline std::atomic<int> before{0};
  static inline std::atomic<int> left{0};
  static inline std::atomic<int> asked_{0};
  detail::sys::FaultHook previous_ = nullptr;
};

}  // namespace apalis::test
