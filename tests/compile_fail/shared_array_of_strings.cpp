// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: the elements of a SharedArray must be trivially copyable
#include <apalis/shared_array.hpp>
#include <string>

#ifdef CONTROL
using Element = double;
#else
using Element = std::string;
#endif

int main() { return static_cast<int>(apalis::SharedArray<Element>(3).size()); }
