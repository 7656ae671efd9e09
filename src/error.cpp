// SPDX-License-Identifier: BSL-1.0
#include <apalis/error.hpp>

namespace apalis {

RemoteError::RemoteError(Origin origin)
    : origin_(std::make_shared<const Origin>(std::move(origin))) {}

}  // namespace apalis
