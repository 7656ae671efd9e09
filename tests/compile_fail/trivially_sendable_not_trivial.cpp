// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: trivially_sendable is only for trivially copyable types
#include <apalis/apalis.hpp>

class Price {
 public:
  explicit Price(long cents = 0) : cents_(cents) {}
#ifndef CONTROL
  ~Price() {
    cents_ = 0;
  }
#endif
  long cents() const {
    return cents_;
  }

 private:
  long cents_;
};
template <>
inline constexpr bool apalis::trivially_sendable<Price> = true;
struct Shop {
  long pay(Price price) { return price.cents(); }
};

int main() {
  apalis::Handler<Shop> h;
  (void)h.call(&Shop::pay, Price(3));
}
