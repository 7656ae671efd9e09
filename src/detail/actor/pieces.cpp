// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/pieces.hpp>
#include <apalis/detail/channel/layout.hpp>

namespace apalis::detail::actor {

Pieces::Pieces(const wire::Buffer& message) noexcept
    : message_(message), whole_(message.size()), left_(message.bytes()) {
  if (const auto* attachments = message.attachments()) whole_.total += attachments->size;
  cut();
}

void Pieces::pass() noexcept {
  left_ = left_.subspan(size_);
  cut();
}

void Pieces::cut() noexcept {
  const auto* const attachments = message_.attachments();
  while (left_.empty() && attachments != nullptr && part_ < attachments->parts.size()) {
    const auto& part = attachments->parts[part_++];
    left_ = part.bytes;
    stride_ = part.stride;
  }
  const auto most = channel::block_limit / stride_ * stride_;
  size_ = std::min<std::size_t>(left_.size(), most);
}

}  // namespace apalis::detail::actor
