// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/engine/seat.hpp>

namespace apalis::detail::engine {
namespace {
constinit thread_local bool inside = false;
}

bool inside_batch() noexcept { return inside; }

InsideBatch::InsideBatch() noexcept : before_(inside) { inside = true; }
InsideBatch::~InsideBatch() { inside = before_; }

}  // namespace apalis::detail::engine
