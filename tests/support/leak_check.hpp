// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a test case may leave behind: nothing. After each case main.cpp compares what this process
// holds with what it held before.
//
//   void apalis_test_warm_up() { apalis::Handler<int> h; }   // once, in one file of the tests
//
// The library keeps a few things for the life of the process (its reservation of shared memory, one
// pipe), which appear with the first handler: the warm-up makes them part of the state before.

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

/// Tests that make handlers define this. It runs once, before the first case.
[[gnu::weak]] void apalis_test_warm_up();

namespace apalis::test {

/// What can leak: child processes, file descriptors, named and mapped shared memory.
class Holdings {
 public:
  /// What this process holds now.
  [[nodiscard]] static Holdings now();

  /// One sentence for each thing that is held now and was not `before`, or the reverse.
  [[nodiscard]] std::vector<std::string> changes_since(const Holdings& before) const;

  /// Kills and reaps the children that were not there `before`, lest the next case be blamed.
  void end_children_since(const Holdings& before) const;

 private:
  std::map<pid_t, std::string> children_;        // "apalis: Counter, sleeping"
  std::map<int, std::string> descriptors_;       // what each refers to
  std::map<std::string, ino_t> named_;           // this user's files in /dev/shm
  std::map<std::string, std::size_t> mappings_;  // bytes of shared mappings by what is mapped
};

}  // namespace apalis::test
