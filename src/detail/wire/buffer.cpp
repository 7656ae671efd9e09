// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/buffer.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace apalis::detail::wire {

void Buffer::make_room(std::size_t n) {
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max() - alignment;
  if (n > most - size_) throw std::bad_alloc();
  const std::size_t needed = size_ + n;
  // Doubling makes appends constant time; beyond it, a single large message gets what it asked for.
  const std::size_t wanted = std::max(needed, capacity_ > most / 2 ? most : 2 * capacity_);
  move_to((wanted + alignment - 1) & ~(alignment - 1));
}

void Buffer::move_to(std::size_t capacity) {
  auto* const bytes =
      static_cast<std::byte*>(::operator new (capacity, std::align_val_t{alignment}));
  std::memcpy(bytes, data_, size_);
  release();
  data_ = bytes;
  capacity_ = capacity;
}

void Buffer::shrink(std::size_t keep_capacity) {
  const std::size_t wanted = (std::max(size_, keep_capacity) + alignment - 1) & ~(alignment - 1);
  if (data_ == inline_ || wanted >= capacity_) return;
  if (wanted > inline_capacity) return move_to(wanted);
  std::memcpy(inline_, data_, size_);
  release();
}

void Buffer::attach(std::span<const std::byte> bytes, std::size_t stride,
                    std::shared_ptr<const void> owner) {
  append_marked_size(attached_mark, bytes.size() / stride);
  if (attachments_ == nullptr) attachments_ = std::make_unique<Attachments>();
  if (owner != nullptr) attachments_->owners.push_back(std::move(owner));
  attachments_->parts.push_back({bytes, stride});
  attachments_->size += bytes.size();
}

void Buffer::take(Buffer& other) noexcept {
  if (other.data_ == other.inline_) {
    std::memcpy(inline_, other.inline_, other.size_);
  } else {
    data_ = std::exchange(other.data_, other.inline_);
    capacity_ = std::exchange(other.capacity_, inline_capacity);
  }
  size_ = std::exchange(other.size_, 0);
  attachments_ = std::move(other.attachments_);
  holds_ = std::move(other.holds_);
  may_attach_ = other.may_attach_;
  for_parent_ = other.for_parent_;
}

void Buffer::release() noexcept {
  if (data_ != inline_) ::operator delete (data_, std::align_val_t{alignment});
  data_ = inline_;
  capacity_ = inline_capacity;
}

}  // namespace apalis::detail::wire
