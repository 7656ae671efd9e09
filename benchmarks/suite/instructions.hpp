// SPDX-License-Identifier: BSL-1.0
#pragma once

// The program that benchmarks/callgrind/instructions_per_call runs under callgrind. It collects in
// two functions only, apalis_bench_submit and apalis_bench_take, and calls the second when the
// replies are there: what the parent spends on a call, without what it spends on waiting.

namespace apalis::bench {

/// Makes that many null calls, one at a time; returns their number.
double count_single_calls(int calls);

/// The same with 64 in flight; makes a multiple of 64.
double count_pipelined_calls(int calls);

}  // namespace apalis::bench
