// SPDX-License-Identifier: BSL-1.0
#pragma once

// Memory that replies may name, and names in a form that means the same in every run.
//
// A name in a script is a BlockName whose table is `marker`: the lower three bits of its index say
// which block, the rest of it, the generation and the address what is added to the true ones.

#include <apalis/barrier.hpp>
#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/ref.hpp>
#include <apalis/shared_array.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace apalis::fuzz {

/// Something that crosses as its encoding behind a Ref.
struct Notes {
  std::vector<std::string> lines;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(lines);
  }
};

/// **Owns** the blocks, and a slice whose words about them a child may write. One a process.
class Blocks {
 public:
  static constexpr std::uint32_t marker = 0x6b6f6c62;
  static constexpr std::size_t named = 8;

  [[nodiscard]] static Blocks& here();

  SharedArray<int> numbers;
  SharedArray<double, 2> grid;
  Ref<std::vector<int>> vector;
  Ref<Notes> notes;
  Ref<std::string> file;
  Barrier barrier;

  /// Makes the names in a script those of the blocks.
  void translate(std::span<std::byte> bytes) const noexcept;
  /// The other way round.
  void make_script(std::span<std::byte> bytes) const noexcept;
  /// As a reply's end has it.
  struct ReplyName {
    std::uint32_t index;
    std::uint32_t generation;
  };
  [[nodiscard]] ReplyName reply_name(std::uint8_t which, std::uint8_t generation) const noexcept;

  [[nodiscard]] detail::channel::Slice& slice() noexcept { return slice_; }

  /// Ends the program if an input left a reference, or a block that waits.
  void require_untouched() const;

 private:
  Blocks();
  void add(const detail::wire::Buffer& encoded);

  detail::channel::Slice slice_;
  std::array<detail::channel::BlockName, named> names_{};
  std::vector<const detail::channel::Block*> blocks_;
};

}  // namespace apalis::fuzz
