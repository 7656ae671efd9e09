// SPDX-License-Identifier: BSL-1.0
#pragma once

// The two ways in which an object gets to where it lives.

#include <apalis/detail/actor/link.hpp>
#include <memory>
#include <tuple>
#include <utility>

namespace apalis::detail::actor {

/// Constructs it there.
template <class A, class... Args>
class InPlaceMaker final : public Maker {
 public:
  explicit InPlaceMaker(Args&&... args)
      : Maker([](void* object) noexcept { delete static_cast<A*>(object); }),
        args_(std::forward<Args>(args)...) {}

  void* make() override {
    return std::apply([](auto&&... args) { return new A(std::forward<Args>(args)...); },
                      std::move(args_));
  }

 private:
  std::tuple<Args&&...> args_;  // the constructor's caller outlives this
};

/// Hands over one that was made before. A fork leaves a copy with the parent, which ends with this
/// maker.
template <class A>
class CarryMaker final : public Maker {
 public:
  explicit CarryMaker(std::unique_ptr<A> object)
      : Maker([](void* o) noexcept { delete static_cast<A*>(o); }), object_(std::move(object)) {}

  void* make() override { return object_.release(); }

 private:
  std::unique_ptr<A> object_;
};

}  // namespace apalis::detail::actor
