// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a figure needs beside it to mean anything: where, when and with what it was measured.

#include <string>

namespace apalis::bench {

struct Machine {
  std::string cpu;           ///< model name
  int cpus;                  ///< online
  std::string cpus_allowed;  ///< that the suite may run on, such as "0-1"
  std::string kernel;
  std::string memory;
  std::string load_average;  ///< when the suite began
  std::string compiler;
  std::string flags;
  std::string commit;
  std::string date;  ///< UTC

  [[nodiscard]] std::string summary() const;  ///< one line
};

Machine this_machine();

/// How the suite places its processes.
inline constexpr const char* placement = "default options: unpinned, the kernel chooses";

}  // namespace apalis::bench
