// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a message that is larger than a block is cut: first its head, then its attachments, none of
// whose elements is torn.
//
//   for (Pieces pieces{message}; !pieces.done(); pieces.pass())
//     sender.try_send_piece(tag, pieces.next().data(), pieces.next().size(), pieces.whole());

#include <apalis/detail/channel/sender.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <cstddef>
#include <span>

namespace apalis::detail::actor {

/// **Owns** nothing: the message must outlive it.
class Pieces {
 public:
  explicit Pieces(const wire::Buffer& message) noexcept;

  [[nodiscard]] channel::MessageSize whole() const noexcept { return whole_; }
  /// What goes next; empty after the last.
  [[nodiscard]] std::span<const std::byte> next() const noexcept { return left_.first(size_); }
  [[nodiscard]] bool done() const noexcept { return size_ == 0; }
  [[nodiscard]] bool head_done() const noexcept { return part_ > 0; }
  /// The next one was sent.
  void pass() noexcept;

 private:
  void cut() noexcept;

  const wire::Buffer& message_;
  channel::MessageSize whole_;
  std::size_t part_ = 0;            // 0: the head; else the attachment before this
  std::size_t stride_ = 1;          // of what is being cut
  std::span<const std::byte> left_;
  std::size_t size_ = 0;            // of the next piece
};

}  // namespace apalis::detail::actor
