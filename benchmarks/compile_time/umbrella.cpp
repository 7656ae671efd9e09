// SPDX-License-Identifier: BSL-1.0
// All of apalis, and nothing done with it.
#include <apalis/apalis.hpp>
