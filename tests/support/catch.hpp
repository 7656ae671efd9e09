// SPDX-License-Identifier: BSL-1.0
#pragma once

// The test framework, Catch2 in version 3 or 2: whichever the distribution ships. Tests are written
// in the names of version 3 that both know: Catch::Approx, Catch::Matchers::ContainsSubstring.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#define APALIS_TEST_CATCH 3
#else
#include <catch2/catch.hpp>
#define APALIS_TEST_CATCH 2

#include <string>

namespace Catch {
using Detail::Approx;
namespace Matchers {
inline auto ContainsSubstring(const std::string& part) { return Contains(part); }
}  // namespace Matchers
}  // namespace Catch
#endif
