// SPDX-License-Identifier: BSL-1.0
#pragma once

// Exceptions as data.
//
//   try { … } catch (...) { encode_current_exception(buffer, "Counter::add"); }      // there
//   std::rethrow_exception(decode_exception(reader, worker_pid));                    // here

#include <sys/types.h>

#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <exception>
#include <string_view>

namespace apalis::detail::wire {

/// Appends the exception in flight: type, message, nested causes, and what its type needs to be
/// made anew. Only in a catch block. `where`: the call that threw it.
/// **Throws** std::bad_alloc.
void encode_current_exception(Buffer& buffer, std::string_view where);

/// The exception as an object that is both its own type, where that is a standard, registered or
/// our own one (else Error), and RemoteError. Bytes that make no sense give an Error that says so.
[[nodiscard]] std::exception_ptr decode_exception(Reader& reader, pid_t worker) noexcept;

}  // namespace apalis::detail::wire
