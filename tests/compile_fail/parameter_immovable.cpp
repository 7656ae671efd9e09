// SPDX-License-Identifier: BSL-1.0
// EXPECT: apalis: a type that can be neither moved nor copied can't cross by value
// EXPECT: Immovable<Settings>
#include <apalis/apalis.hpp>

struct Settings {
  int level = 0;
  Settings() = default;
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;
#ifdef CONTROL
  Settings(Settings&&) = default;
#endif
  template <class Archive>
  void serialize(Archive& archive) {
    archive(level);
  }
};
struct Engine {
  int use(const Settings& settings) { return settings.level; }
};

int main() {
  apalis::Handler<Engine> h;
  (void)h.call(&Engine::use, Settings{});
}
