// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <algorithm>
#include <apalis/detail/actor/group_makers.hpp>

namespace apalis::detail::actor {

std::string GroupMaker::contents() const {
  constexpr std::uint32_t most_listed = 8;
  const auto count = share();
  std::string text = count == 1 ? "object" : "objects";
  for (std::uint32_t i = 0; i < std::min(count, most_listed); ++i)
    text += fmt::format("{} {}", i == 0 ? "" : ",", index(i));
  if (count > most_listed) text += fmt::format(" and {} more", count - most_listed);
  return text;
}

}  // namespace apalis::detail::actor
