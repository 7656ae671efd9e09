// SPDX-License-Identifier: BSL-1.0
// What a program that sends objects about includes anyway.
#include <cereal/archives/binary.hpp>
#include <future>
#include <string>
#include <vector>
