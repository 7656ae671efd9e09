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

#include <cereal/cereal.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/bytes_copyable.hpp>
#include <apalis/detail/wire/loading.hpp>
#include <apalis/detail/wire/reader.hpp>

namespace apalis {
namespace detail::wire {

/// What the archives write as bytes although cereal has no function for it.
template <class T>
concept archived_as_bytes = std::is_arithmetic_v<T> ||
    ((std::is_class_v<T> || std::is_union_v<T>) && !has_cereal_functions<T> && bytes_copyable<T>);

template <class T>
requires(std::is_class_v<T>&& archived_as_bytes<T>)
struct LeastBytes<T> {
  static constexpr std::size_t value = sizeof(T);
};

}  // namespace detail::wire

/// **Owns** nothing but the identities of what it saved. **Throws** std::bad_alloc, and what the
/// types' own functions throw.
class OutputArchive : public cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit OutputArchive(detail::wire::Buffer& buffer);
  OutputArchive(const OutputArchive&) = delete;
  OutputArchive& operator=(const OutputArchive&) = delete;
  ~OutputArchive();

  void write(const void* bytes, std::size_t n) { buffer_.append(bytes, n); }

  /// For what crosses by a name.
  [[nodiscard]] detail::wire::Buffer& buffer() noexcept { return buffer_; }

  void write_count(std::uint64_t n) {
    buffer_.append_size(n);
    announced_ += static_cast<std::size_t>(n);
  }

  /// Behind the last value. All announced elements together take at least a byte each, so that the
  /// reader can refuse greater numbers than that: elements that saved nothing get theirs here.
  void finish() {
    while (buffer_.size() - begin_ < announced_) *buffer_.grow(1) = std::byte{0};
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
  std::size_t begin_;          // of this value in the buffer
  std::size_t announced_ = 0;  // elements, at every depth
};

/// **Owns** nothing but the identities of what it loaded. **Throws** Malformed for bytes that can't
/// be right, and what the types' own functions throw.
/// **Peer:** takes no more memory and time than the bytes that are there can mean, does not recurse
/// beyond the stack, and takes no object for one of another type.
class InputArchive : public cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision> {
  using Base = cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision>;

 public:
  explicit InputArchive(detail::wire::Reader& reader);
  InputArchive(const InputArchive&) = delete;
  InputArchive& operator=(const InputArchive&) = delete;
  ~InputArchive();

  void read(void* into, std::size_t n) { reader_.read(into, n); }

  /// For what crosses by a name.
  [[nodiscard]] detail::wire::Reader& reader() noexcept { return reader_; }

  std::size_t read_count() {
    const std::size_t bytes_each = std::exchange(bytes_each_, 0);
    const std::uint64_t n = bytes_each != 0 ? reader_.read_count(bytes_each) : reader_.read_size();
    // Together they can't be more than the bytes of the whole: see OutputArchive::finish.
    const std::size_t whole = reader_.position() - begin_ + reader_.remaining();
    if (n > whole - announced_) [[unlikely]]
      detail::wire::throw_impossible_count(n, reader_.remaining());
    announced_ += static_cast<std::size_t>(n);
    return static_cast<std::size_t>(n);
  }

  /// Behind the last value; see OutputArchive::finish.
  void finish() {
    const std::size_t taken = reader_.position() - begin_;
    if (taken < announced_) (void)reader_.take(announced_ - taken);
  }

  // In place of cereal's own, of the same names.
  void registerSharedPointer(std::uint32_t id, std::shared_ptr<void> pointer);
  std::shared_ptr<void> getSharedPointer(std::uint32_t id);

  /// cereal calls it before each value.
  template <class T>
  friend void prologue(InputArchive& archive, const T&) {
    if constexpr (!std::is_arithmetic_v<T>) archive.begin_value<T>();
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
  template <class T>
  void begin_value() {
    stack_.check();
    using Pointee = typename detail::wire::SharedPointee<T>::type;
    if constexpr (!std::is_void_v<Pointee>) shared_.expect<Pointee>();
    using Element = typename detail::wire::MadeAtOnce<T>::type;
    if constexpr (!std::is_void_v<Element>)  // its count is what comes next
      bytes_each_ = detail::wire::LeastBytes<Element>::value;
  }

  detail::wire::Reader& reader_;
  std::size_t begin_;           // of this value in the message
  std::size_t announced_ = 0;   // elements, at every depth
  std::size_t bytes_each_ = 0;  // at least, of the elements announced next; 0: nobody knows
  detail::wire::StackGuard stack_;
  detail::wire::SharedTypes shared_;
};

}  // namespace apalis

CEREAL_SETUP_ARCHIVE_TRAITS(apalis::InputArchive, apalis::OutputArchive)
CEREAL_REGISTER_ARCHIVE(apalis::OutputArchive)
CEREAL_REGISTER_ARCHIVE(apalis::InputArchive)
