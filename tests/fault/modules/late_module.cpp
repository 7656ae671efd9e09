// SPDX-License-Identifier: BSL-1.0
// Loaded by late_module_test.cpp, before or after a worker was forked.
#include "late.hpp"

int late_function(Late& object, int x) {
  return object.add(10 * x);
}

int late_thunk(apalis::Handler<Late>& handler, int x, int* result) {
  try {
    *result = handler.call([](Late& object, int y) { return object.add(100 * y); }, x).get();
    return 0;
  } catch (const apalis::Error&) {
    return 1;
  }
}
