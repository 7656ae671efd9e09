// SPDX-License-Identifier: BSL-1.0
#pragma once

// What an Engine does to a whole process.

namespace apalis::bench {

/// MB by which this process's peak memory grows while it reads an imap() over so many items.
double memory_of_imap(int items);

}  // namespace apalis::bench
