// SPDX-License-Identifier: BSL-1.0
#pragma once

// A result that is read where it arrived.
//
//   struct Field {
//     std::vector<double> values;
//     apalis::View<double> all() const { return values; }       // no copy in the worker
//   };
//   apalis::View<double> v = h.call(&Field::all).get();         // nor behind its arrival
//   double first = v[0];

#include <apalis/error.hpp>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

/// Elements that can be read and not changed. As a method's result, a look at memory that stays as it
/// is until the object's next call, mostly its own; sent from there. As what a token gives, the
/// elements as they arrived, for as long as a copy of the View lives, whatever becomes of the
/// worker.
///
/// **Owns** nothing where it was made from a range; where it was received, a share of the elements.
/// **Threads:** as a std::shared_ptr to const. **Fork:** a fork's copy stays good.
/// **Throws:** at() Error for an index that there is not.
template <class T>
class View {
  static_assert(std::is_trivially_copyable_v<T> && !std::is_same_v<T, bool>,
                "apalis: View<T> needs a T that crosses as its bytes: numbers, enumerations and "
                "plain structs of them");

 public:
  using value_type = T;

  View() noexcept = default;
  /// Looks at a vector, string, array or span.
  template <class Range>
    requires(!std::same_as<std::remove_cv_t<Range>, View> &&
             std::constructible_from<std::span<const T>, Range&>)
  explicit(false) View(Range& range) noexcept : elements_(range) {}
  explicit(false) View(std::span<const T> elements) noexcept : elements_(elements) {}

  /// Keeps the elements.
  [[nodiscard]] static View owning(std::vector<T> elements) {
    auto owner = std::make_shared<const std::vector<T>>(std::move(elements));
    View view{std::span<const T>(*owner)};
    view.owner_ = std::move(owner);
    return view;
  }

  [[nodiscard]] const T* data() const noexcept { return elements_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return elements_.size(); }
  [[nodiscard]] bool empty() const noexcept { return elements_.empty(); }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size(); }
  /// `index` < size().
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return elements_[index]; }
  [[nodiscard]] const T& at(std::size_t index) const {
    if (index >= size()) [[unlikely]]
      throw Error("apalis: index " + std::to_string(index) + " of " + std::to_string(size()) +
                  " elements");
    return elements_[index];
  }

  [[nodiscard]] operator std::span<const T>() const noexcept { return elements_; }
  [[nodiscard]] operator std::string_view() const noexcept
    requires std::same_as<T, char>
  {
    return {data(), size()};
  }

 private:
  std::span<const T> elements_;
  std::shared_ptr<const std::vector<T>> owner_;
};

}  // namespace apalis
