// SPDX-License-Identifier: BSL-1.0
// EXPECT: this type can't cross to another process: give it a cereal serialize function
// EXPECT: Table

#include <apalis/apalis.hpp>
#include <string>

class Table {
 public:
  Table() = default;

 private:
  std::string name_;
};
struct Subject {
  Table table;
  int n = 0;
};

void check(apalis::Handler<Subject>& h) {
#ifdef CONTROL
  (void)h.get(&Subject::n);
#else
  (void)h.get(&Subject::table);
#endif
}
