// SPDX-License-Identifier: BSL-1.0
#pragma once

// The object of the rounds with large and shared data. All content follows from a pattern, so that
// whoever looks at it knows what may be there.

#include <apalis/barrier.hpp>
#include <apalis/ref.hpp>
#include <apalis/shared_array.hpp>
#include <apalis/view.hpp>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ledger.hpp"

namespace stress {

using Word = std::uint32_t;
using Words = std::vector<Word>;

[[nodiscard]] inline Word word_of(std::uint64_t pattern, std::size_t index) {
  return pattern == 0 ? 0 : static_cast<Word>(mixed(pattern, index) >> 16U);
}
inline void fill(std::span<Word> words, std::uint64_t pattern) {
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = word_of(pattern, i);
}
[[nodiscard]] inline Words words_of(std::uint64_t pattern, std::size_t size) {
  Words words(size);
  fill(words, pattern);
  return words;
}

/// Of every element; 0 for none.
[[nodiscard]] inline std::uint64_t whole_digest(std::span<const Word> words) {
  std::uint64_t digest = words.size();
  for (const Word word : words) digest = digest * 0x9e3779b97f4a7c15U + word;
  return digest;
}

/// What is encoded, not read in place.
struct Table {
  std::vector<std::string> rows;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(rows);
  }
};
[[nodiscard]] inline Table table_of(std::uint64_t pattern, std::size_t rows) {
  Table table;
  for (std::size_t i = 0; i < rows; ++i) table.rows.push_back(std::to_string(word_of(pattern, i)));
  return table;
}
[[nodiscard]] inline std::uint64_t whole_digest(const Table& table) {
  std::uint64_t digest = table.rows.size();
  for (const auto& row : table.rows) digest = mixed(digest, digest_of(row));
  return digest;
}

class Mason {
 public:
  static constexpr std::size_t shelves = 4;  // one for each thread that calls

  explicit Mason(apalis::SharedArray<Word> born_with) : born_with_(std::move(born_with)) {}

  std::uint64_t read_born_with() const { return whole_digest(born_with_.span()); }

  // --- SharedArray -------------------------------------------------------------------------------

  std::uint64_t write(std::span<Word> part, std::uint64_t pattern) {
    fill(part, pattern);
    return whole_digest(part);
  }
  std::uint64_t keep(std::size_t shelf, const apalis::SharedArray<Word>& words) {
    arrays_.at(shelf) = words;
    return whole_digest(words.span());
  }
  std::uint64_t read_kept(std::size_t shelf) const {
    return whole_digest(arrays_.at(shelf).span());
  }
  apalis::SharedArray<Word> give(std::size_t shelf) const { return arrays_.at(shelf); }

  // --- Ref ---------------------------------------------------------------------------------------

  std::uint64_t read_words(std::span<const Word> words) const { return whole_digest(words); }
  std::uint64_t read_table(const Table& table) const { return whole_digest(table); }
  std::uint64_t keep_table(std::size_t shelf, apalis::Ref<Table> table) {
    tables_.at(shelf) = std::move(table);
    return whole_digest(*tables_.at(shelf));
  }
  apalis::Ref<Table> give_table(std::size_t shelf) const { return tables_.at(shelf); }

  // --- By value ----------------------------------------------------------------------------------

  Words echo(Words words) const { return words; }
  Words make(std::uint64_t pattern, std::size_t size) const { return words_of(pattern, size); }
  apalis::View<Word> show(std::uint64_t pattern, std::size_t size) {
    shown_ = words_of(pattern, size);
    return shown_;
  }

  // --- Barrier -----------------------------------------------------------------------------------

  /// Between its arrivals, all have written what belongs to the phase. How many had not.
  std::uint64_t iterate(const apalis::Barrier& barrier, std::span<Word> board, std::size_t who,
                        Word phases) const {
    std::uint64_t wrong = 0;
    for (Word phase = 1; phase <= phases; ++phase) {
      board[who] = phase;
      barrier.arrive_and_wait();
      for (const Word& each : board) wrong += each == phase ? 0U : 1U;
      barrier.arrive_and_wait();
    }
    return wrong;
  }

  std::uint64_t crash() const { std::abort(); }

 private:
  apalis::SharedArray<Word> born_with_;
  std::array<apalis::SharedArray<Word>, shelves> arrays_;
  std::array<apalis::Ref<Table>, shelves> tables_;
  Words shown_;
};

}  // namespace stress
