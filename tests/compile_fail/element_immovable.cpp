// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a type that can be neither moved nor copied can't cross by value
// EXPECT: Immovable<Settings>
#include <apalis/apalis.hpp>
#include <list>
#include <memory>
#include <vector>

struct Settings {
  int level = 0;
  Settings() = default;
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(level);
  }
};
struct Engine {
#ifdef CONTROL
  std::vector<std::unique_ptr<Settings>> all() { return {}; }
  std::list<Settings> in_place() { return {}; }
#else
  std::vector<Settings> all() { return {}; }
#endif
};

int main() {
  apalis::Handler<Engine> h;
  (void)h.call(&Engine::all);
#ifdef CONTROL
  (void)h.call(&Engine::in_place);
#endif
}
