// SPDX-License-Identifier: BSL-1.0
#pragma once

// The cereal archives that write into a Buffer and read from a Reader.
//
//   OutputArchive out(buffer);  out(graph);      // any type that cereal can save
//   InputArchive in(reader);    in(copy);
//
// They are registered with cereal: CEREAL_REGISTER_TYPE behind an include of apalis binds to them.
// Plain aggregates need no functions. Numbers and bytes stand as they are in memory: both ends are
// the same image on the same machine.

#include <algorithm>
#include <cereal/cereal.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/bytes_copyable.hpp>
#include <apalis/detail/wire/reader.hpp>

namespace apalis {
namespace detail::wire {

/// What the archives write as bytes although cereal has no function for it.
template <class T>
concept archived_as_bytes = std::is_arithmetic_v<T> ||
    ((std::is_class_v<T> || std::is_union_v<T>) && !has_cereal_functions<T> && bytes_copyable<T>);

}  // namespace detail::wire

/// **Owns** nothing but the identities of what it saved. **Throws** std::bad_alloc, and what the
/// types' own functions throw.
class OutputArchive : public cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit OutputArchive(detail::wire::Buffer& buffer)
      : cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision>(this),
        buffer_(buffer) {}

  void write(const void* bytes, std::size_t n) { buffer_.append(bytes, n); }

  void write_count(std::uint64_t n) {
    buffer_.append_size(n);
    end_at_least_ = std::max(end_at_least_, buffer_.size() + static_cast<std::size_t>(n));
  }

  /// Behind the last value. n announced elements take at least n bytes, so that the reader can
  /// refuse greater numbers than that: elements that saved nothing get theirs here.
  void finish() {
    while (buffer_.size() < end_at_least_) *buffer_.grow(1) = std::byte{0};
  }

  template <detail::wire::archived_as_bytes T>
  friend void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const T& value) {
    archive.write(std::addressof(value), sizeof value);
  }
  template <class T>
  friend void CEREAL_SERIALIZE_FUNCTION_NAME(OutputArchive& archive,
                                             cereal::NameValuePair<T>& pair) {
    archive(pair.value);
  }
  template <class T>
  friend void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::SizeTag<T>& tag) {
    archive.write_count(tag.size);
  }
  template <class T>
  friend void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::BinaryData<T>& data) {
    archive.write(data.data, static_cast<std::size_t>(data.size));
  }

 private:
  detail::wire::Buffer& buffer_;
  std::size_t end_at_least_ = 0;
};

/// **Owns** nothing but the identities of what it loaded. **Throws** Malformed for bytes that can't
/// be right, and what the types' own functions throw.
class InputArchive : public cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit InputArchive(detail::wire::Reader& reader)
      : cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision>(this), reader_(reader) {}

  void read(void* into, std::size_t n) { reader_.read(into, n); }

  std::size_t read_count() {
    const std::size_t n = reader_.read_count(1);
    end_at_least_ = std::max(end_at_least_, reader_.position() + n);
    return n;
  }

  /// Behind the last value; see OutputArchive::finish.
  void finish() {
    if (reader_.position() < end_at_least_) (void)reader_.take(end_at_least_ - reader_.position());
  }

  template <detail::wire::archived_as_bytes T>
  friend void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte;  // any other value than 0 and 1 is no bool
      archive.read(&byte, sizeof byte);
      value = byte != 0;
    } else {
      archive.read(static_cast<void*>(std::addressof(value)), sizeof value);
    }
  }
  template <class T>
  friend void CEREAL_SERIALIZE_FUNCTION_NAME(InputArchive& archive,
                                             cereal::NameValuePair<T>& pair) {
    archive(pair.value);
  }
  template <class T>
  friend void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::SizeTag<T>& tag) {
    tag.size = static_cast<std::remove_reference_t<T>>(archive.read_count());
  }
  template <class T>
  friend void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::BinaryData<T>& data) {
    archive.read(data.data, static_cast<std::size_t>(data.size));
  }

 private:
  detail::wire::Reader& reader_;
  std::size_t end_at_least_ = 0;
};

}  // namespace apalis

CEREAL_SETUP_ARCHIVE_TRAITS(apalis::InputArchive, apalis::OutputArchive)
CEREAL_REGISTER_ARCHIVE(apalis::OutputArchive)
CEREAL_REGISTER_ARCHIVE(apalis::InputArchive)
