// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/engine/engine_batch.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/error.hpp>
#include <string>

namespace apalis::detail::engine {
namespace {

std::string item_range(std::uint64_t begin, std::uint64_t end) {
  return end - begin == 1 ? fmt::format("item {}", begin)
                          : fmt::format("items {} to {}", begin, end - 1);
}

}  // namespace

bool is_death(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const WorkerDied&) {
    return true;
  } catch (...) {
    return false;
  }
}

wire::Reader Batch::results() const {
  return wire::Reader{state->bytes().subspan(sizeof(ReplyHeader))};
}

void Batch::throw_failure(wire::Reader& behind_values) const {
  auto cause = error;
  auto from = begin();
  auto to = end();
  if (cause == nullptr) {
    from += reply.values;
    to = from + 1;
    if (wire::read_status(behind_values) != wire::CallStatus::failed) wire::throw_bad_status();
    cause = wire::read_failure(behind_values, state->source()->pid());
  } else if (!is_death(cause)) {
    throw Error(fmt::format("apalis: a worker of the engine could not begin: {}",
                            actor::describe(cause)));
  }
  throw MapError(fmt::format("apalis: {} of the map failed: {}", item_range(from, to),
                             actor::describe(cause)),
                 from, to - 1, cause);
}

void begin_message(wire::Buffer& message, const wire::Entry& entry) {
  const wire::Entry* const address = &entry;
  message.append(&address, sizeof address);
}

void begin_message(Batch& batch, const wire::Entry& entry, const void* code) {
  batch.entry = &entry;
  batch.code = code;
  begin_message(batch.message, entry);
  (void)batch.message.grow(sizeof(BatchHeader));
}

}  // namespace apalis::detail::engine
