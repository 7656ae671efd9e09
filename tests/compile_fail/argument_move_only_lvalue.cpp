// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: an argument of the first type does not convert
#include <apalis/apalis.hpp>
#include <memory>
#include <utility>

struct Store {
  int put(std::unique_ptr<int> p) { return *p; }
};

int main() {
  apalis::Handler<Store> h;
  auto p = std::make_unique<int>(5);
#ifdef CONTROL
  (void)h.call(&Store::put, std::move(p));
#else
  (void)h.call(&Store::put, p);
#endif
}
