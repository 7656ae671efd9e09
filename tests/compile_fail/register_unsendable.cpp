// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: register_exception<E>() needs a way to send an E
#include <apalis/apalis.hpp>
#include <stdexcept>
#include <string>

struct Failure : std::runtime_error {
#ifdef CONTROL
  explicit Failure(const std::string& what) : std::runtime_error(what) {}
#else
  Failure(int code, int line) : std::runtime_error("failure"), where(code + line) {}
#endif
  int where = 0;
};

int main() {
  apalis::register_exception<Failure>();
}
