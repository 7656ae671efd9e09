// SPDX-License-Identifier: BSL-1.0
// Any bytes as a result, as an exception and as the outcomes of a batch: they come to a value or to
// an Error, and take no more memory than they can mean.
//
// Input: [what][bytes…], with names of blocks as Blocks has them.
#include <apalis/detail/wire/batch.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "blocks.hpp"
#include "errors.hpp"
#include "input.hpp"
#include "meter.hpp"
#include "values.hpp"

using namespace apalis::fuzz;
using apalis::detail::wire::Reader;

namespace {

constexpr pid_t worker = 4711;
constexpr std::size_t calls = 3;

template <class T>
void decode_value(std::span<const std::byte> bytes) {
  expect_value_or_error([&] {
    Reader reader{bytes};
    const Meter meter;
    const auto value = apalis::detail::wire::decode<T>(reader);
    meter.allow(bytes.size());
    touch(value);
  });
}

template <class T>
void decode_outcomes(std::span<const std::byte> bytes) {
  expect_value_or_error([&] {
    Reader reader{bytes};
    std::vector<T> values;
    const Meter meter;
    (void)apalis::detail::wire::decode_batch_values(reader, calls, values);
    meter.allow(bytes.size());
    for (const auto& value : values) touch(static_cast<const T&>(value));
  });
  expect_value_or_error([&] {
    Reader reader{bytes};
    for (const auto& outcome : apalis::detail::wire::decode_batch<T>(reader, calls, worker))
      if (!outcome.has_value()) examine(outcome.error());
  });
}

void decode_exception(std::span<const std::byte> bytes) {
  Reader reader{bytes};
  const Meter meter;
  const auto error = apalis::detail::wire::decode_exception(reader, worker);
  meter.allow(bytes.size());
  examine(error);
}

struct Decoders {
  using Decode = void (*)(std::span<const std::byte>);
  std::vector<Decode> values;
  std::vector<Decode> outcomes;

  Decoders() {
    for_each_example([this]<class T>(std::size_t, const T&) {
      values.push_back(&decode_value<T>);
      outcomes.push_back(&decode_outcomes<T>);
    });
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  register_exceptions();
  Input input{data, size};
  const auto what = input.number<std::uint8_t>();
  const auto rest = input.rest();
  // Where a reply is kept: on the heap, so that a sanitizer sees the first byte behind it.
  const auto copy = std::make_unique_for_overwrite<std::byte[]>(rest.size());
  if (!rest.empty()) std::memcpy(copy.get(), rest.data(), rest.size());
  Blocks::here().translate({copy.get(), rest.size()});
  const std::span<const std::byte> bytes{copy.get(), rest.size()};

  static const Decoders decoders;
  if (what == 0xff) {
    decode_exception(bytes);
  } else {
    const auto& table = what < 0x80 ? decoders.values : decoders.outcomes;
    table[what % 0x80U % table.size()](bytes);
  }
  Blocks::here().require_untouched();
  return 0;
}
