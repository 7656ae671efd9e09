// SPDX-License-Identifier: BSL-1.0
#pragma once

// Many encoded calls as one, and their results.
//
//   calls     const Entry* | count | for each: 2 × size + wide | padding if wide | the call's bytes
//   results   for each: 0 | the encoded result        or     1 | size | the encoded exception
//
// A call that borrows from its message is `wide`: it starts at a multiple of 64, so that what is
// aligned within it is aligned in memory. Results are not delimited: they are read in order.

#include <sys/types.h>

#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/entry.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/outcome.hpp>
#include <cstddef>
#include <exception>
#include <span>
#include <vector>

namespace apalis::detail::wire {

/// Runs them in order; one that throws does not keep the next from running.
extern const Entry batch_entry;

/// Appends the head of a batch of `count` calls to an empty buffer; then add each.
void begin_batch(Buffer& buffer, std::size_t count);
void add_to_batch(Buffer& buffer, std::span<const std::byte> call);

enum class BatchStatus : unsigned char { value, exception };

/// Whether the next result is a value. Throws Malformed for a byte that says neither.
[[nodiscard]] inline bool next_is_value(Reader& results) {
  unsigned char status = 0;
  results.read(&status, 1);
  if (status > static_cast<unsigned char>(BatchStatus::exception)) [[unlikely]]
    throw Malformed("malformed batch: its worker wrote a status that does not exist");
  return status == static_cast<unsigned char>(BatchStatus::value);
}

[[nodiscard]] std::exception_ptr decode_batch_exception(Reader& results, pid_t worker);

/// The fast path: true if every one of `count` calls without result succeeded.
[[nodiscard]] inline bool batch_succeeded(Reader& results, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (!next_is_value(results)) return false;
  return true;
}

/// The fast path: fills `values` if every one of `count` calls succeeded.
template <class R>
[[nodiscard]] bool decode_batch_values(Reader& results, std::size_t count, std::vector<R>& values) {
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!next_is_value(results)) [[unlikely]]
      return false;
    values.push_back(wire::decode<R>(results));
  }
  return true;
}

/// Every outcome, whatever they are.
template <class R>
[[nodiscard]] std::vector<Outcome<R>> decode_batch(Reader& results, std::size_t count,
                                                   pid_t worker) {
  std::vector<Outcome<R>> outcomes;
  outcomes.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!next_is_value(results)) {
      outcomes.emplace_back(decode_batch_exception(results, worker));
    } else if constexpr (std::is_void_v<R>) {
      outcomes.emplace_back(std::in_place);
    } else {
      outcomes.emplace_back(std::in_place, wire::decode<R>(results));
    }
  }
  return outcomes;
}

}  // namespace apalis::detail::wire
