// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/thunk.hpp>

namespace apalis::detail::wire {

void throw_null_callable() {
  throw Error(
      "the function pointer to call is null; give call() or post() one that points to a function");
}

}  // namespace apalis::detail::wire
