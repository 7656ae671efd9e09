// SPDX-License-Identifier: BSL-1.0
#pragma once

// A value as bytes and back.
//
//   encode(buffer, std::string("hi"));
//   const auto text = decode<std::string>(reader);
//   const auto numbers = decode<std::span<const double>>(reader);   // in place, no copy

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <apalis/detail/wire/archive.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/pointers.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/detail/wire/sendable.hpp>

namespace apalis::detail::wire {

/// Types that are decoded as a view of the message: std::span<const T> and std::string_view.
template <class T>
struct Borrowed {
  static constexpr bool value = false;
};
template <class T, std::size_t extent>
  requires(bytes_copyable<T> && alignof(T) <= Buffer::alignment)
struct Borrowed<std::span<const T, extent>> {
  static constexpr bool value = true;
  using Element = T;
};
template <class T, class Traits>
struct Borrowed<std::basic_string_view<T, Traits>> {
  static constexpr bool value = true;
  using Element = T;
};
template <class T>
concept borrowed = Borrowed<T>::value;

/// A type that crosses by a name. Specialised with
///   static constexpr bool value = true;
///   static void encode(Buffer&, const T&);  static T decode(Reader&);
template <class T>
struct ByName {
  static constexpr bool value = false;
};
template <class T>
concept by_name = ByName<T>::value;

template <class T>
inline constexpr bool is_byte_string = false;
template <class Traits, class A>
inline constexpr bool is_byte_string<std::basic_string<char, Traits, A>> = true;

template <class T>
inline constexpr bool is_block_vector = false;
template <class T, class A>
inline constexpr bool is_block_vector<std::vector<T, A>> =
    bytes_copyable<T> && std::copy_constructible<T> && !std::is_same_v<T, bool> &&
    alignof(T) <= Buffer::alignment;

/// What a value that is one block is put together as where it arrives; void for other types.
template <class T>
struct BlockOf {
  using type = std::conditional_t<is_byte_string<T> || is_block_vector<T>, T, void>;
};
template <class T>
struct BlockOf<View<T>> {
  using type = std::vector<T>;
};
template <class T>
using block_of_t = typename BlockOf<T>::type;

/// The value again.
template <class T>
T from_block(block_of_t<T>&& block) {
  if constexpr (is_result_view<T>) {
    return T::owning(std::move(block));
  } else {
    return std::move(block);
  }
}

/// The alignment, relative to the start of the message, that T's encoding relies on.
template <class T>
consteval std::size_t encoded_alignment() {
  if constexpr (borrowed<T>) {
    return alignof(typename Borrowed<T>::Element);
  } else if constexpr (is_block_vector<T> || is_result_view<T>) {
    return alignof(typename T::value_type);
  } else {
    return 1;
  }
}

template <class... T>
consteval std::size_t largest_encoded_alignment() {
  std::size_t largest = 1;
  ((largest = encoded_alignment<T>() > largest ? encoded_alignment<T>() : largest), ...);
  return largest;
}

/// Count, padding, the elements' bytes; or these as an attachment.
template <class T>
void encode_block(Buffer& buffer, const T* elements, std::size_t count) {
  if (buffer.should_attach(count * sizeof(T), sizeof(T))) [[unlikely]]
    return buffer.attach(std::as_bytes(std::span(elements, count)), sizeof(T));
  buffer.append_size(count);
  buffer.align(alignof(T));
  buffer.append(elements, count * sizeof(T));
}

template <class T>
std::span<const std::byte> take_block(Reader& reader, Reader::Block block) {
  reader.align(alignof(T));
  return reader.take(block.count * sizeof(T));
}

/// In place: whoever borrows has seen to the alignment of the message's start.
template <class T>
std::span<const T> decode_block(Reader& reader) {
  const auto block = reader.read_block(sizeof(T));
  const auto bytes = block.attached ? reader.attachments()->view(block.count * sizeof(T))
                                    : take_block<T>(reader, block);
  // Copying the bytes into the message made the objects (P0593): T is trivially copyable.
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

/// Appends a chunk of an attachment, of whole elements and aligned for them.
template <class T, class A>
void append_chunk(std::vector<T, A>& vector, std::span<const std::byte> chunk) {
  const T* const first = reinterpret_cast<const T*>(chunk.data());  // objects: see decode_block
  vector.insert(vector.end(), first, first + chunk.size() / sizeof(T));
}
template <class Traits, class A>
void append_chunk(std::basic_string<char, Traits, A>& string, std::span<const std::byte> chunk) {
  string.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
}

/// No element is written twice: none is zeroed first.
template <class Container>
Container decode_attached(Reader& reader, std::size_t count) {
  Container container;
  container.reserve(count);
  reader.attachments()->read(
      count * sizeof(typename Container::value_type),
      [&](std::span<const std::byte> chunk) { append_chunk(container, chunk); });
  return container;
}

template <class Vector>
Vector decode_vector(Reader& reader) {
  using T = typename Vector::value_type;
  const auto block = reader.read_block(sizeof(T));
  if (block.attached) [[unlikely]]
    return decode_attached<Vector>(reader, block.count);
  auto bytes = take_block<T>(reader, block);
  Buffer aligned;  // for replies, which are kept wherever there is room
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) != 0) [[unlikely]] {
    aligned.append(bytes.data(), bytes.size());
    bytes = aligned.bytes();
  }
  const T* const first = reinterpret_cast<const T*>(bytes.data());  // objects: see decode_block
  return Vector(first, first + bytes.size() / sizeof(T));
}

template <class T>
void encode_archived(Buffer& buffer, const T& value) {
  OutputArchive archive(buffer);
  archive(value);
  archive.finish();
}

template <class T>
T decode_constructed(InputArchive& archive) {
  Place<T> place;
  load_and_construct(archive, place.get(), [&place] { place.set_made(); });
  archive.finish();
  return std::move(*place.get());
}

/// A map's element, which could not be loaded into.
template <class T>
struct WithoutConst {
  using type = T;
};
template <class K, class T>
struct WithoutConst<std::pair<const K, T>> {
  using type = std::pair<K, T>;
};

template <class T>
T decode_archived(Reader& reader) {
  try {
    InputArchive archive(reader);
    if constexpr (has_load_and_construct<T>) {
      return decode_constructed<T>(archive);
    } else {
      T value{};
      archive(value);
      archive.finish();
      return value;
    }
  } catch (const cereal::Exception& e) {
    throw Malformed(std::string("malformed message: ") + e.what());
  }
}

template <class T>
void encode(Buffer& buffer, const T& value) {
  if constexpr (by_name<T>) {
    ByName<T>::encode(buffer, value);
  } else if constexpr (borrowed<T> || is_result_view<T>) {
    encode_block(buffer, value.data(), value.size());
  } else if constexpr (bytes_copyable<T>) {
    std::memcpy(buffer.grow(sizeof(T)), std::addressof(value), sizeof(T));
  } else if constexpr (is_byte_string<T>) {
    if (buffer.should_attach(value.size(), 1)) [[unlikely]]
      return buffer.attach(std::as_bytes(std::span(value)), 1);
    buffer.append_size(value.size());
    buffer.append(value.data(), value.size());
  } else if constexpr (is_block_vector<T>) {
    encode_block(buffer, value.data(), value.size());
  } else {
    encode_archived(buffer, value);
  }
}

/// The same of a value that ends before the Buffer does.
template <class T>
void encode_moved(Buffer& buffer, T&& value) {
  static_assert(!std::is_reference_v<T> && !std::is_const_v<T>);
  if constexpr (is_byte_string<T> || is_block_vector<T>) {
    constexpr std::size_t stride = sizeof(typename T::value_type);
    if (buffer.should_attach(value.size() * stride, stride)) [[unlikely]] {
      auto owner = std::make_shared<const T>(std::move(value));
      const auto bytes = std::as_bytes(std::span(*owner));
      return buffer.attach(bytes, stride, std::move(owner));
    }
  }
  encode<T>(buffer, value);
}

template <class T>
T decode([[maybe_unused]] Reader& reader) {
  if constexpr (by_name<T>) {
    return ByName<T>::decode(reader);
  } else if constexpr (borrowed<T>) {
    using Element = typename Borrowed<T>::Element;
    const std::span<const Element> block = decode_block<Element>(reader);
    if constexpr (requires { T::extent; }) {
      if (T::extent != std::dynamic_extent && T::extent != block.size())
        throw_impossible_count(block.size(), reader.remaining());
      return T(block.data(), block.size());
    } else {
      return T(block.data(), block.size());
    }
  } else if constexpr (std::is_same_v<T, bool>) {
    return *reader.take(1).data() != std::byte{0};  // any other value than 0 and 1 is no bool
  } else if constexpr (!sendable<T> || (bytes_copyable<T> && !std::is_trivially_copyable_v<T>)) {
    std::terminate();  // refused where T was to be sent: that sentence is the only one to show
  } else if constexpr (bytes_copyable<T>) {
    struct Bytes {
      alignas(T) std::byte bytes[sizeof(T)];
    } copy;
    reader.read(copy.bytes, sizeof(T));
    return std::bit_cast<T>(copy);
  } else if constexpr (is_byte_string<T>) {
    const auto block = reader.read_block(1);
    if (block.attached) [[unlikely]]
      return decode_attached<T>(reader, block.count);
    const std::span<const std::byte> bytes = reader.take(block.count);
    return T(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  } else if constexpr (is_block_vector<T>) {
    return decode_vector<T>(reader);
  } else if constexpr (is_result_view<T>) {
    return from_block<T>(decode_vector<block_of_t<T>>(reader));
  } else {
    return decode_archived<typename WithoutConst<T>::type>(reader);
  }
}

}  // namespace apalis::detail::wire
