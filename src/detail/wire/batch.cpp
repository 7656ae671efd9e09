// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/batch.hpp>
#include <cstring>

namespace apalis::detail::wire {
namespace {

constexpr std::byte success{static_cast<unsigned char>(BatchStatus::value)};
constexpr std::byte failure{static_cast<unsigned char>(BatchStatus::exception)};

/// Replaces whatever a failed call has written since `start` by the exception in flight.
void write_exception(Buffer& result, std::size_t start, std::string_view where) {
  Buffer error;
  encode_current_exception(error, where);
  result.truncate(start);
  *result.grow(1) = failure;
  result.append_size(error.size());
  result.append(error.data(), error.size());
}

void invoke_batch(void* object, Reader& calls, Buffer& result) {
  const auto count = calls.read_size();
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto form = calls.read_size();
    if (form % 2 != 0) calls.align(Buffer::alignment);
    Reader call{calls.take(form / 2)};
    const Entry* entry = nullptr;
    call.read(&entry, sizeof entry);
    const auto start = result.size();
    *result.grow(1) = success;
    try {
      entry->invoke(object, call, result);
    } catch (...) {
      write_exception(result, start, entry->name);
    }
  }
}

}  // namespace

constinit const Entry batch_entry{&invoke_batch, "a batch of calls", Buffer::alignment};

void begin_batch(Buffer& buffer, std::size_t count) {
  const Entry* const entry = &batch_entry;
  buffer.append(&entry, sizeof entry);
  buffer.append_size(count);
}

void add_to_batch(Buffer& buffer, std::span<const std::byte> call) {
  const Entry* entry = nullptr;
  std::memcpy(&entry, call.data(), sizeof entry);
  const bool wide = entry->alignment > 1;
  buffer.append_size(2 * call.size() + (wide ? 1 : 0));
  if (wide) buffer.align(Buffer::alignment);
  buffer.append(call.data(), call.size());
}

std::exception_ptr decode_batch_exception(Reader& results, pid_t worker) {
  Reader error{results.take(results.read_count(1))};
  return decode_exception(error, worker);
}

}  // namespace apalis::detail::wire
