// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/map_thunk.hpp>
#include <apalis/detail/engine/seat.hpp>
#include <chrono>
#include <cstring>

namespace apalis::detail::engine {
namespace {

std::uint64_t now() noexcept {
  using std::chrono::nanoseconds;
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<nanoseconds>(since).count());
}

}  // namespace

BatchClock::BatchClock(Seat& seat, wire::Buffer& result)
    : seat_(seat), header_at_(result.size()), begin_(now()) {
  (void)result.grow(sizeof(ReplyHeader));
}

void BatchClock::end(wire::Buffer& result, std::uint32_t values, bool failed,
                     std::string_view name) const {
  if (failed) wire::write_failure(result, name);
  const auto busy = now() - begin_;
  const ReplyHeader header{busy, seat_.peak_memory(busy), values, failed ? 1U : 0U};
  std::memcpy(result.data() + header_at_, &header, sizeof header);
}

void throw_no_frame() {
  throw wire::Malformed("malformed message: a batch of a map that this worker was not told of");
}

}  // namespace apalis::detail::engine
