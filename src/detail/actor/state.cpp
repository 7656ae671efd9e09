// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <utility>

namespace apalis::detail::actor {
namespace {

struct Named final : State::Attached {
  explicit Named(wire::Holds h) noexcept : holds(std::move(h)) {}
  wire::Holds holds;
};

}  // namespace

bool State::keep(wire::Holds holds) {
  if (make_attached(0) != nullptr) return false;
  attached_ = std::make_unique<Named>(std::move(holds));
  return true;
}

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
