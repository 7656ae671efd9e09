// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tokens in the order in which their calls end.
//
//   for (auto& token : apalis::as_completed(tokens)) show(token.get());

#include <apalis/detail/actor/arrivals.hpp>
#include <apalis/gather.hpp>
#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

/// An input range over the tokens of a container, each once, when it has an outcome.
///
/// **Owns** the tokens, if it was made from an rvalue.
/// **Threads:** one at a time.
/// **Blocks:** begin() and ++ until the next call has ended.
/// **Throws** nothing of the calls': get() of each token does.
template <class Tokens>
class AsCompleted {
  using Container = std::remove_reference_t<Tokens>;
  using Reference = decltype(*std::begin(std::declval<Container&>()));

 public:
  class Iterator {
   public:
    using value_type = std::remove_cvref_t<Reference>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Reference operator*() const { return range_->current(); }
    Iterator& operator++() {
      range_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] bool operator==(std::default_sentinel_t) const noexcept {
      return range_->left_ == 0;
    }

   private:
    friend class AsCompleted;
    explicit Iterator(AsCompleted& range) noexcept : range_(&range) {}
    AsCompleted* range_;
  };

  explicit AsCompleted(Tokens&& tokens)
      : tokens_(std::forward<Tokens>(tokens)), arrivals_(states()), left_(places_.size()) {}
  AsCompleted(const AsCompleted&) = delete;
  AsCompleted& operator=(const AsCompleted&) = delete;

  /// Once.
  Iterator begin() {
    if (left_ > 0) now_ = arrivals_.next();
    return Iterator{*this};
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  Reference current() const { return *places_[now_]; }
  void advance() {
    if (--left_ > 0) now_ = arrivals_.next();
  }

  std::vector<detail::actor::State*> states() {
    std::vector<detail::actor::State*> found;
    for (auto at = std::begin(tokens_); at != std::end(tokens_); ++at) {
      places_.push_back(at);
      found.push_back(detail::actor::TokenAccess::state(*at));
    }
    return found;
  }

  Tokens tokens_;  // a reference, of an lvalue
  std::vector<decltype(std::begin(std::declval<Container&>()))> places_;
  detail::actor::Arrivals arrivals_;
  std::size_t left_;
  std::size_t now_ = 0;
};

template <detail::TokenContainer C>
[[nodiscard]] AsCompleted<C> as_completed(C&& tokens) {
  return AsCompleted<C>{std::forward<C>(tokens)};
}

}  // namespace apalis
