// SPDX-License-Identifier: BSL-1.0
#pragma once

// Many encoded calls in one message, and their outcomes in one reply.
//
//   begin_batch(buffer, calls.size());
//   for (const auto& call : calls) append_to_batch(buffer, call.bytes());
//   …
//   std::vector<int> sums;
//   if (!decode_batch_values(reply, calls.size(), sums))          // one of them failed:
//     outcomes = decode_batch<int>(reply_again, calls.size(), pid);
//
// Message: [batch Entry*][count] and each call as [size][call], or, where the call's Entry asks for
// alignment, as [0][alignment][size][padding][call]: offsets inside a call count from its own Entry
// pointer, and are aligned in memory because its start is.
// Reply: for each call [0][result] or [1][8 bytes of size][exception].

#include <sys/types.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/outcome.hpp>

namespace apalis::detail::wire {

enum class CallStatus : std::uint8_t { ok = 0, failed = 1 };

/// Runs every call of a batch on the object; an exception ends its own call only.
void run_batch(void* object, Reader& args, Buffer& result);

inline constexpr Entry batch_entry{&run_batch, "a batch of calls"};

/// The same for Objects, where each call comes after the index of its object.
void run_batch_of_many(void* objects, Reader& args, Buffer& result);

inline constexpr Entry batch_of_many_entry{&run_batch_of_many, "a batch of calls"};

/// Writes the exception in flight as the outcome of a call.
void write_failure(Buffer& result, std::string_view where);

/// Runs `call`, which appends its result, and makes it a call's outcome: that, or what it threw.
template <class Call>
void write_outcome(Buffer& result, std::string_view name, Call call) {
  result.allow_attachments(false);  // one after another's result would be the other's
  const std::size_t before = result.size();
  try {
    *result.grow(1) = std::byte{static_cast<std::uint8_t>(CallStatus::ok)};
    call();
  } catch (...) {
    result.truncate(before);
    write_failure(result, name);
  }
}

[[noreturn]] void throw_bad_status();

inline void begin_batch(Buffer& buffer, std::size_t count, const Entry& entry = batch_entry) {
  const Entry* const address = &entry;
  buffer.append(&address, sizeof address);
  buffer.append_size(count);
}

/// The same where the count is known only later.
inline void begin_open_batch(Buffer& buffer, const Entry& entry) {
  constexpr std::uint64_t none_yet = ~std::uint64_t{0};  // in as many bytes as any count
  begin_batch(buffer, none_yet, entry);
}
inline void set_batch_count(Buffer& buffer, std::uint64_t count) noexcept {
  std::memcpy(buffer.data() + sizeof(const Entry*) + 1, &count, sizeof count);
}

/// The call is what encode_call wrote into a Buffer of its own.
inline void append_to_batch(Buffer& buffer, std::span<const std::byte> call) {
  const Entry* entry;
  std::memcpy(&entry, call.data(), sizeof entry);
  if (entry->alignment > 1) {
    std::byte* const mark = buffer.grow(2);
    mark[0] = std::byte{0};
    mark[1] = static_cast<std::byte>(entry->alignment);
    buffer.append_size(call.size());
    buffer.align(entry->alignment);
  } else {
    buffer.append_size(call.size());
  }
  buffer.append(call.data(), call.size());
}

inline void encode_batch(Buffer& buffer, std::span<const std::span<const std::byte>> calls) {
  begin_batch(buffer, calls.size());
  for (const std::span<const std::byte> call : calls) append_to_batch(buffer, call);
}

inline CallStatus read_status(Reader& reader) {
  const auto status = static_cast<CallStatus>(*reader.take(1).data());
  if (status != CallStatus::ok && status != CallStatus::failed) throw_bad_status();
  return status;
}

/// The exception behind a CallStatus::failed; the worker's pid goes into it.
std::exception_ptr read_failure(Reader& reader, pid_t worker);

/// Every outcome of a reply; throws Malformed if it is none of `expected` calls with results R.
template <class R>
std::vector<Outcome<R>> decode_batch(Reader& reader, std::size_t expected, pid_t worker) {
  std::vector<Outcome<R>> outcomes;
  outcomes.reserve(expected);
  for (std::size_t i = 0; i < expected; ++i) {
    if (read_status(reader) == CallStatus::failed) {
      outcomes.emplace_back(read_failure(reader, worker));
    } else if constexpr (std::is_void_v<R>) {
      outcomes.emplace_back(std::in_place);
    } else {
      outcomes.emplace_back(std::in_place, decode<R>(reader));
    }
  }
  return outcomes;
}

/// Appends the results to `values` if every call succeeded. If not, returns false with the reader
/// and `values` anywhere: decode_batch then has to start over.
template <class R>
bool decode_batch_values(Reader& reader, std::size_t expected, std::vector<R>& values) {
  values.reserve(values.size() + expected);
  if constexpr (bytes_copyable<R> && !std::is_same_v<R, bool>) {
    constexpr std::size_t stride = 1 + sizeof(R);
    if (reader.remaining() / stride < expected) return false;
    const std::byte* at = reader.take(expected * stride).data();
    for (std::size_t i = 0; i < expected; ++i, at += stride) {
      if (*at != std::byte{static_cast<std::uint8_t>(CallStatus::ok)}) return false;
      Reader one({at + 1, sizeof(R)});
      values.push_back(decode<R>(one));
    }
  } else {
    for (std::size_t i = 0; i < expected; ++i) {
      if (read_status(reader) != CallStatus::ok) return false;
      values.push_back(decode<R>(reader));
    }
  }
  return true;
}

/// The same for calls without result.
inline bool decode_batch_values(Reader& reader, std::size_t expected) {
  for (std::size_t i = 0; i < expected; ++i)
    if (read_status(reader) != CallStatus::ok) return false;
  return true;
}

}  // namespace apalis::detail::wire
