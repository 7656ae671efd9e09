// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a test can't ask of a program that a sanitizer's runtime lives in too.

namespace apalis::test {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool under_tsan = true;
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
inline constexpr bool under_tsan = true;
#  else
inline constexpr bool under_tsan = false;
#  endif
#else
inline constexpr bool under_tsan = false;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_asan = true;
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
inline constexpr bool under_asan = true;
#  else
inline constexpr bool under_asan = false;
#  endif
#else
inline constexpr bool under_asan = false;
#endif

inline constexpr bool under_sanitizer = under_asan || under_tsan;

}  // namespace apalis::test
