// SPDX-License-Identifier: BSL-1.0
#pragma once

// The two ways in which an object gets to where it lives.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/sendable.hpp>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace apalis::detail::actor {

/// As what a constructor's argument is sent: string literals have no end that bytes could show.
template <class Argument>
using sent_as_t =
    std::conditional_t<std::is_same_v<std::decay_t<Argument>, const char*> ||
                           std::is_same_v<std::decay_t<Argument>, char*>,
                       std::string, std::decay_t<Argument>>;

template <class Argument, class Sent>
decltype(auto) as_argument(Sent& sent) {
  if constexpr (std::is_same_v<Sent, std::decay_t<Argument>>) {
    return std::move(sent);
  } else {
    return static_cast<const char*>(sent.c_str());
  }
}

/// The same for one that is used several times.
template <class Argument, class Sent>
decltype(auto) as_const_argument(const Sent& sent) {
  if constexpr (std::is_same_v<Sent, std::decay_t<Argument>>) {
    return (sent);
  } else {
    return sent.c_str();
  }
}

/// A T that refers to no block: numbers, text, and what is made of them.
template <class T>
inline constexpr bool has_no_blocks = wire::bytes_copyable<std::decay_t<T>> ||
                                      wire::is_byte_string<sent_as_t<T>>;

/// Of a maker's arguments, when its workers have been forked.
template <class... Args>
void note_meetings(const Maker& maker, const std::tuple<Args...>& args) noexcept {
  const auto note = [&]<class T>(const T& arg) {
    if constexpr (requires { wire::ByName<T>::meeting(arg); })
      channel::note_meeting(wire::ByName<T>::meeting(arg), &maker);
  };
  std::apply([&](const auto&... each) { (note(each), ...); }, args);
}

/// Constructs it there.
template <class A, class... Args>
class InPlaceMaker final : public Maker {
 public:
  explicit InPlaceMaker(Args&&... args)
      : Maker([](void* object) noexcept { delete static_cast<A*>(object); }),
        args_(std::forward<Args>(args)...) {
    may_have_blocks = !(has_no_blocks<Args> && ...);
  }
  InPlaceMaker(const InPlaceMaker&) = delete;
  InPlaceMaker& operator=(const InPlaceMaker&) = delete;
  ~InPlaceMaker() { note_meetings(*this, args_); }

  void* make() override {
    return std::apply([](auto&&... args) { return new A(std::forward<Args>(args)...); },
                      std::move(args_));
  }

  bool write(Recipe& recipe) const override {
    if constexpr ((wire::sendable_value<sent_as_t<Args>> && ...) &&
                  (std::is_convertible_v<const std::remove_reference_t<Args>&, sent_as_t<Args>> &&
                   ...)) {
      recipe.make = [](wire::Reader& reader) -> void* {
        // Braces: decoded from left to right.
        std::tuple<sent_as_t<Args>...> sent{wire::decode<sent_as_t<Args>>(reader)...};
        return std::apply(
            [](auto&... each) { return new A(as_argument<Args>(each)...); }, sent);
      };
      std::apply(
          [&](const auto&... each) {
            (wire::encode<sent_as_t<Args>>(recipe.arguments, each), ...);
          },
          args_);
      return true;
    } else {
      return false;
    }
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
      : Maker([](void* o) noexcept { delete static_cast<A*>(o); }), object_(std::move(object)) {
    may_have_blocks = !has_no_blocks<A>;
  }
  CarryMaker(const CarryMaker&) = delete;
  CarryMaker& operator=(const CarryMaker&) = delete;
  ~CarryMaker() {
    if (object_ == nullptr || !may_have_blocks) return;
    const channel::CarriedEnd end{static_cast<const Maker*>(this)};
    object_.reset();
  }

  void* make() override { return object_.release(); }

  bool write(Recipe& recipe) const override {
    if constexpr (wire::sendable_value<A>) {
      recipe.make = [](wire::Reader& reader) -> void* { return new A(wire::decode<A>(reader)); };
      wire::encode(recipe.arguments, *object_);
      return true;
    } else {
      return false;
    }
  }

 private:
  std::unique_ptr<A> object_;
};

}  // namespace apalis::detail::actor
