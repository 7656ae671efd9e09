// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/title.hpp>
#include <cstddef>
#include <cstdlib>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

extern char** environ;  // NOLINT: the C library's own name

namespace sys = apalis::detail::sys;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::read_all;

namespace {

std::string comm() {
  auto text = read_all("/proc/self/comm");
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

/// The command line without the zeros behind it.
std::string command_line() {
  auto text = read_all("/proc/self/cmdline");
  while (text.ends_with('\0')) text.pop_back();
  return text;
}

struct Room {
  std::size_t arguments = 0;
  std::size_t total = 0;
};

/// How many bytes the kernel keeps for argv, and for argv and environ together.
Room room() {
  const auto stat = read_all("/proc/self/stat");
  std::istringstream fields{stat.substr(stat.rfind(')') + 2)};
  std::string skipped;
  for (int field = 3; field < 48; ++field) fields >> skipped;
  std::size_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  fields >> arg_start >> arg_end >> env_start >> env_end;
  return {arg_end - arg_start, env_start == arg_end ? env_end - arg_start : arg_end - arg_start};
}

std::vector<std::string> environment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

/// No zeros, and no two alike parts.
std::string title_of_length(std::size_t length) {
  std::string text = "apalis:";
  while (text.size() < length) text += ' ' + std::to_string(text.size());
  text.resize(length);
  return text;
}

/// Sets a title of that length and looks at it from all sides.
void check_title(std::size_t length) {
  constexpr std::size_t kernel_reads = 4096;  // at most, of a title that reaches into environ
  const auto before = environment();
  const auto title = title_of_length(length);
  sys::set_title(title);
  expect(comm() == title.substr(0, 15), "comm is '" + comm() + "'");
  const auto line = command_line();
  const auto shown = std::min({length, room().total - 1, std::max(kernel_reads, room().arguments)});
  expect(title.starts_with(line),
         "of " + std::to_string(length) + ", the command line is '" + line + "'");
  expect(line.size() + 1 >= shown, "of " + std::to_string(length) + " bytes only " +
                                       std::to_string(line.size()) + " are shown");
  expect(environment() == before, "the environment changed");
}

}  // namespace

TEST_CASE("a title is what ps and top show", "[title]") {
  sys::prepare_title();
  CHECK(in_child([] {
          const std::string title = "apalis: Counter";
          sys::set_title(title);
          expect(comm() == "apalis: Counter", "comm is '" + comm() + "'");
          expect(command_line() == "apalis: Counter", "cmdline is '" + command_line() + "'");
        }) == fine);
}

TEST_CASE("a title works in a process that was not prepared", "[title]") {
  CHECK(in_child([] {
          const std::string title = "apalis: x";
          sys::set_title(title);
          expect(command_line() == "apalis: x", "cmdline is '" + command_line() + "'");
        }) == fine);
}

TEST_CASE("titles of any length keep the environment intact", "[title]") {
  sys::prepare_title();
  const auto space = room();
  std::vector<std::size_t> lengths{1,
                                   14,
                                   15,
                                   16,
                                   space.arguments - 2,
                                   space.arguments - 1,
                                   space.arguments,
                                   space.arguments + 1,
                                   space.arguments + 100,
                                   space.total - 2,
                                   space.total - 1,
                                   space.total,
                                   space.total + 1,
                                   3000,
                                   5000,
                                   100'000};
  for (const auto length : lengths) {
    CAPTURE(length);
    CHECK(in_child([&] { check_title(length); }) == fine);
  }
}

TEST_CASE("one title after the other", "[title]") {
  CHECK(in_child([] {
          const auto space = room();
          std::mt19937 random{1};
          for (int i = 0; i < 200; ++i)
            check_title(1 + random() % (i % 2 == 0 ? 40 : space.total + 10));
        }) == fine);
}

TEST_CASE("the environment can be changed before a title and after", "[title]") {
  CHECK(in_child([] {
          ::setenv("APALIS_TEST_BEFORE", "kept", 1);
          ::unsetenv("HOME");
          check_title(room().total - 1);
          ::setenv("APALIS_TEST_AFTER", "new", 1);
          ::setenv("PATH", "/changed", 1);
          check_title(room().total / 2);
          const auto value = [](const char* name) {
            const char* text = std::getenv(name);
            return std::string{text == nullptr ? "(none)" : text};
          };
          expect(value("APALIS_TEST_BEFORE") == "kept", "a variable is lost");
          expect(value("APALIS_TEST_AFTER") == "new", "a later variable is lost");
          expect(value("PATH") == "/changed", "a changed variable is lost");
          expect(value("HOME") == "(none)", "a removed variable is back");
        }) == fine);
}

TEST_CASE("a child's title leaves its parent's alone", "[title]") {
  const auto name = comm();
  const auto line = command_line();
  CHECK(in_child([] { check_title(room().total); }) == fine);
  CHECK(comm() == name);
  CHECK(command_line() == line);
}

TEST_CASE("an empty title", "[title]") {
  CHECK(in_child([] {
          const std::string title;
          sys::set_title(title);
          expect(comm().empty(), "comm is '" + comm() + "'");
          expect(command_line().empty(), "cmdline is '" + command_line() + "'");
        }) == fine);
}
