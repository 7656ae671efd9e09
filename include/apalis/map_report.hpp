// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where the time of a parallel map went.
//
//   std::cout << to_string(engine.report());
//   write("map.json", to_json(engine.report()));
//   fmt::print("{}", engine.report());              // with <apalis/fmt.hpp>

#include <sys/types.h>

#include <apalis/options.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace apalis {

/// One worker's part in a map.
struct WorkerReport {
  std::uint32_t index = 0;
  pid_t pid = 0;  ///< of its last process; 0: it has none of its own
  std::size_t items = 0;
  std::size_t batches = 0;
  double busy_seconds = 0;            ///< inside the callable
  double idle_seconds = 0;            ///< waiting for work
  double overhead_seconds = 0;        ///< between both: messages, encoding, decoding
  std::size_t peak_memory_bytes = 0;  ///< resident; 0: not known
  std::uint32_t restarts = 0;
};

/// All of a map.
struct MapReport {
  std::string name = {};  ///< the callable's
  Backend backend = Backend::processes;
  std::size_t items = 0;
  std::size_t batches = 0;
  std::size_t smallest_batch = 0;  ///< items
  std::size_t median_batch = 0;
  std::size_t largest_batch = 0;
  double wall_seconds = 0;
  std::vector<WorkerReport> workers = {};

  // Of all workers together; a share is that of their busy, idle and overhead seconds, from 0 to 1.
  [[nodiscard]] double busy_seconds() const noexcept;
  [[nodiscard]] double idle_seconds() const noexcept;
  [[nodiscard]] double overhead_seconds() const noexcept;
  [[nodiscard]] double busy_share() const noexcept;
  [[nodiscard]] double idle_share() const noexcept;
  [[nodiscard]] double overhead_share() const noexcept;
  [[nodiscard]] std::uint32_t restarts() const noexcept;
  /// The largest of any worker's; 0: not known.
  [[nodiscard]] std::size_t peak_memory_bytes() const noexcept;
};

/// A line about the map and a table of its workers, for reading. Ends with a newline.
[[nodiscard]] std::string to_string(const MapReport& report);

/// One object whose keys are the members' names, in one line. Bytes of the name that are no UTF-8
/// become U+FFFD; seconds that are no finite number, null.
[[nodiscard]] std::string to_json(const MapReport& report);

}  // namespace apalis
