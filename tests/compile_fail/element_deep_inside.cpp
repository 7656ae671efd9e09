// SPDX-License-Identifier: BSL-1.0
// EXPECT: pointers can't cross, not as elements either

#include <apalis/apalis.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

struct Subject {
  using Bad = std::map<int, std::vector<std::optional<const char*>>>;
  using Good = std::map<int, std::vector<std::optional<std::string>>>;
  int take(const Bad&) { return 0; }
  int take_strings(const Good&) { return 0; }
};

void check(apalis::Handler<Subject>& h) {
#ifdef CONTROL
  (void)h.call(&Subject::take_strings, Subject::Good());
#else
  (void)h.call(&Subject::take, Subject::Bad());
#endif
}
