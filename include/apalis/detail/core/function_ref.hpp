// SPDX-License-Identifier: BSL-1.0
#pragma once

// A callable that somebody else owns: for parameters.
//
//   bool any(std::span<const int> xs, FunctionRef<bool(int)> is_wanted);

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace apalis::detail {

template <class Signature>
class FunctionRef;

/// **Owns** nothing: what it was made from must outlive it.
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<R, F&, Args...>)
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): never for FunctionRef, see requires
  explicit(false) FunctionRef(F&& f) noexcept
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace apalis::detail
