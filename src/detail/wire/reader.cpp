// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/reader.hpp>

#include <string>

namespace apalis::detail::wire {

void throw_truncated(std::size_t wanted, std::size_t remaining) {
  throw Malformed("malformed message: " + std::to_string(wanted) + " bytes expected where " +
                  std::to_string(remaining) +
                  " are left; do both sides of a type's serialisation agree?");
}

void throw_impossible_count(std::uint64_t count, std::size_t remaining) {
  throw Malformed("malformed message: " + std::to_string(count) +
                  " elements announced where only " + std::to_string(remaining) +
                  " bytes are left; do both sides of a type's serialisation agree?");
}

}  // namespace apalis::detail::wire
