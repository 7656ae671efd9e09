// SPDX-License-Identifier: BSL-1.0
#include <dlfcn.h>

#include <apalis/detail/sys/code_names.hpp>
#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace sys = apalis::detail::sys;
using Catch::Matchers::ContainsSubstring;

namespace {

[[gnu::noinline]] int function_of_this_file(int x) {
  volatile int y = x;
  return y + 1;
}

std::uint64_t address_of(const void* place) { return reinterpret_cast<std::uintptr_t>(place); }

std::shared_ptr<const sys::ModuleMap> loaded() { return sys::loaded_modules(sys::lock_forks()); }

}  // namespace

TEST_CASE("a function of a library has a name and an offset", "[code_names]") {
  const auto place = address_of(::dlsym(RTLD_DEFAULT, "qsort"));
  const auto names = sys::code_names(std::vector<std::uint64_t>{place + 4, place + 4}, *loaded());
  REQUIRE(names.size() == 2);
  CHECK_THAT(names[0].function, ContainsSubstring("qsort"));  // or a sanitizer's of that name
  CHECK_THAT(names[0].text, ContainsSubstring("libc.so") || ContainsSubstring("libasan") ||
                                ContainsSubstring("libtsan"));
  CHECK_THAT(names[0].text, ContainsSubstring("qsort+0x4"));
  CHECK_THAT(names[0].text, ContainsSubstring("(+0x"));
  CHECK(names[1].text == names[0].text);
}

TEST_CASE("a static function of the executable has its name, demangled", "[code_names]") {
  CHECK(function_of_this_file(1) == 2);
  const auto start = address_of(reinterpret_cast<const void*>(&function_of_this_file));
  const auto names = sys::code_names(std::vector<std::uint64_t>{start}, *loaded());
  CHECK_THAT(names[0].function, ContainsSubstring("function_of_this_file(int)"));
  CHECK_THAT(names[0].text, ContainsSubstring("+0x0"));
}

TEST_CASE("a return address belongs to the call before it", "[code_names]") {
  // The first instruction of a function is behind the last call of the one before.
  const auto start = address_of(reinterpret_cast<const void*>(&function_of_this_file));
  const auto names = sys::code_names(std::vector<std::uint64_t>{start, start}, *loaded());
  CHECK_THAT(names[0].function, ContainsSubstring("function_of_this_file"));
  CHECK(names[1].function.find("function_of_this_file") == std::string::npos);
}

TEST_CASE("what lies in no module stays a number", "[code_names]") {
  int local = 0;
  const std::vector<std::uint64_t> stack{0, 1, address_of(&local),
                                         std::numeric_limits<std::uint64_t>::max(),
                                         0x4141414141414141};
  const auto names = sys::code_names(stack, *loaded());
  REQUIRE(names.size() == stack.size());
  CHECK(names[0].text == "0x0");
  CHECK(names[1].text == "0x1");
  CHECK(names[3].text == "0xffffffffffffffff");
  CHECK(names[4].text == "0x4141414141414141");
  for (const auto& name : names) CHECK(name.function.empty());
}

TEST_CASE("what lies in a module that was not there at the fork stays a number", "[code_names]") {
  const auto place = address_of(::dlsym(RTLD_DEFAULT, "qsort"));
  const sys::ModuleMap nothing{{}};
  const auto names = sys::code_names(std::vector<std::uint64_t>{place}, nothing);
  CHECK(names[0].function.empty());
  CHECK_THAT(names[0].text, Catch::Matchers::StartsWith("0x"));
}
