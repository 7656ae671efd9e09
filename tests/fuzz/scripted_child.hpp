// SPDX-License-Identifier: BSL-1.0
#pragma once

// A child that writes what its script says: messages like a good one, with any content, and
// anything else anywhere in its slice. What it sends may name blocks: see Blocks.

#include <apalis/detail/channel/sender.hpp>
#include <cstddef>
#include <cstdint>

#include "input.hpp"
#include "slice_memory.hpp"

namespace apalis::fuzz {

class Child {
 public:
  explicit Child(SliceMemory& memory) : memory_(memory), view_(memory.view()) {}

  enum class Act : std::uint8_t {
    send,           // [tag][size] and as many bytes
    send_large,     // [tag][size][seed]: a block of repeated bytes
    send_pieces,    // [tag][total][size of each][how many][seed]
    send_encoded,   // [tag][size]: with the parts that repeat folded
    send_attached,  // [count][how many][seed]: a result of that many ints
    write_head,     // [where][kind and tag][size]
    write_block,    // [where][position][size][total]
    write_number,   // [where][which]
    write_bytes,    // [where][size] and as many bytes
    progress,       // [units][bytes]
    skips,          // [how many]
    send_named,     // [size] and as many bytes, [how many names] and [which][generation] of each
    write_held,     // [which word][value]: what the parent reads of the blocks
    count
  };

  void act(Act act, Input& script);

 private:
  void send(std::uint8_t tag, std::span<const std::byte> bytes);
  void send_large(Input& script);
  void send_pieces(Input& script);
  void send_encoded(Input& script);
  void send_attached(Input& script);
  void send_named(Input& script);
  static void write_held(Input& script) noexcept;
  void write(std::size_t where, const void* bytes, std::size_t size) noexcept;

  SliceMemory& memory_;
  detail::channel::SliceView view_;
  detail::channel::Sender sender_{view_.replies, true};
};

}  // namespace apalis::fuzz
