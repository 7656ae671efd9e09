// SPDX-License-Identifier: BSL-1.0
#pragma once

// An exception as bytes and back.
//
//   try { entry->invoke(&object, message, result); }
//   catch (...) { result.clear(); encode_current_exception(result, entry->name); }
//   …
//   std::rethrow_exception(decode_exception(reply, worker_pid));

#include <sys/types.h>

#include <exception>
#include <string_view>

#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/reader.hpp>

namespace apalis::detail::wire {

/// Inside a catch block: appends the exception that is being handled, and those nested in it.
/// `where` names the call that threw it. Throws nothing but std::bad_alloc.
void encode_current_exception(Buffer& buffer, std::string_view where);

/// An exception of the original type, if it is a standard one, one of the library's or registered,
/// and an apalis::Error if not; either is an apalis::RemoteError too, and carries the nested ones
/// as std::throw_with_nested would. Bytes that make no sense become an Error that says so.
std::exception_ptr decode_exception(Reader& reader, pid_t worker) noexcept;

}  // namespace apalis::detail::wire
