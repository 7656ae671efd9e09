// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the test and the module that it loads have in common.

#include <apalis/handler.hpp>

struct Late {
  int value = 0;
  int add(int x) { return value += x; }
};

extern "C" {
/// A function in the module, to be called in the worker.
int late_function(Late& object, int x);

/// Makes a call whose thunk lies in the module: 0 if the library accepted it and gave the result
/// `*result`, 1 if it refused with apalis::Error.
int late_thunk(apalis::Handler<Late>& handler, int x, int* result);
}
