// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: register_exception<E>() needs an E that can be copied
#include <apalis/apalis.hpp>
#include <stdexcept>
#include <string>

struct Failure : std::runtime_error {
  explicit Failure(const std::string& what) : std::runtime_error(what) {}
#ifndef CONTROL
  Failure(const Failure&) = delete;
#endif
};

int main() {
  apalis::register_exception<Failure>();
}
