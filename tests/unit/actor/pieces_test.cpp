// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/pieces.hpp>
#include <apalis/detail/channel/layout.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "support/catch.hpp"

using apalis::detail::actor::Pieces;
using apalis::detail::channel::block_limit;
using namespace apalis::detail::wire;

namespace {

struct Cut {
  std::vector<std::size_t> sizes;
  std::vector<std::byte> all;
  std::size_t of_head = 0;  // pieces
};

Cut cut(const Buffer& message) {
  Cut result;
  for (Pieces pieces{message}; !pieces.done(); pieces.pass()) {
    const auto piece = pieces.next();
    result.sizes.push_back(piece.size());
    result.all.insert(result.all.end(), piece.begin(), piece.end());
    if (!pieces.head_done()) ++result.of_head;
  }
  return result;
}

}  // namespace

TEST_CASE("a message without attachments is all head", "[pieces]") {
  Buffer message;
  encode(message, std::string(2 * block_limit, 'x'));
  const auto result = cut(message);
  CHECK(result.sizes == std::vector<std::size_t>{block_limit, block_limit, 9});
  CHECK(result.of_head == 3);
  CHECK(Pieces{message}.whole().head == message.size());
  CHECK(Pieces{message}.whole().total == message.size());
}

TEST_CASE("attachments begin with pieces of their own", "[pieces]") {
  const std::string first(block_limit + 1, 'a');
  const std::string second(block_limit, 'b');
  Buffer message{true};
  encode(message, first);
  encode(message, second);
  const auto result = cut(message);
  CHECK(result.sizes == std::vector<std::size_t>{18, block_limit, 1, block_limit});
  CHECK(result.of_head == 1);
  CHECK(Pieces{message}.whole().head == 18);
  CHECK(Pieces{message}.whole().total == 18 + first.size() + second.size());
  CHECK(result.all[18] == std::byte{'a'});
  CHECK(result.all.back() == std::byte{'b'});
}

TEST_CASE("no piece tears an element", "[pieces]") {
  struct Odd {
    char bytes[48];
  };
  const std::vector<Odd> odds(5000);
  Buffer message{true};
  encode(message, odds);
  const auto result = cut(message);
  std::size_t total = 0;
  for (std::size_t i = 1; i < result.sizes.size(); ++i) {
    CHECK(result.sizes[i] % sizeof(Odd) == 0);
    total += result.sizes[i];
  }
  CHECK(total == odds.size() * sizeof(Odd));
}
