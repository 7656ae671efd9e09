// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several tokens at once.
//
//   std::vector<int> sums = apalis::get(tokens);                      // in order
//   auto [mean, name] = apalis::get(h.call(&A::mean), k.call(&B::name));
//   auto [ready, pending] = apalis::wait(tokens, {.count = 1, .timeout = 1s});   // indices

#include <apalis/token.hpp>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace apalis {

namespace detail {

template <class T>
inline constexpr bool is_token = false;
template <class R>
inline constexpr bool is_token<Token<R>> = true;

template <class T>
concept AnyToken = is_token<std::remove_cvref_t<T>>;

/// A container (vector, array, deque, span …) of tokens.
template <class C>
concept TokenContainer = requires(C& c) {
  { *std::begin(c) } -> AnyToken;
  std::end(c);
};

template <TokenContainer C>
using token_result_t =
    typename std::remove_cvref_t<decltype(*std::begin(std::declval<C&>()))>::value_type;

/// An rvalue token's result moved out, an lvalue's copied; std::monostate for void.
template <AnyToken T>
auto take_result(T&& token) {
  using R = typename std::remove_cvref_t<T>::value_type;
  if constexpr (std::is_void_v<R>) {
    std::forward<T>(token).get();
    return std::monostate{};
  } else {
    return R(std::forward<T>(token).get());
  }
}

}  // namespace detail

/// Every result, in the order of the tokens (nothing for Token<void>). Copies from an lvalue
/// container, moves out of an rvalue one. **Blocks** until all have ended or one has failed.
/// **Throws** the first failure in that order; an lvalue container's tokens keep theirs.
template <detail::TokenContainer C>
auto get(C&& tokens) {
  using R = detail::token_result_t<C>;
  if constexpr (std::is_void_v<R>) {
    for (auto& token : tokens) token.get();
  } else {
    std::vector<R> results;
    if constexpr (requires { tokens.size(); }) results.reserve(tokens.size());
    for (auto& token : tokens) {
      if constexpr (std::is_lvalue_reference_v<C>) {
        results.push_back(token.get());
      } else {
        results.push_back(std::move(token).get());
      }
    }
    return results;
  }
}

/// The results of one or more tokens as a tuple, with std::monostate for Token<void>.
template <detail::AnyToken... Tokens>
auto get(Tokens&&... tokens) {
  // Braces: the tokens are waited for from left to right.
  return std::tuple<decltype(detail::take_result(std::forward<Tokens>(tokens)))...>{
      detail::take_result(std::forward<Tokens>(tokens))...};
}

/// The same for the tokens in a tuple.
template <detail::AnyToken... Tokens>
auto get(std::tuple<Tokens...>& tokens) {
  return std::apply([](auto&... each) { return apalis::get(each...); }, tokens);
}
template <detail::AnyToken... Tokens>
auto get(std::tuple<Tokens...>&& tokens) {
  return std::apply([](auto&... each) { return apalis::get(std::move(each)...); }, tokens);
}

struct WaitOptions {
  std::size_t count = 1;  ///< return once that many are ready (or all, if there are fewer)
  std::optional<std::chrono::nanoseconds> timeout = std::nullopt;  ///< or once this has passed
};

/// Indices into the tokens given, ascending.
struct WaitResult {
  std::vector<std::size_t> ready;  ///< all that have an outcome now: may be more than `count`
  std::vector<std::size_t> pending;
};

namespace detail {
/// The states of some tokens, and waiting for them: out of line, for it is not cheap to compile.
class Awaited {
 public:
  Awaited() noexcept = default;
  Awaited(const Awaited&) = delete;
  Awaited& operator=(const Awaited&) = delete;
  ~Awaited();

  void add(actor::State* state);
  [[nodiscard]] WaitResult wait(const WaitOptions& options) const;

 private:
  struct List;
  List* list_ = nullptr;  // owned; null while empty
};
}  // namespace detail

/// Waits for some of the tokens. **Blocks** until `count` are ready or the time has passed.
template <detail::TokenContainer C>
[[nodiscard]] WaitResult wait(C&& tokens, WaitOptions options = {}) {
  detail::Awaited awaited;
  for (auto& token : tokens) awaited.add(detail::actor::TokenAccess::state(token));
  return awaited.wait(options);
}

}  // namespace apalis
