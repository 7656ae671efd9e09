// SPDX-License-Identifier: BSL-1.0
#pragma once

// Bounds-checked cursor over the bytes of a message, which may be anything a peer could write.
//
//   Reader reader(message);
//   std::string text(reinterpret_cast<const char*>(…), …);   // see codec.hpp
//   const std::span<const std::byte> body = reader.take(reader.read_size());

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <apalis/detail/core/function_ref.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/error.hpp>

namespace apalis::detail::wire {

/// The bytes of a message do not say what they should.
class Malformed : public Error {
 public:
  using Error::Error;
};

[[noreturn]] void throw_truncated(std::size_t wanted, std::size_t remaining);
[[noreturn]] void throw_misplaced_attachment();
[[noreturn]] void throw_torn_element();
[[noreturn]] void throw_impossible_count(std::uint64_t count, std::size_t remaining);

/// The other end of a Buffer's attachments: bytes that are still on their way.
///
/// **Blocks** until they are here. **Throws** what `use` throws.
class AttachmentReader {
 public:
  /// How many bytes are left.
  [[nodiscard]] virtual std::size_t remaining() const noexcept = 0;
  /// Gives the next n bytes, n <= remaining(), to `use` in chunks.
  virtual void read(std::size_t n, FunctionRef<void(std::span<const std::byte>)> use) = 0;
  /// The next n bytes, n <= remaining(), in one place, 64-byte aligned, until the call is over.
  [[nodiscard]] virtual std::span<const std::byte> view(std::size_t n) = 0;

 protected:
  ~AttachmentReader() = default;
};

/// **Owns** nothing: the bytes must outlive it, and what take() returns.
/// **Throws** Malformed from whatever reads; the position is then unspecified.
/// align() counts from the start of the bytes, which is 64-byte aligned in a whole message.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes, AttachmentReader* attachments = nullptr) noexcept
      : begin_(bytes.data()),
        at_(bytes.data()),
        end_(bytes.data() + bytes.size()),
        attachments_(attachments) {}

  void read(void* into, std::size_t n) {
    const std::byte* const from = advance(n);
    if (n != 0) std::memcpy(into, from, n);
  }
  [[nodiscard]] std::uint64_t read_size() {
    const auto first = std::to_integer<std::uint8_t>(*advance(1));
    if (first < Buffer::attached_mark) [[likely]]
      return first;
    if (first == Buffer::attached_mark) [[unlikely]]
      throw_misplaced_attachment();
    return read_number();
  }
  /// A count of elements of at least `bytes_each` bytes. Checked against what is left, so that no
  /// number on the wire can ask for more memory than the message itself took.
  [[nodiscard]] std::size_t read_count(std::size_t bytes_each) {
    const std::uint64_t count = read_size();
    if (count > remaining() / bytes_each) [[unlikely]]
      throw_impossible_count(count, remaining());
    return static_cast<std::size_t>(count);
  }
  /// The same of elements that may be attached: then they are behind attachments(), not here.
  struct Block {
    std::size_t count;
    bool attached;
  };
  [[nodiscard]] Block read_block(std::size_t bytes_each) {
    if (at_ == end_ || *at_ != std::byte{Buffer::attached_mark}) [[likely]]
      return {read_count(bytes_each), false};
    ++at_;
    // Not even none: attachments() is then there to be read.
    if (attachments_ == nullptr) [[unlikely]]
      throw_misplaced_attachment();
    const std::uint64_t count = read_number();
    const std::size_t there = attachments_->remaining();
    if (count > there / bytes_each) [[unlikely]]
      throw_impossible_count(count, there);
    return {static_cast<std::size_t>(count), true};
  }
  /// The count of elements that were attached and have been read.
  [[nodiscard]] std::uint64_t read_attached_count() {
    if (*advance(1) != std::byte{Buffer::attached_mark}) throw_misplaced_attachment();
    return read_number();
  }
  /// Not null once read_block() said that something is attached.
  [[nodiscard]] AttachmentReader* attachments() const noexcept { return attachments_; }

  [[nodiscard]] std::span<const std::byte> take(std::size_t n) { return {advance(n), n}; }
  /// The next n bytes as a message in this one; its positions go on counting from the whole's start.
  [[nodiscard]] Reader part(std::size_t n) {
    Reader inner = *this;
    inner.end_ = advance(n) + n;
    return inner;
  }
  /// Skips what Buffer::align put there.
  void align(std::size_t to) { advance((0 - position()) & (to - 1)); }

  [[nodiscard]] std::size_t remaining() const noexcept {
    return static_cast<std::size_t>(end_ - at_);
  }
  [[nodiscard]] std::size_t position() const noexcept {
    return static_cast<std::size_t>(at_ - begin_);
  }

 private:
  [[nodiscard]] std::uint64_t read_number() {
    std::uint64_t number;
    std::memcpy(&number, advance(sizeof number), sizeof number);
    return number;
  }
  const std::byte* advance(std::size_t n) {
    if (n > remaining()) [[unlikely]]
      throw_truncated(n, remaining());
    const std::byte* const from = at_;
    at_ += n;
    return from;
  }

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  AttachmentReader* attachments_;
};

}  // namespace apalis::detail::wire
