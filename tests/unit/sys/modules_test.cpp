// SPDX-License-Identifier: BSL-1.0
#include <dlfcn.h>
#include <link.h>

#include <apalis/detail/sys/modules.hpp>
#include <bit>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

namespace sys = apalis::detail::sys;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using sys::ModuleMap;

namespace {

void some_function() {}
const int some_constant = 5;

std::shared_ptr<const ModuleMap> loaded() {
  return sys::loaded_modules(sys::lock_forks());
}

/// An address of no particular object.
const void* at(std::uintptr_t address) {
  return std::bit_cast<const void*>(address);
}

bool finds(const ModuleMap& map, const void* address) {
  return map.find(address).contains(address);
}

/// A shared library that this program does not use, loaded for a scope.
class Library {
 public:
  Library() {
    for (const char* name : {"libz.so.1", "libresolv.so.2", "libanl.so.1", "libutil.so.1",
                             "libBrokenLocale.so.1", "libthread_db.so.1"}) {
      if (::dlopen(name, RTLD_NOW | RTLD_NOLOAD) != nullptr) continue;  // and stays loaded
      handle_ = ::dlopen(name, RTLD_NOW);
      if (handle_ != nullptr) return;
    }
    throw std::runtime_error("no library found to load");
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  void unload() { ::dlclose(std::exchange(handle_, nullptr)); }

  /// Somewhere in it.
  [[nodiscard]] const void* address() const {
    link_map* map = nullptr;
    if (::dlinfo(handle_, RTLD_DI_LINKMAP, static_cast<void*>(&map)) != 0)
      throw std::runtime_error("dlinfo failed");
    return map->l_ld;
  }

 private:
  void* handle_ = nullptr;
};

}  // namespace

TEST_CASE("the program's own code and constants are in a module", "[modules]") {
  const auto map = loaded();
  const auto* code = reinterpret_cast<const void*>(&some_function);
  const auto range = map->find(code);
  CHECK(range.contains(code));
  CHECK(range.first < range.last);
  CHECK(finds(*map, &some_constant));
  CHECK(map->find(&some_constant).first == range.first);
}

TEST_CASE("the C library is another module", "[modules]") {
  const auto map = loaded();
  const void* const address = ::dlsym(RTLD_DEFAULT, "strtoull");
  REQUIRE(address != nullptr);
  CHECK(finds(*map, address));
}

TEST_CASE("what is no code of a module is in none", "[modules]") {
  const auto map = loaded();
  const int on_stack = 0;
  const auto on_heap = std::make_unique<int>(0);
  for (const void* address :
       {static_cast<const void*>(nullptr), static_cast<const void*>(&on_stack),
        static_cast<const void*>(on_heap.get()), at(~std::uintptr_t{0})}) {
    CAPTURE(address);
    const auto range = map->find(address);
    CHECK(range.first == 0);
    CHECK(range.last == 0);
    CHECK_FALSE(range.contains(address));
  }
}

TEST_CASE("a range ends before its last address", "[modules]") {
  const ModuleMap::Range range{4096, 8192};
  CHECK_FALSE(range.contains(at(4095)));
  CHECK(range.contains(at(4096)));
  CHECK(range.contains(at(8191)));
  CHECK_FALSE(range.contains(at(8192)));
  CHECK_FALSE(ModuleMap::Range{}.contains(at(0)));
  const ModuleMap map{std::vector<ModuleMap::Range>{{4096, 8192}, {16384, 20480}}};
  CHECK(map.find(at(5000)).first == 4096);
  CHECK(map.find(at(17000)).first == 16384);
  CHECK(map.find(at(9000)).last == 0);
}

TEST_CASE("the modules are looked up once", "[modules]") {
  const auto first = loaded();
  CHECK(loaded() == first);
}

TEST_CASE("a library that is loaded later is seen, in a map of its own", "[modules]") {
  const auto before = loaded();
  Library library;
  const void* const address = library.address();
  const auto after = loaded();
  CHECK(after != before);
  CHECK(finds(*after, address));
  CHECK_FALSE(finds(*before, address));
  CHECK(finds(*after, reinterpret_cast<const void*>(&some_function)));
  CHECK(loaded() == after);
}

TEST_CASE("a library that is unloaded is gone from the next map", "[modules]") {
  Library library;
  const void* const address = library.address();
  const auto with = loaded();
  REQUIRE(finds(*with, address));
  library.unload();
  const auto without = loaded();
  CHECK(without != with);
  // A sanitizer's runtime may hold on to it.
  if (Dl_info info{}; ::dladdr(address, &info) == 0) CHECK_FALSE(finds(*without, address));
}

TEST_CASE("a fork has a map of its own, with the same modules", "[modules]") {
  const auto here = loaded();
  CHECK(in_child([&] {
          const auto there = loaded();
          expect(there != here, "it shares the parent's cache");
          const auto* code = reinterpret_cast<const void*>(&some_function);
          expect(there->find(code).first == here->find(code).first, "the module moved");
        }) == fine);
}
