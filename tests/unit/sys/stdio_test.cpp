// SPDX-License-Identifier: BSL-1.0
//
// Each test plays a host in a child process, whose standard output is a file in memory.
#include <sys/mman.h>
#include <unistd.h>

#include <apalis/detail/sys/stdio.hpp>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::end_of;
using apalis::test::expect;
using apalis::test::fail_with_errno;
using apalis::test::fine;
using apalis::test::in_child;

namespace {

/// A file in memory that stands in for a descriptor of this process.
class Capture {
 public:
  explicit Capture(int replaced) : fd_(::memfd_create("apalis-capture", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::dup2(fd_, replaced) < 0) fail_with_errno("capturing output");
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() { ::close(fd_); }

  [[nodiscard]] std::string text() const {
    std::array<char, 4096> buffer;
    const auto length = ::pread(fd_, buffer.data(), buffer.size(), 0);
    return {buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
  }
  void expect_text(const std::string& wanted) const {
    expect(text() == wanted, "'" + text() + "' was written instead of '" + wanted + "'");
  }

 private:
  int fd_;
};

/// What a worker does with output: forgets what it inherited, writes its own, ends.
/// (Not start_child(): that one flushes before it forks.)
void fork_worker(const std::function<void()>& body) {
  const pid_t pid = ::fork();
  if (pid < 0) fail_with_errno("fork");
  if (pid == 0) {
    sys::drop_inherited_output();
    body();
    sys::flush_output();
    ::_exit(0);
  }
  const auto end = end_of(pid);
  expect(end == fine, "the worker failed: " + end);
}

void nothing() {}

/// Fully buffered, as it is when standard output is a file.
void buffer_fully(std::FILE* file) {
  static std::array<char, 4096> buffer;
  std::setvbuf(file, buffer.data(), _IOFBF, buffer.size());
}

}  // namespace

TEST_CASE("what the parent has not written stays the parent's", "[stdio]") {
  CHECK(in_child([] {
          const Capture output(STDOUT_FILENO);
          buffer_fully(stdout);
          std::fputs("parent,", stdout);
          fork_worker([] { std::fputs("child,", stdout); });
          output.expect_text("child,");
          std::fflush(stdout);
          output.expect_text("child,parent,");
        }) == fine);
}

TEST_CASE("a worker that writes nothing leaves nothing", "[stdio]") {
  CHECK(in_child([] {
          const Capture output(STDOUT_FILENO);
          buffer_fully(stdout);
          std::fputs("parent,", stdout);
          for (int i = 0; i < 5; ++i) fork_worker(nothing);
          output.expect_text("");
          std::fflush(stdout);
          output.expect_text("parent,");
        }) == fine);
}

TEST_CASE("the same for every stream that is open", "[stdio]") {
  CHECK(in_child([] {
          std::array<std::FILE*, 5> files{};
          for (auto*& file : files) {
            file = std::tmpfile();
            expect(file != nullptr, "no temporary file");
            std::fputs("parent,", file);
          }
          fork_worker([&] {
            for (auto* file : files) std::fputs("child,", file);
          });
          for (auto* file : files) {
            std::fflush(file);
            std::array<char, 64> buffer{};
            const auto length = ::pread(::fileno(file), buffer.data(), buffer.size(), 0);
            const std::string text(buffer.data(), static_cast<std::size_t>(length));
            expect(text == "child,parent,", "'" + text + "' was written");
            std::fclose(file);
          }
        }) == fine);
}

TEST_CASE("std::cout that shares the C library's buffer", "[stdio]") {
  CHECK(in_child([] {
          const Capture output(STDOUT_FILENO);
          buffer_fully(stdout);
          std::cout << "parent,";
          fork_worker([] { std::cout << "child,"; });
          std::cout << "parent again," << std::flush;
          output.expect_text("child,parent,parent again,");
        }) == fine);
}

TEST_CASE("std::cout and std::clog with buffers of their own", "[stdio]") {
  CHECK(in_child([] {
          const Capture output(STDOUT_FILENO);
          const Capture log(STDERR_FILENO);
          std::ios::sync_with_stdio(false);
          std::cout << "parent,";
          std::clog << "parent log,";
          fork_worker([] {
            std::cout << "child,";
            std::clog << "child log,";
          });
          output.expect_text("child,");
          log.expect_text("child log,");
          std::cout << "parent again," << std::flush;
          std::clog << std::flush;
          output.expect_text("child,parent,parent again,");
          log.expect_text("child log,parent log,");
        }) == fine);
}

TEST_CASE("wide streams with buffers of their own", "[stdio]") {
  CHECK(in_child([] {
          const Capture output(STDOUT_FILENO);
          std::ios::sync_with_stdio(false);
          std::wcout << L"parent,";
          fork_worker([] { std::wcout << L"child,"; });
          std::wcout << std::flush;
          output.expect_text("child,parent,");
        }) == fine);
}

TEST_CASE("a worker's output after its buffers were dropped is whole", "[stdio]") {
  CHECK(in_child([] {
          const Capture output(STDOUT_FILENO);
          std::ios::sync_with_stdio(false);
          std::cout << "parent,";
          std::string wanted;
          for (int i = 0; i < 300; ++i) wanted += "line " + std::to_string(i) + '\n';
          fork_worker([&] {
            for (int i = 0; i < 300; ++i) std::cout << "line " << i << '\n';
          });
          output.expect_text(wanted);
        }) == fine);
}

TEST_CASE("streams that are being read are left alone", "[stdio]") {
  CHECK(in_child([] {
          std::FILE* const file = std::tmpfile();
          expect(file != nullptr, "no temporary file");
          std::fputs("first second", file);
          std::rewind(file);
          std::array<char, 16> word{};
          expect(std::fscanf(file, "%15s", word.data()) == 1, "nothing to read");
          fork_worker([&] {
            std::array<char, 16> next{};
            const bool read = std::fscanf(file, "%15s", next.data()) == 1;
            if (!read || std::strcmp(next.data(), "second") != 0) ::_exit(1);
          });
          std::fclose(file);
        }) == fine);
}

TEST_CASE("output that can't be written does not stop a worker's end", "[stdio]") {
  CHECK(in_child([] {
          std::ios::sync_with_stdio(false);
          std::cout.exceptions(std::ios::badbit | std::ios::failbit);
          ::close(STDOUT_FILENO);
          fork_worker([] { std::cout << "lost"; });
        }) == fine);
}

TEST_CASE("streams that were given other buffers, or none", "[stdio]") {
  struct Counting : std::stringbuf {
    int syncs = 0;
    int sync() override { return ++syncs, 0; }
  };
  CHECK(in_child([] {
          Counting counting;
          std::cout.rdbuf(&counting);
          std::clog.rdbuf(nullptr);
          fork_worker([&] {
            std::cout << "kept here";
            sys::flush_output();
            if (counting.syncs == 0) ::_exit(1);
          });
        }) == fine);
}
