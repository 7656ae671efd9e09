// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: the elements of a SharedArray can't be pointers or views
#include <apalis/shared_array.hpp>

#ifdef CONTROL
using Element = int;
#else
using Element = int*;
#endif

int main() { return static_cast<int>(apalis::SharedArray<Element>(3).size()); }
