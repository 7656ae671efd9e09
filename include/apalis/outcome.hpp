// SPDX-License-Identifier: BSL-1.0
#pragma once

// What one call of a batch came to: its result or its failure.
//
//   for (const apalis::Outcome<int>& outcome : error.outcomes<int>())
//     if (outcome) sum += outcome.value();

#include <exception>
#include <optional>
#include <utility>

namespace apalis {

/// **Owns** the result or the exception. **Threads** as a std::vector. **Throws** value() rethrows
/// the failure. A moved-from Outcome keeps what it was, with a moved-from value or a null error.
template <class R>
class [[nodiscard]] Outcome {
 public:
  template <class... Args>
  explicit Outcome(std::in_place_t, Args&&... args)
      : value_(std::in_place, std::forward<Args>(args)...) {}
  explicit Outcome(std::exception_ptr error) noexcept : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] const R& value() const& {
    if (!has_value()) std::rethrow_exception(error_);
    return *value_;
  }
  [[nodiscard]] R& value() & {
    if (!has_value()) std::rethrow_exception(error_);
    return *value_;
  }
  [[nodiscard]] R value() && {
    if (!has_value()) std::rethrow_exception(error_);
    return std::move(*value_);
  }
  /// Null if there is a value.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

 private:
  std::optional<R> value_;
  std::exception_ptr error_;  // null if and only if value_ holds something
};

/// The outcome of a call without result.
template <>
class [[nodiscard]] Outcome<void> {
 public:
  explicit Outcome(std::in_place_t) noexcept {}
  explicit Outcome(std::exception_ptr error) noexcept : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return error_ == nullptr; }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (!has_value()) std::rethrow_exception(error_);
  }
  /// Null if the call succeeded.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

 private:
  std::exception_ptr error_;
};

}  // namespace apalis
