// SPDX-License-Identifier: BSL-1.0
#pragma once

// Addresses of code as words, for people.
//
//   code_names(stack, map)[0].text   // "libsolver.so(+0x1a2c) Solver::step(double)+0x1c"

#include <apalis/detail/sys/modules.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace apalis::detail::sys {

struct CodeName {
  std::string text;      // as much as is known; the bare address if nothing is
  std::string function;  // demangled; empty if unknown
};

/// Names a stack: the place where something happened, then return addresses. Never looks at what
/// lies at an address. Functions that the dynamic symbols lack (static ones, and all of most
/// executables) are looked up in the executable's own table, where it was not stripped: reads
/// that file. `known`: the modules that were loaded when the stack's process was forked; what lies
/// outside of them stays a number, as this process may have something else there.
[[nodiscard]] std::vector<CodeName> code_names(std::span<const std::uint64_t> stack,
                                               const ModuleMap& known);

}  // namespace apalis::detail::sys
