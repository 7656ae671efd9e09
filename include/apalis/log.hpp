// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the library has to say beside results and exceptions.
//
//   apalis::set_log_hook([](apalis::LogLevel level, std::string_view text) { note(level, text); });

#include <functional>
#include <string_view>

namespace apalis {

enum class LogLevel {
  info,     ///< a worker was replaced
  warning,  ///< the program goes on, and something should be changed about it
};

/// Called with one line of text, without a newline, on the thread that has something to say, with
/// no lock of the library's held. Must not throw.
using LogHook = std::function<void(LogLevel, std::string_view)>;

/// Installs `hook` and returns the one before. At first, and with an empty hook, warnings go to
/// stderr and the rest nowhere. **Threads:** any.
LogHook set_log_hook(LogHook hook);

}  // namespace apalis
