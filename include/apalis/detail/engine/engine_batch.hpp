// SPDX-License-Identifier: BSL-1.0
#pragma once

// What goes to a worker at once, and what comes back: some items of a map, or a task of a group.

#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/worker_group.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

namespace apalis::detail::engine {

/// Behind the Entry of a batch: which items it has. Small, so that a batch of one item or two fits a
/// pair of units.
struct BatchHeader {
  std::uint32_t run;
  std::uint32_t skip;         // items that are there but not to be run
  std::uint32_t count;        // items to be run after those
  std::uint32_t first_low;    // index of its first item
  std::uint32_t first_high;

  [[nodiscard]] std::uint64_t first() const noexcept {
    return std::uint64_t{first_high} << 32 | first_low;
  }
};
static_assert(sizeof(BatchHeader) == 20);

/// At the start of a batch's reply.
struct ReplyHeader {
  std::uint64_t busy;         // nanoseconds
  std::uint64_t peak_memory;  // bytes, of the worker so far
  std::uint32_t values;       // how many follow
  std::uint32_t failed;       // 1: behind them, why the next one has none
};

using PartState = actor::PartState;
using OwnedPart = std::unique_ptr<PartState, actor::Abandon>;

struct Batch {
  const wire::Entry* entry = nullptr;
  const void* code = nullptr;  // that the message leads to; null for none
  std::uint64_t first = 0;
  std::uint32_t skip = 0;
  std::uint32_t count = 0;
  std::uint32_t lane = 0;
  std::uint32_t attempts = 0;  // that a worker did not survive
  std::uint32_t unbegun = 0;   // workers that died before they began it
  std::uint32_t leavers = 0;   // and that had ended since they were idle
  std::uint64_t serial = 0;    // of its sending
  bool done = false;
  bool limited = false;        // the worker was told to begin no more than `count`, or fewer
  wire::Buffer message;
  std::shared_ptr<void> callable;  // that the message refers to; null for none
  OwnedPart state;
  ReplyHeader reply{};
  std::exception_ptr error;  // why it has no reply

  /// Index of its first item that is run.
  [[nodiscard]] std::uint64_t begin() const noexcept { return first + skip; }
  [[nodiscard]] std::uint64_t end() const noexcept { return first + skip + count; }
  [[nodiscard]] bool failed() const noexcept { return error != nullptr || reply.failed != 0; }
  /// Behind the header.
  [[nodiscard]] wire::Reader results() const;
  /// Why a batch that failed did, and the items that this is about.
  [[noreturn]] void throw_failure(wire::Reader& behind_values) const;
};

/// What stands before what a batch holds: the Entry's address and the BatchHeader.
inline constexpr std::size_t message_header = sizeof(const wire::Entry*) + sizeof(BatchHeader);
/// What each message to a Seat starts with.
void begin_message(wire::Buffer& message, const wire::Entry& entry);
/// The same for a batch, with room for its header; the rest goes behind.
void begin_message(Batch& batch, const wire::Entry& entry, const void* code);

/// Whether this says that a worker died.
[[nodiscard]] bool is_death(const std::exception_ptr& error) noexcept;

}  // namespace apalis::detail::engine
