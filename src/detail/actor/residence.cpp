// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/detail/actor/residence.hpp>
#include <apalis/detail/wire/reader.hpp>

namespace apalis::detail::actor {

bool Residence::move_in(Maker& maker, const StartHooks& hooks, wire::Buffer& error) {
  const char* where = "prepare_worker";
  try {
    if (hooks.prepare != nullptr && *hooks.prepare) (*hooks.prepare)();
    where = "on_worker_start";
    if (hooks.on_start != nullptr && *hooks.on_start) (*hooks.on_start)();
    where = "the object's constructor";
    object_ = maker.make();
    return true;
  } catch (...) {
    wire::encode_current_exception(error, where);
    return false;
  }
}

std::exception_ptr Residence::move_in_here(Maker& maker, const StartHooks& hooks) {
  wire::Buffer error;
  if (move_in(maker, hooks, error)) return nullptr;
  wire::Reader reader{error.bytes()};
  return wire::decode_exception(reader, ::getpid());
}

bool run_here(const Residence& residence, const std::exception_ptr& construction_error,
              std::span<const std::byte> message, wire::Buffer& result) {
  if (construction_error == nullptr) return residence.run(message, result);
  result.clear();
  try {
    std::rethrow_exception(construction_error);
  } catch (...) {
    wire::encode_current_exception(result, called_entry(message).name);
  }
  return false;
}

}  // namespace apalis::detail::actor
