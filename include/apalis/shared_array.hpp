// SPDX-License-Identifier: BSL-1.0
#pragma once

// One array in memory that this process and its workers share.
//
//   apalis::SharedArray<double> a(1'000'000);           // zeroed; a(n, 1.5), a(span) copy into it
//   a[3] = 1.5;
//   h.call(&Solver::relax, a);                          // void relax(std::span<double>): by name,
//                                                       // whatever the size; relax() writes into a
//   apalis::SharedArray<double, 2> grid(rows, columns); // grid(i, j), grid.row(i)
//   Eigen::Map<Eigen::VectorXd> v(a.data(), a.ssize());

#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/wire/archive.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

namespace detail {

/// The product. Throws Error where that many elements of `element_bytes` have no addresses.
[[nodiscard]] std::size_t count_elements(std::span<const std::size_t> extents,
                                         std::size_t element_bytes);
/// Finds the first of the extents of an array of `count` elements. Throws Malformed where it has none.
void divide_elements(std::size_t count, std::span<std::size_t> extents);
[[noreturn]] void throw_no_array();
[[noreturn]] void throw_outside(std::size_t index, std::size_t size);
[[noreturn]] void throw_other_size(std::size_t size, std::size_t wanted);

}  // namespace detail

/// A handle: copies refer to the same elements, as those of a std::span do, and const is the
/// handle's. Passed to a worker, as an argument or in a struct with a cereal serialize function,
/// it arrives as a handle to the same memory. A parameter may also be std::span<T> or
/// std::span<const T>. What the workers and this process write at the same time needs
/// std::atomic_ref or turns, as between threads.
///
/// **Owns** a reference. The memory goes back to the system when the last one goes, in whatever
/// process; a worker that dies drops its own.
/// **Threads:** as a std::span: the handle one at a time, unless const; the elements are memory.
/// **Fork:** a worker that is forked with one has it too. Another fork can use its copy as long as
/// the process that made it does; copying it there throws.
/// **Blocks** never. **Throws** SystemError where memory is full; Error from what is marked checked.
template <class T, std::size_t rank = 1>
class SharedArray {
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && std::is_trivially_copyable_v<T>,
                "apalis: the elements of a SharedArray must be trivially copyable and not const: "
                "several processes see their bytes, and nobody runs their constructors or "
                "destructors");
  static_assert(!detail::wire::is_pointer_like<T> && !detail::wire::is_view<T>,
                "apalis: the elements of a SharedArray can't be pointers or views, which mean "
                "nothing in another process: hold indices");
  static_assert(rank > 0, "apalis: a SharedArray has at least one dimension");

 public:
  using element_type = T;
  using value_type = T;
  using Extents = std::array<std::size_t, rank>;

  /// No elements.
  SharedArray() noexcept = default;

  /// Zeroed: the bytes of each element are 0.
  template <class... N>
    requires(sizeof...(N) == rank && (std::convertible_to<N, std::size_t> && ...))
  explicit SharedArray(N... extents)
      : SharedArray(Extents{static_cast<std::size_t>(extents)...}, Made{}) {}

  /// The extents, then what every element is.
  template <class... N>
    requires(sizeof...(N) == rank + 1)
  explicit SharedArray(const N&... extents_and_value)
      : SharedArray(std::tie(extents_and_value...), std::make_index_sequence<rank>{}) {}

  /// A copy of these elements.
  explicit SharedArray(std::span<const T> elements)
    requires(rank == 1)
      : SharedArray(Extents{elements.size()}, Made{}) {
    std::uninitialized_copy(elements.begin(), elements.end(), data_);
  }

  SharedArray(const SharedArray&) = default;
  SharedArray(SharedArray&& other) noexcept
      : block_(std::move(other.block_)),
        data_(std::exchange(other.data_, nullptr)),
        extents_(std::exchange(other.extents_, Extents{})) {}
  SharedArray& operator=(const SharedArray&) = default;
  SharedArray& operator=(SharedArray&& other) noexcept {
    block_ = std::move(other.block_);
    data_ = std::exchange(other.data_, nullptr);
    extents_ = std::exchange(other.extents_, Extents{});
    return *this;
  }
  ~SharedArray() = default;

  // --- Elements, in row-major order --------------------------------------------------------------

  [[nodiscard]] T* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t product = 1;
    for (const std::size_t extent : extents_) product *= extent;
    return product;
  }
  [[nodiscard]] std::ptrdiff_t ssize() const noexcept {
    return static_cast<std::ptrdiff_t>(size());
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] T* begin() const noexcept { return data_; }
  [[nodiscard]] T* end() const noexcept { return data_ + size(); }
  [[nodiscard]] std::span<T> span() const noexcept { return {data_, size()}; }

  [[nodiscard]] T& operator[](std::size_t index) const noexcept { return data_[index]; }

  [[nodiscard]] const Extents& extents() const noexcept { return extents_; }
  [[nodiscard]] std::size_t extent(std::size_t dimension) const noexcept {
    return extents_[dimension];
  }

  /// One index for each dimension.
  template <class... N>
    requires(sizeof...(N) == rank && (std::convertible_to<N, std::size_t> && ...))
  [[nodiscard]] T& operator()(N... indices) const noexcept {
    return data_[offset(Extents{static_cast<std::size_t>(indices)...})];
  }
  /// The same, checked.
  template <class... N>
    requires(sizeof...(N) == rank && (std::convertible_to<N, std::size_t> && ...))
  [[nodiscard]] T& at(N... indices) const {
    const Extents each{static_cast<std::size_t>(indices)...};
    for (std::size_t i = 0; i < rank; ++i)
      if (each[i] >= extents_[i]) [[unlikely]]
        detail::throw_outside(each[i], extents_[i]);
    detail::channel::require_block(block_);
    return data_[offset(each)];
  }

  /// Everything with this first index.
  [[nodiscard]] std::span<T> row(std::size_t index) const noexcept
    requires(rank > 1)
  {
    std::size_t length = 1;
    for (std::size_t i = 1; i < rank; ++i) length *= extents_[i];
    return {data_ + index * length, length};
  }

  // --- Parts, checked ----------------------------------------------------------------------------

  /// These elements of the same memory, which it keeps.
  [[nodiscard]] SharedArray subarray(std::size_t first, std::size_t count) const
    requires(rank == 1)
  {
    require_range(first, count);
    SharedArray part(*this);
    part.data_ += first;
    part.extents_ = {count};
    return part;
  }

  /// All of it as one row: the same memory.
  [[nodiscard]] SharedArray<T> flat() const {
    SharedArray<T> all;
    all.block_ = block_;
    all.data_ = data_;
    all.extents_ = {size()};
    return all;
  }

  /// A copy of the elements.
  [[nodiscard]] std::vector<T> to_vector() const { return to_vector(0, size()); }
  [[nodiscard]] std::vector<T> to_vector(std::size_t first, std::size_t count) const {
    require_range(first, count);
    return std::vector<T>(data_ + first, data_ + first + count);
  }

  // --- How it crosses ----------------------------------------------------------------------------

  friend void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const SharedArray& array) {
    array.write_name(archive.buffer());
  }
  friend void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, SharedArray& array) {
    array = SharedArray(archive.reader());
  }

 private:
  template <class, std::size_t>
  friend class SharedArray;
  template <class>
  friend struct detail::wire::ByName;

  struct Made {};
  SharedArray(const Extents& extents, Made) : extents_(extents) {
    const auto count = detail::count_elements(extents, sizeof(T));
    if (count == 0) return;
    block_ = detail::channel::make_block(count * sizeof(T));
    data_ = reinterpret_cast<T*>(block_->bytes().data());
  }
  template <class Tuple, std::size_t... i>
  SharedArray(const Tuple& extents_and_value, std::index_sequence<i...>)
      : SharedArray(Extents{static_cast<std::size_t>(std::get<i>(extents_and_value))...}, Made{}) {
    std::uninitialized_fill_n(data_, size(), static_cast<T>(std::get<rank>(extents_and_value)));
  }

  explicit SharedArray(detail::wire::Reader& reader) {
    detail::channel::BlockName name;
    reader.read(&name, sizeof name);
    if (name.bytes % sizeof(T) != 0 || name.address() % alignof(T) != 0 ||
        (name.table == 0 && (name.place | name.bytes) != 0)) [[unlikely]]
      detail::throw_no_array();
    extents_[0] = static_cast<std::size_t>(name.bytes) / sizeof(T);
    if constexpr (rank > 1) {
      reader.read(&extents_[1], (rank - 1) * sizeof extents_[1]);
      detail::divide_elements(extents_[0], extents_);
    }
    block_ = detail::channel::find_block(name);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): find_block() has checked it
    data_ = reinterpret_cast<T*>(static_cast<std::uintptr_t>(name.address()));
  }
  void write_name(detail::wire::Buffer& buffer) const {
    const auto name = detail::channel::name_block(block_, std::as_bytes(span()), buffer);
    buffer.append(&name, sizeof name);
    if constexpr (rank > 1) buffer.append(&extents_[1], (rank - 1) * sizeof extents_[1]);
  }

  [[nodiscard]] std::size_t offset(const Extents& indices) const noexcept {
    std::size_t at = indices[0];
    for (std::size_t i = 1; i < rank; ++i) at = at * extents_[i] + indices[i];
    return at;
  }
  void require_range(std::size_t first, std::size_t count) const {
    const auto all = size();
    if (first > all || count > all - first) [[unlikely]]
      detail::throw_outside(first > all ? first : first + count, all);
    detail::channel::require_block(block_);
  }

  detail::channel::BlockPointer block_;
  T* data_ = nullptr;
  Extents extents_{};
};

template <class T, std::size_t n>
SharedArray(std::span<T, n>) -> SharedArray<std::remove_const_t<T>>;
template <class T, class A>
SharedArray(const std::vector<T, A>&) -> SharedArray<T>;

namespace detail::wire {

template <class T, std::size_t rank>
struct ByName<SharedArray<T, rank>> {
  static constexpr bool value = true;
  static void encode(Buffer& buffer, const SharedArray<T, rank>& array) {
    array.write_name(buffer);
  }
  static SharedArray<T, rank> decode(Reader& reader) { return SharedArray<T, rank>(reader); }
};

template <class T, std::size_t rank>
struct LeastBytes<SharedArray<T, rank>> {
  static constexpr std::size_t value = sizeof(channel::BlockName);
};

/// A span parameter that is made of a SharedArray.
template <class T, std::size_t rank, class Element, std::size_t extent>
  requires std::same_as<std::remove_const_t<Element>, T>
struct Carrier<SharedArray<T, rank>, std::span<Element, extent>> {
  static constexpr bool value = true;
  using Named = SharedArray<T, rank>;
  static std::span<Element, extent> parameter(Named& array) {
    if (extent != std::dynamic_extent && array.size() != extent) [[unlikely]]
      throw_other_size(array.size(), extent);
    return std::span<Element, extent>(array.data(), array.size());
  }
};

}  // namespace detail::wire
}  // namespace apalis
