// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/reader.hpp>

#include <string>

namespace apalis::detail::wire {

void throw_truncated(std::size_t wanted, std::size_t remaining) {
  throw Malformed("malformed message: " + std::to_string(wanted) + " bytes expected where " +
                  std::to_string(remaining) +
                  " are left; do both sides of a type's serialisation agree?");
}

void throw_misplaced_attachment() {
  throw Malformed(
      "malformed message: something large is announced that is none of a call's arguments or its "
      "result");
}

void throw_torn_element() {
  throw Malformed("malformed message: its large part is not of the elements that it announces");
}

void throw_impossible_count(std::uint64_t count, std::size_t remaining) {
  throw Malformed("malformed message: " + std::to_string(count) +
                  " elements announced where only " + std::to_string(remaining) +
                  " bytes are left; do both sides of a type's serialisation agree?");
}

}  // namespace apalis::detail::wire
