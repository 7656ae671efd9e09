// SPDX-License-Identifier: BSL-1.0
#pragma once

// What large messages leave behind, measured in a process of its own.

namespace apalis::bench {

/// Memory of parent and worker after `messages` of 80 MB and an idle second, over that before.
double memory_after_messages(int messages);

}  // namespace apalis::bench
