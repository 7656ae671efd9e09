// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a coroutine yields, as an input range that moves and is read once (C++23: std::generator).

#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace support {

template <class T>
class Generator {
 public:
  struct promise_type {
    T* value = nullptr;
    std::exception_ptr error;

    Generator get_return_object() { return Generator{Handle::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(T& yielded) noexcept {
      value = &yielded;
      return {};
    }
    std::suspend_always yield_value(T&& yielded) noexcept { return yield_value(yielded); }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Generator(Handle handle) noexcept : handle_(handle) {}
  Generator(Generator&& other) noexcept
      : handle_(std::exchange(other.handle_, {})), begun_(other.begun_) {}
  Generator& operator=(Generator&&) = delete;
  ~Generator() {
    if (handle_) handle_.destroy();
  }

  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(Handle handle) noexcept : handle_(handle) {}
    /// To be moved from.
    T&& operator*() const noexcept { return std::move(*handle_.promise().value); }
    Iterator& operator++() {
      handle_.resume();
      if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] bool operator==(std::default_sentinel_t /*end*/) const noexcept {
      return handle_.done();
    }

   private:
    Handle handle_;
  };

  [[nodiscard]] Iterator begin() {
    if (std::exchange(begun_, true)) throw std::logic_error("this generator was read before");
    Iterator at{handle_};
    return ++at;
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  Handle handle_;
  bool begun_ = false;
};

}  // namespace support
