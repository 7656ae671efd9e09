// SPDX-License-Identifier: BSL-1.0
#pragma once

// Growable bytes that a message is encoded into; small messages never touch the heap.
//
//   Buffer buffer;
//   buffer.append_size(text.size());
//   buffer.append(text.data(), text.size());
//   send(buffer.bytes());

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <apalis/detail/wire/hold.hpp>

namespace apalis::detail::wire {

/// Bytes of a message that stay where they are instead of being copied into its Buffer; they follow
/// it, one after the other.
///
/// **Owns** `owners` only: whoever attaches borrowed bytes sees to it that they outlive the Buffer.
struct Attachments {
  struct Part {
    std::span<const std::byte> bytes;
    std::size_t stride;  ///< may be cut at multiples of this only, and is one itself
  };
  std::vector<Part> parts;
  std::vector<std::shared_ptr<const void>> owners;
  std::size_t size = 0;  ///< of all parts
};

/// **Owns** its bytes, the first 128 in place, more on the heap; and what they name. data() is 64-byte aligned, so that
///   what is aligned relative to the start is aligned in memory, here and at the receiver.
/// **Threads** one at a time.
/// **Fork** a copy of the memory is a valid Buffer.
/// **Blocks** never.
/// **Throws** std::bad_alloc from whatever appends; the bytes appended before stay.
class Buffer {
 public:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t inline_capacity = 128;

  Buffer() noexcept : data_(inline_) {}
  /// Whether large parts may be attached: whoever sends this does so while they are there.
  explicit Buffer(bool may_attach) noexcept : data_(inline_), may_attach_(may_attach) {}
  Buffer(Buffer&& other) noexcept : data_(inline_) { take(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~Buffer() { release(); }

  /// Appends n bytes of no particular value and returns where they are. Growing moves the data.
  [[nodiscard]] std::byte* grow(std::size_t n) {
    if (n > capacity_ - size_) [[unlikely]]
      make_room(n);
    std::byte* const at = data_ + size_;
    size_ += n;
    return at;
  }
  void append(const void* bytes, std::size_t n) {
    std::byte* const at = grow(n);
    if (n != 0) std::memcpy(at, bytes, n);
  }
  /// One byte for a size below 254, nine for others.
  void append_size(std::uint64_t n) {
    if (n < attached_mark) [[likely]] {
      *grow(1) = static_cast<std::byte>(n);
    } else {
      append_marked_size(size_mark, n);
    }
  }
  /// Appends zeros until size() is a multiple of a power of two of at most 64.
  void align(std::size_t to) {
    const std::size_t padding = (0 - size_) & (to - 1);
    if (padding != 0) std::memset(grow(padding), 0, padding);
  }

  /// Forgets the bytes from size on; size <= size().
  void truncate(std::size_t size) noexcept { size_ = size; }
  void clear() noexcept {
    size_ = 0;
    holds_.clear();
    if (attachments_ != nullptr) [[unlikely]]
      attachments_.reset();
  }
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) make_room(capacity - size_);
  }
  /// Gives heap memory beyond keep_capacity back, as far as size() allows.
  void shrink(std::size_t keep_capacity);

  /// What the bytes name.
  [[nodiscard]] Holds& holds() noexcept { return holds_; }
  [[nodiscard]] const Holds& holds() const noexcept { return holds_; }
  /// Appends what the other one has, but for its attachments.
  void append_all(const Buffer& other) {
    append(other.data_, other.size_);
    holds_.add_all(other.holds_);
  }
  /// A worker's result: what it names, it names in its parent's words.
  void set_for_parent() noexcept { for_parent_ = true; }
  [[nodiscard]] bool is_for_parent() const noexcept { return for_parent_; }

  // --- Attachments -------------------------------------------------------------------------------

  /// As the constructor's argument.
  void allow_attachments(bool allowed) noexcept { may_attach_ = allowed; }
  /// Whether `n` bytes of elements of `stride` bytes are better attached than appended.
  [[nodiscard]] bool should_attach(std::size_t n, std::size_t stride) const noexcept {
    return may_attach_ && n >= least_attached && stride <= largest_stride;
  }
  /// Appends the count of what is attached, in elements of `stride` bytes.
  void attach(std::span<const std::byte> bytes, std::size_t stride,
              std::shared_ptr<const void> owner = nullptr);
  /// Null if there are none.
  [[nodiscard]] const Attachments* attachments() const noexcept { return attachments_.get(); }

  static constexpr std::size_t least_attached = std::size_t{8} * 1024;
  static constexpr std::size_t largest_stride = 4096;
  static constexpr std::uint8_t attached_mark = 0xfe;  // a count of elements elsewhere follows
  static constexpr std::uint8_t size_mark = 0xff;      // a size in eight bytes follows

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::byte* data() noexcept { return data_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  void append_marked_size(std::uint8_t mark, std::uint64_t n) {
    std::byte* const at = grow(1 + sizeof n);
    at[0] = std::byte{mark};
    std::memcpy(at + 1, &n, sizeof n);
  }
  void make_room(std::size_t n);       // for n bytes behind size_
  void move_to(std::size_t capacity);  // of at least size_
  void take(Buffer& other) noexcept;   // into an empty *this; leaves other empty
  void release() noexcept;             // the heap memory if there is any

  std::byte* data_;  // inline_ or heap memory
  std::size_t size_ = 0;
  std::size_t capacity_ = inline_capacity;
  std::unique_ptr<Attachments> attachments_;
  Holds holds_;
  bool may_attach_ = false;
  bool for_parent_ = false;
  alignas(alignment) std::byte inline_[inline_capacity];
};

}  // namespace apalis::detail::wire
