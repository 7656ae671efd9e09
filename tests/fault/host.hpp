// SPDX-License-Identifier: BSL-1.0
#pragma once

// Processes under test: a host that makes handlers and may be killed, and a look at any process.
//
//   Host host([](Host::Side& side) {                 // a plain fork of the test
//     apalis::Handler<Counter> h;
//     side.tell(h.pid());
//     side.wait_for_test();                          // until the test lets it go on, or kills it
//     return 0;
//   });
//   Watched worker(host.hear<pid_t>());
//   host.kill();
//   CHECK(worker.ends());

#include <sys/types.h>

#include <csignal>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "support/sanitizers.hpp"

/// How long a test waits for what must happen before it calls it a failure: less than ctest does.
inline constexpr int patience_ms = 40'000 * APALIS_TEST_SLOWNESS;

// A sanitizer's runtime needs address space, descriptors and an allocator that may fail as it
// likes.
using apalis::test::under_sanitizer;

/// A process, related or not, observed by a descriptor of it.
class Watched {
 public:
  explicit Watched(pid_t pid);
  ~Watched();
  Watched(Watched&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  Watched& operator=(Watched&&) = delete;

  /// Whether it has ended, or does within the bound.
  [[nodiscard]] bool ends(int within_ms = patience_ms) const;
  [[nodiscard]] bool runs() const { return !ends(0); }

  /// Sends it a signal; never hits a recycled pid.
  void signal(int number) const;

 private:
  int descriptor_ = -1;
};

/// A process between the test and the workers. Killed and reaped at the end of its scope.
class Host {
 public:
  /// The host's own view of itself, while its body runs.
  class Side {
   public:
    template <class T>
    void tell(const T& value) {
      static_assert(std::is_trivially_copyable_v<T>);
      write_bytes(&value, sizeof value);
    }
    /// Returns when the test says go_on(); ends the host if the test is gone.
    void wait_for_test();

   private:
    friend class Host;
    Side(int out, int in) : out_(out), in_(in) {}
    void write_bytes(const void* data, std::size_t n) const;
    int out_;
    int in_;
  };

  /// Forks; the body's result is the host's exit status. Whatever it throws is printed: status 99.
  explicit Host(const std::function<int(Side&)>& body);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// The next value that the host told; throws if it ended without.
  template <class T>
  [[nodiscard]] T hear() {
    T value{};
    read_bytes(&value, sizeof value);
    return value;
  }
  void go_on();

  /// SIGKILL, and reaped.
  void kill();

  /// Its exit status once it has ended; 1000 + the signal that killed it; throws if it hangs.
  [[nodiscard]] int status();

 private:
  void read_bytes(void* data, std::size_t n) const;
  int reap();

  pid_t pid_ = -1;
  int from_host_ = -1;
  int to_host_ = -1;
};

/// For bodies of hosts, where the test framework has no say.
inline void expect(bool condition, const char* sentence) {
  if (!condition) throw std::runtime_error(sentence);
}

/// How many descriptors this process has open (no /proc needed).
[[nodiscard]] std::size_t open_descriptors();

/// The children of the calling thread's that are not reaped.
[[nodiscard]] std::vector<pid_t> children();

/// A whole file as a string.
[[nodiscard]] std::string read_file(const std::string& path);

/// A file that is deleted at the end of its scope.
class ScratchFile {
 public:
  ScratchFile();
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string content() const { return read_file(path_); }

 private:
  std::string path_;
};
