// SPDX-License-Identifier: BSL-1.0
#pragma once

// A lane for tests that play both ends of it.
//
//   LaneMemory memory;
//   Sender sender{memory.lane(), true};
//   Receiver receiver{memory.lane()};
//   REQUIRE(send(sender, message_of(100, 1)));
//   CHECK(take(receiver) == message_of(100, 1));

#include <algorithm>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/channel/receiver.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <utility>
#include <vector>

namespace apalis::test {

namespace channel = detail::channel;

/// Each part is an allocation of its own, so that a sanitizer sees every access outside it.
class LaneMemory {
 public:
  LaneMemory()
      : units_(channel::lane_units),
        arena_(channel::arena_bytes / channel::cache_line),
        progress_(std::make_unique<channel::Progress>()) {}

  [[nodiscard]] channel::Lane lane() {
    return {units_.data(), arena_.data()->bytes, progress_.get()};
  }
  [[nodiscard]] channel::Progress& progress() { return *progress_; }

 private:
  struct alignas(channel::cache_line) Line {
    std::byte bytes[channel::cache_line];
  };
  std::vector<channel::Unit> units_;
  std::vector<Line> arena_;
  std::unique_ptr<channel::Progress> progress_;
};

struct Message {
  std::uint8_t tag = 0;
  std::vector<std::byte> bytes;

  bool operator==(const Message&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Message& message) {
    return out << message.bytes.size() << " bytes with tag " << int{message.tag};
  }
};

/// Bytes that differ from those of neighbouring seeds, and from place to place.
inline Message message_of(std::size_t size, std::uint64_t seed) {
  Message message{static_cast<std::uint8_t>(seed), std::vector<std::byte>(size)};
  std::uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15U;
  for (std::size_t at = 0; at < size; at += sizeof state) {
    state = (state ^ state >> 29) * 0xbf58476d1ce4e5b9U + at;
    std::memcpy(message.bytes.data() + at, &state, std::min(size - at, sizeof state));
  }
  return message;
}

/// Sizes as programs have them: many small ones, few large ones.
inline std::size_t some_size(std::mt19937_64& random) {
  switch (random() % 16) {
    case 0:
      return random() % (channel::block_limit + 1);
    case 1:
      return channel::block_limit - random() % 70;
    case 2:
    case 3:
      return random() % 5000;
    case 4:
    case 5:
    case 6:
      return random() % 300;
    default:
      return random() % (channel::pair_bytes + 2);
  }
}

/// Sends with no more bytes readable than the contract asks for.
[[nodiscard]] inline bool send(channel::Sender& sender, const Message& message) {
  const auto size = message.bytes.size();
  if (size > channel::pair_bytes) return sender.try_send(message.tag, message.bytes.data(), size);
  const auto padded = std::make_unique<std::byte[]>(channel::pair_bytes);
  if (size != 0) std::memcpy(padded.get(), message.bytes.data(), size);
  return sender.try_send(message.tag, padded.get(), size);
}

/// The bytes of an arrival, wherever they are.
[[nodiscard]] inline Message content(const channel::Receiver& receiver,
                                     const channel::Arrival& arrival) {
  const std::byte* const from =
      arrival.in_arena() ? receiver.block_bytes(arrival) : arrival.inline_bytes;
  const auto size = arrival.in_arena() ? arrival.block.size : arrival.head.size();
  return {arrival.head.tag(), {from, from + size}};
}

/// The next message, released; nothing if there is none.
[[nodiscard]] inline std::optional<Message> take(channel::Receiver& receiver) {
  channel::Arrival arrival;
  if (!receiver.try_take(arrival)) return std::nullopt;
  auto message = content(receiver, arrival);
  receiver.release(arrival);
  return message;
}

}  // namespace apalis::test
