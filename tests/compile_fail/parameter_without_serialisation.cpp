// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: this type can't cross to another process
// EXPECT: Widget
#include <apalis/apalis.hpp>
#include <string>
#include <utility>

class Widget {
 public:
  explicit Widget(std::string name = "") : name_(std::move(name)) {}
  const std::string& name() const { return name_; }
#ifdef CONTROL
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name_);
  }
#endif

 private:
  std::string name_;
};
struct Shop {
  int sell(const Widget& widget) { return static_cast<int>(widget.name().size()); }
};

int main() {
  apalis::Handler<Shop> h;
  (void)h.call(&Shop::sell, Widget("w"));
}
