// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: register_exception<E>() needs a class that is not final
#include <apalis/apalis.hpp>
#include <stdexcept>

#ifdef CONTROL
struct Failure : std::runtime_error {
#else
struct Failure final : std::runtime_error {
#endif
  using std::runtime_error::runtime_error;
};

int main() {
  apalis::register_exception<Failure>();
}
