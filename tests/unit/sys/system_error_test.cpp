// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/sys/system_error.hpp>
#include <apalis/error.hpp>
#include <cerrno>
#include <string>

#include "support/catch.hpp"

namespace sys = apalis::detail::sys;

TEST_CASE("throw_errno says what failed, why, and what to do", "[system_error]") {
  try {
    sys::throw_errno(EMFILE, "cannot make a pipe", "see ulimit -n");
    FAIL("it returned");
  } catch (const apalis::SystemError& error) {
    CHECK(error.code() == EMFILE);
    CHECK(error.what() ==
          std::string{"apalis: cannot make a pipe: Too many open files (see ulimit -n)"});
  }
}

TEST_CASE("throw_errno without advice ends with the reason", "[system_error]") {
  try {
    sys::throw_errno(ENOMEM, "cannot seal shared memory");
    FAIL("it returned");
  } catch (const apalis::Error& error) {
    CHECK(error.what() == std::string{"apalis: cannot seal shared memory: Cannot allocate memory"});
  }
}
