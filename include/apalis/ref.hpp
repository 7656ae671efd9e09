// SPDX-License-Identifier: BSL-1.0
#pragma once

// A value that many calls read and none changes: sent once, however many workers and calls.
//
//   apalis::Ref<Table> table = apalis::put(load_table());
//   for (auto& h : handlers) h.call(&Model::fit, table, i);   // double fit(const Table&, int):
//                                                             // made once in each worker
//   apalis::Ref xs = apalis::put(std::vector<double>(n));
//   h.call(&Model::sum, xs);                                  // double sum(std::span<const double>):
//                                                             // read in place, never copied

#include <apalis/detail/actor/ref_block.hpp>
#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/wire/archive.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/parameter.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis {

template <class T>
class Ref;

/// Copies `value` into memory that all workers can see, as its elements (a std::vector of plain
/// numbers or structs, a std::string) or as what it is encoded to. Throws SystemError where memory is
/// full, and what encoding throws.
template <class T>
[[nodiscard]] Ref<std::remove_cvref_t<T>> put(T&& value);
/// The same for elements that lie anywhere.
template <class E, std::size_t extent>
[[nodiscard]] Ref<std::vector<std::remove_const_t<E>>> put(std::span<E, extent> elements);

struct ShareOptions {
  /// Where a file without a name is made, of which the kernel keeps in memory what is being used: for
  /// values larger than memory. Empty: no file, as put().
  std::string directory;
};

/// put(), into a file if `options` say so. **Blocks** while it is written. Throws SystemError where
/// the disk is full.
template <class T>
[[nodiscard]] Ref<std::remove_cvref_t<T>> share(T&& value, const ShareOptions& options);
template <class E, std::size_t extent>
[[nodiscard]] Ref<std::vector<std::remove_const_t<E>>> share(std::span<E, extent> elements,
                                                             const ShareOptions& options);

/// A handle: copies refer to the same value, and passing one to a worker takes the same time whatever
/// its size. A method's parameter may be const T&, T or Ref<T>; for a vector std::span<const E>, for
/// a string std::string_view too, which are read where put() wrote them. For const T& the value is
/// made in each worker at most once, and kept among those used last (see limit_ref_cache()).
///
/// **Owns** a reference. The memory goes back to the system when the last one goes, in whatever
/// process; a worker that dies drops its own.
/// **Threads:** as a std::shared_ptr to const. What makes a T runs one at a time in a process.
/// **Fork:** as SharedArray's.
/// **Blocks** never. **Throws** Error where it refers to nothing; get() what decoding throws.
template <class T>
class Ref {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "apalis: Ref<T> needs a plain type: what it refers to is const anyway");
  using Block = detail::wire::block_of_t<T>;

 public:
  using element_type = const T;
  /// Whether the elements are read in place.
  static constexpr bool is_array = !std::is_void_v<Block>;

  /// Refers to nothing.
  Ref() noexcept = default;
  Ref(const Ref& other)
      : block_(other.block_),
        bytes_(other.bytes_),
        file_(other.file_),
        made_(other.made_.load(std::memory_order_acquire)) {
    if (made_.load(std::memory_order_relaxed) != nullptr) value_ = other.value_;
  }
  Ref(Ref&& other) noexcept
      : block_(std::move(other.block_)),
        bytes_(std::exchange(other.bytes_, {})),
        file_(std::move(other.file_)),
        value_(std::move(other.value_)),
        made_(other.made_.exchange(nullptr, std::memory_order_relaxed)) {}
  Ref& operator=(Ref other) noexcept {
    block_ = std::move(other.block_);
    bytes_ = other.bytes_;
    file_ = std::move(other.file_);
    value_ = std::move(other.value_);
    made_.store(other.made_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return *this;
  }
  ~Ref() = default;

  [[nodiscard]] explicit operator bool() const noexcept { return block_.get() != nullptr; }

  /// The value, made now if this process has not got it. Good for as long as this Ref is.
  [[nodiscard]] const T& get() const {
    // Partner: the store in make().
    if (const T* const value = made_.load(std::memory_order_acquire)) [[likely]]
      return *value;
    return make();
  }
  [[nodiscard]] const T& operator*() const { return get(); }
  [[nodiscard]] const T* operator->() const { return &get(); }

  /// How many bytes it takes where it was put.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return bytes_.size(); }

  // --- Arrays, in place --------------------------------------------------------------------------

  [[nodiscard]] auto span() const
    requires is_array
  {
    using Element = typename Block::value_type;
    detail::actor::require_ref(block_);
    return std::span<const Element>(reinterpret_cast<const Element*>(bytes_.data()),
                                    bytes_.size() / sizeof(Element));
  }
  [[nodiscard]] std::size_t size() const
    requires is_array
  {
    return span().size();
  }
  [[nodiscard]] auto begin() const
    requires is_array
  {
    return span().begin();
  }
  [[nodiscard]] auto end() const
    requires is_array
  {
    return span().end();
  }

  // --- How it crosses ----------------------------------------------------------------------------

  friend void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const Ref& ref) {
    ref.write_name(archive.buffer());
  }
  friend void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, Ref& ref) {
    ref = Ref(archive.reader());
  }

 private:
  template <class>
  friend struct detail::wire::ByName;
  template <class U>
  friend Ref<std::remove_cvref_t<U>> share(U&& value, const ShareOptions& options);
  template <class E, std::size_t extent>
  friend Ref<std::vector<std::remove_const_t<E>>> share(std::span<E, extent> elements,
                                                        const ShareOptions& options);

  /// A copy of these bytes.
  Ref(std::span<const std::byte> bytes, const ShareOptions& options) {
    if (options.directory.empty()) {
      block_ = detail::channel::make_block(bytes.empty() ? 1 : bytes.size(),
                                           detail::channel::Content::any);
      bytes_ = detail::actor::fill_block(block_, bytes);
    } else {
      auto [block, file] = detail::actor::make_file_block(options.directory, bytes);
      block_ = std::move(block);
      bytes_ = file.bytes;
      file_ = std::move(file.kept);
    }
  }

  explicit Ref(detail::wire::Reader& reader) {
    detail::channel::BlockName name;
    reader.read(&name, sizeof name);
    if (name.table == 0) return;
    const bool in_file = detail::actor::unmark_file(name);
    block_ = detail::actor::find_ref(name);
    if (in_file) {
      auto file = detail::actor::file_of(block_);
      bytes_ = file.bytes;
      file_ = std::move(file.kept);
    } else {
      bytes_ = detail::actor::part_of_block(name);
    }
    if constexpr (is_array) {
      using Element = typename Block::value_type;
      if (reinterpret_cast<std::uintptr_t>(bytes_.data()) % alignof(Element) != 0 ||
          bytes_.size() % sizeof(Element) != 0)
        detail::wire::throw_torn_element();
    }
  }
  void write_name(detail::wire::Buffer& buffer) const {
    const bool in_file = file_ != nullptr;
    auto name = detail::channel::name_block(
        block_, in_file ? std::span<const std::byte>(block_->bytes()) : bytes_, buffer);
    if (in_file) detail::actor::mark_as_file(name);
    buffer.append(&name, sizeof name);
  }

  const T& make() const {
    detail::actor::require_ref(block_);
    static constexpr char type = 0;  // its address stands for T
    const auto* const value = static_cast<const T*>(detail::actor::obtain_value(
        value_, {block_.get(), bytes_, &type}, [](std::span<const std::byte> bytes) {
          return std::shared_ptr<const void>(std::make_shared<const T>(decoded(bytes)));
        }));
    made_.store(value, std::memory_order_release);  // partner: get()
    return *value;
  }

  static T decoded(std::span<const std::byte> bytes) {
    if constexpr (is_array) {
      using Element = typename Block::value_type;
      const auto* const first = reinterpret_cast<const Element*>(bytes.data());
      return detail::wire::from_block<T>(Block(first, first + bytes.size() / sizeof(Element)));
    } else {
      detail::wire::Reader reader{bytes};
      return detail::wire::decode<T>(reader);
    }
  }

  detail::channel::BlockPointer block_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> file_;                 // that they are in; null: in the block
  mutable std::shared_ptr<const void> value_;        // a T; written once, with the cache's lock
  mutable std::atomic<const T*> made_{nullptr};      // the same, once it is there
};

template <class T>
Ref<std::remove_cvref_t<T>> share(T&& value, const ShareOptions& options) {
  using Value = std::remove_cvref_t<T>;
  static_assert(!detail::wire::is_view<Value>,
                "apalis: put() a std::vector or std::string, or a std::span of the elements");
  constexpr auto verdict = detail::wire::can_cross<Value>();
  detail::wire::say(verdict);
  if constexpr (!verdict) {
    return {};
  } else if constexpr (Ref<Value>::is_array) {
    return Ref<Value>(std::as_bytes(std::span(value)), options);
  } else {
    detail::wire::Buffer encoded;
    detail::wire::encode<Value>(encoded, value);
    detail::actor::require_nothing_named(encoded);
    return Ref<Value>(encoded.bytes(), options);
  }
}

template <class E, std::size_t extent>
Ref<std::vector<std::remove_const_t<E>>> share(std::span<E, extent> elements,
                                               const ShareOptions& options) {
  using Value = std::vector<std::remove_const_t<E>>;
  static_assert(Ref<Value>::is_array,
                "apalis: put() and share() take a std::span of elements that cross as their bytes: numbers, "
                "enumerations and plain structs of them");
  return Ref<Value>(std::as_bytes(elements), options);
}

template <class T>
Ref<std::remove_cvref_t<T>> put(T&& value) {
  return share(std::forward<T>(value), ShareOptions{});
}
template <class E, std::size_t extent>
Ref<std::vector<std::remove_const_t<E>>> put(std::span<E, extent> elements) {
  return share(elements, ShareOptions{});
}

/// How many bytes of values made for Refs this process keeps for the calls to come: those used last,
/// measured as put() wrote them. 256 MiB if nothing else is said; in a worker, say it in
/// Options::on_worker_start.
void limit_ref_cache(std::size_t bytes) noexcept;

namespace detail::wire {

template <class T>
struct ByName<Ref<T>> {
  static constexpr bool value = true;
  static void encode(Buffer& buffer, const Ref<T>& ref) { ref.write_name(buffer); }
  static Ref<T> decode(Reader& reader) { return Ref<T>(reader); }
};

template <class T>
struct LeastBytes<Ref<T>> {
  static constexpr std::size_t value = sizeof(channel::BlockName);
};

/// A parameter that is made of a Ref: the value itself.
template <class T>
struct Carrier<Ref<T>, T> {
  static constexpr bool value = true;
  using Named = Ref<T>;
  static const T& parameter(Named& ref) { return ref.get(); }
};
/// Its elements, in place.
template <class T, class A, std::size_t extent>
struct Carrier<Ref<std::vector<T, A>>, std::span<const T, extent>> {
  static constexpr bool value = Ref<std::vector<T, A>>::is_array;
  using Named = Ref<std::vector<T, A>>;
  static std::span<const T, extent> parameter(Named& ref) {
    if (extent != std::dynamic_extent && ref.size() != extent) [[unlikely]]
      throw_impossible_count(ref.size(), ref.size_bytes());
    return std::span<const T, extent>(ref.span().data(), ref.size());
  }
};
template <class Traits, class A>
struct Carrier<Ref<std::basic_string<char, Traits, A>>, std::basic_string_view<char, Traits>> {
  static constexpr bool value = true;
  using Named = Ref<std::basic_string<char, Traits, A>>;
  static std::basic_string_view<char, Traits> parameter(Named& ref) {
    return {ref.span().data(), ref.size()};
  }
};

}  // namespace detail::wire
}  // namespace apalis
