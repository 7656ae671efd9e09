// SPDX-License-Identifier: BSL-1.0
#include "scripted_child.hpp"

#include <algorithm>
#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <array>
#include <cstring>
#include <vector>

#include "blocks.hpp"

namespace apalis::fuzz {

namespace actor = detail::actor;
namespace channel = detail::channel;
namespace wire = detail::wire;

namespace {

constexpr std::uint64_t numbers[] = {0,
                                     1,
                                     64,
                                     channel::block_limit,
                                     channel::arena_bytes,
                                     channel::lane_units,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     std::uint64_t{1} << 32,
                                     std::uint64_t{1} << 60,
                                     ~std::uint64_t{0} / 2,
                                     ~std::uint64_t{0}};

std::uint64_t a_number(Input& script) {
  const auto which = script.number<std::uint8_t>();
  return numbers[which % std::size(numbers)] + static_cast<std::uint64_t>(which / 64U);
}

std::vector<std::byte> repeated(std::size_t size, Input& script) {
  const auto seed = script.take(8);
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; !seed.empty() && i < size; ++i) bytes[i] = seed[i % seed.size()];
  return bytes;
}

std::vector<std::byte> translated(std::span<const std::byte> script) {
  std::vector<std::byte> bytes(script.begin(), script.end());
  Blocks::here().translate(bytes);
  return bytes;
}

}  // namespace

void Child::act(Act act, Input& script) {
  switch (act) {
    case Act::send: {
      const auto tag = script.number<std::uint8_t>();
      return send(tag, translated(script.take(script.number<std::uint8_t>())));
    }
    case Act::send_large:
      return send_large(script);
    case Act::send_pieces:
      return send_pieces(script);
    case Act::send_encoded:
      return send_encoded(script);
    case Act::send_attached:
      return send_attached(script);
    case Act::write_head: {
      const auto where = script.number<std::uint8_t>();
      const auto what = script.number<std::uint16_t>();
      const auto size = script.number<std::uint16_t>();
      const auto position =
          sender_.last_position() + where % 8U + where / 64U * (channel::lane_units / 2);
      const auto head = channel::Head::make(position, static_cast<channel::Kind>(what % 16),
                                            static_cast<std::uint8_t>(what >> 8), size);
      view_.replies.unit(position).head.store(head.word);
      return;
    }
    case Act::write_block: {
      const auto position = sender_.last_position() + script.number<std::uint8_t>() % 8U;
      channel::BlockRef block;
      block.position = static_cast<std::uint32_t>(a_number(script) * channel::cache_line);
      block.size = script.number<std::uint32_t>();
      block.total = a_number(script) + block.size;
      block.head = block.total / (1U + block.size % 3U);
      std::memcpy(view_.replies.unit(position).data, &block, sizeof block);
      return;
    }
    case Act::write_number: {
      const auto where = script.number<std::uint32_t>();
      const auto number = a_number(script);
      return write(where % SliceMemory::size / 4 * 4, &number, sizeof number);
    }
    case Act::write_bytes: {
      const auto where = script.number<std::uint32_t>();
      const auto bytes = script.take(script.number<std::uint8_t>());
      return write(where % SliceMemory::size, bytes.data(), bytes.size());
    }
    case Act::progress: {
      const auto units = script.number<std::uint32_t>();
      const auto bytes = script.number<std::uint32_t>();
      view_.requests.progress->word.store(static_cast<std::uint64_t>(bytes) << 32 | units);
      return;
    }
    case Act::skips: {
      auto position = sender_.last_position();
      for (auto left = script.number<std::uint16_t>() % (2 * channel::lane_units); left > 0;
           --left) {
        view_.replies.unit(position).head.store(
            channel::Head::make(position, channel::Kind::skip, 0, 0).word);
        ++position;
      }
      return;
    }
    case Act::send_named:
      return send_named(script);
    case Act::write_held:
      return write_held(script);
    case Act::count:
      return;
  }
}

void Child::send(std::uint8_t tag, std::span<const std::byte> bytes) {
  std::array<std::byte, channel::pair_bytes> padded{};
  const std::byte* from = bytes.data();
  if (bytes.size() <= padded.size()) {
    if (!bytes.empty()) std::memcpy(padded.data(), bytes.data(), bytes.size());
    from = padded.data();
  }
  try {
    (void)sender_.try_send(tag, from, bytes.size());
  } catch (const channel::ProtocolViolation&) {
    // It wrote over the parent's progress itself.
  }
}

void Child::send_large(Input& script) {
  const auto tag = script.number<std::uint8_t>();
  const auto size = script.number<std::uint16_t>();
  send(tag, repeated(size, script));
}

void Child::send_pieces(Input& script) {
  const auto tag = script.number<std::uint8_t>();
  const auto total = a_number(script);
  const std::size_t each = script.number<std::uint16_t>() + 1U;
  auto left = script.number<std::uint8_t>() % 16;
  const auto bytes = repeated(std::min<std::size_t>(each, channel::block_limit), script);
  try {
    for (; left > 0; --left)
      if (!sender_.try_send_piece(tag, bytes.data(), bytes.size(), total)) return;
  } catch (const channel::ProtocolViolation&) {
    // It wrote over the parent's progress itself.
  }
}

/// So that a few bytes of script make long replies: [count][byte] for each run.
void Child::send_encoded(Input& script) {
  const auto tag = script.number<std::uint8_t>();
  std::vector<std::byte> bytes;
  for (auto runs = script.number<std::uint8_t>() % 32; runs > 0; --runs) {
    const std::size_t count = std::size_t{1} << script.number<std::uint8_t>() % 16;
    const auto byte = static_cast<std::byte>(script.number<std::uint8_t>());
    bytes.insert(bytes.end(), std::min(count, channel::block_limit - bytes.size()), byte);
  }
  send(tag, bytes);
}

void Child::send_attached(Input& script) {
  const std::uint64_t count = script.number<std::uint16_t>();
  auto left = script.number<std::uint8_t>() % 16;
  std::vector<std::byte> head(1 + sizeof count, std::byte{wire::Buffer::attached_mark});
  std::memcpy(head.data() + 1, &count, sizeof count);
  const auto part = repeated(std::size_t{script.number<std::uint8_t>()} * sizeof(int) + 1, script);
  const channel::MessageSize whole{head.size() + count * sizeof(int), head.size()};
  const auto tag = static_cast<std::uint8_t>(actor::Answer::value);
  const auto size = std::max<std::size_t>(part.size() / sizeof(int) * sizeof(int), 1);
  try {
    bool sent = sender_.try_send_piece(tag, head.data(), head.size(), whole);
    for (; sent && left > 0; --left) sent = sender_.try_send_piece(tag, part.data(), size, whole);
  } catch (const channel::ProtocolViolation&) {
    // It wrote over the parent's progress itself.
  }
}

/// As finish_reply() does it.
void Child::send_named(Input& script) {
  auto reply = translated(script.take(script.number<std::uint8_t>()));
  const auto append = [&reply](const auto& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    reply.insert(reply.end(), bytes.begin(), bytes.end());
  };
  const auto names = script.number<std::uint8_t>();
  for (auto left = names % 8; left > 0; --left) {
    const auto which = script.number<std::uint8_t>();
    append(Blocks::here().reply_name(which, script.number<std::uint8_t>()));
  }
  append(static_cast<std::uint32_t>(names % 8 + names / 64));  // and sometimes it is another count
  send(static_cast<std::uint8_t>(actor::Answer::value_with_blocks), reply);
}

void Child::write_held(Input& script) noexcept {
  auto& slice = Blocks::here().slice();
  auto& region = slice.region();
  auto& calls = channel::SliceView::at(slice.base()).control->calls;
  const auto word = script.number<std::uint8_t>();
  const auto value = script.number<std::uint32_t>();
  // The page that lend() has backed holds more.
  const std::uint32_t block = word / 8U;
  switch (word % 8) {
    case 0:
    case 1:
      return region.held(slice.index(), block).count.store(value);
    case 2:
      return region.held(slice.index(), block).in_reply.store(value);
    case 3:
      return region.inherited(slice.index(), block).store(static_cast<std::uint8_t>(value));
    case 4:
      return calls.considered.store(value);
    case 5:
      return calls.finished.store(value);
    case 6:
      return calls.made.store(value);
    default:
      return calls.let_go.store(value);
  }
}

void Child::write(std::size_t where, const void* bytes, std::size_t size) noexcept {
  size = std::min(size, SliceMemory::size - where);
  if (size != 0) std::memcpy(memory_.data() + where, bytes, size);
}

}  // namespace apalis::fuzz
