// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this type can't cross to another process
#include <apalis/apalis.hpp>

class Widget {
 public:
  Widget() {}
  int size() const { return size_; }

 private:
  int size_ = 3;
};
struct Shop {
  Widget widget;
  const Widget& get() { return widget; }
};

int main() {
  apalis::Handler<Shop> h;
#ifdef CONTROL
  (void)h.call([](Shop& shop) { return shop.get().size(); });
#else
  (void)h.call(&Shop::get);
#endif
}
