// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>

namespace apalis::detail::actor {

std::exception_ptr State::error() noexcept {
  if (kind_ == Reply::value) return nullptr;
  if (error_ == nullptr && kind_ == Reply::cancelled)
    error_ = std::make_exception_ptr(Cancelled("apalis: the call was cancelled before it began"));
  if (error_ == nullptr) {
    wire::Reader reader{{heap_ ? heap_.get() : inline_, size_}};
    error_ = wire::decode_exception(reader, source_ != nullptr ? source_->pid() : 0);
  }
  return error_;
}

void throw_no_result() {
  throw Error("apalis: this result was never computed");
}

}  // namespace apalis::detail::actor
