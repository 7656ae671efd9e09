// SPDX-License-Identifier: BSL-1.0
// Any bytes as the report that a crashed child left: they come to an exception that says what it can.
//
// Input: [known][signal] and the bytes of a CrashReport.
#include <apalis/detail/actor/obituary.hpp>
#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "errors.hpp"
#include "input.hpp"

using namespace apalis::fuzz;
namespace sys = apalis::detail::sys;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto modules = sys::loaded_modules(sys::lock_forks());
  Input input{data, size};
  apalis::detail::actor::Death death;
  death.worker = "fuzz";
  death.pid = 1;
  death.call = "Counter::add";
  death.status.known = input.number<std::uint8_t>() % 2 != 0;
  death.status.signal = input.number<std::uint8_t>() % 65;
  const auto bytes = input.take(sizeof death.report);
  if (!bytes.empty()) std::memcpy(&death.report, bytes.data(), bytes.size());
  death.code = modules.get();
  examine(apalis::detail::actor::obituary(std::move(death)));
  return 0;
}
