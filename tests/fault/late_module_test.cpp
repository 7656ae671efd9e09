// SPDX-License-Identifier: BSL-1.0
// Code that was loaded after a worker was forked is an Error there, not a jump into nothing.
#include <dlfcn.h>

#include <apalis/apalis.hpp>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "modules/late.hpp"
#include "support/catch.hpp"

using apalis::Handler;

namespace {

struct CloseModule {
  void operator()(void* module) const noexcept { ::dlclose(module); }
};
using Module = std::unique_ptr<void, CloseModule>;

#ifdef APALIS_TEST_LATE_MODULE  // the path of the module, from the build
Module load_late_module() {
  Module module(::dlopen(APALIS_TEST_LATE_MODULE, RTLD_NOW | RTLD_LOCAL));
  if (!module) throw std::runtime_error(::dlerror());
  return module;
}
#endif

template <class Function>
Function* symbol(const Module& module, const char* name) {
  void* address = ::dlsym(module.get(), name);
  if (address == nullptr) throw std::runtime_error(::dlerror());
  return reinterpret_cast<Function*>(address);
}

// A library that no test needs, and a function of it; nothing where neither is installed.
std::pair<Module, void*> load_some_library() {
  constexpr std::array<std::pair<const char*, const char*>, 2> candidates{
      {{"libz.so.1", "zlibVersion"}, {"libthread_db.so.1", "td_init"}}};
  for (const auto& [name, function] : candidates) {
    if (Module loaded{::dlopen(name, RTLD_LAZY | RTLD_NOLOAD)}) continue;
    Module module{::dlopen(name, RTLD_LAZY | RTLD_LOCAL)};
    if (!module) continue;
    if (void* address = ::dlsym(module.get(), function)) return {std::move(module), address};
  }
  return {};
}

void check_refused(const apalis::Error& e) {
  CAPTURE(e.what());
  CHECK(std::string(e.what()).find("load") != std::string::npos);
}

}  // namespace

TEST_CASE("a function of a library that was loaded after the fork is an Error", "[modules]") {
  Handler<Late> h;
  CHECK(h.call(&Late::add, 1).get() == 1);
  const auto [module, address] = load_some_library();
  if (!module) return;
  // Never called: the worker would have nothing there.
  auto* function = reinterpret_cast<int (*)(Late&)>(address);
  try {
    h.call(function).get();
    FAIL("it was accepted");
  } catch (const apalis::Error& e) {
    check_refused(e);
  }
  CHECK_THROWS_AS(h.post(function), apalis::Error);
  const auto run_prepared = [&] {
    std::vector<apalis::Call<Late, int>> calls;
    calls.push_back(h.prepare(function));
    h.run(calls);
  };
  CHECK_THROWS_AS(run_prepared(), apalis::Error);
  CHECK(h.call(&Late::add, 1).get() == 2);
}

#ifdef APALIS_TEST_LATE_MODULE
TEST_CASE("a worker forked before the module was loaded refuses its functions", "[modules]") {
  Handler<Late> early;
  const Module module = load_late_module();
  auto* function = symbol<int(Late&, int)>(module, "late_function");
  try {
    early.call(function, 1).get();
    FAIL("it was accepted");
  } catch (const apalis::Error& e) {
    check_refused(e);
  }
  CHECK(early.call(&Late::add, 1).get() == 1);
  early.drain();
}

TEST_CASE("a worker forked after the module was loaded runs its functions", "[modules]") {
  const Module module = load_late_module();
  auto* function = symbol<int(Late&, int)>(module, "late_function");
  Handler<Late> h;
  CHECK(h.call(function, 1).get() == 10);
}

TEST_CASE("a thunk that lies in a module loaded after the fork is an Error", "[modules]") {
  Handler<Late> early;
  const Module module = load_late_module();
  auto* thunk = symbol<int(Handler<Late>&, int, int*)>(module, "late_thunk");
  int result = 0;
  CHECK(thunk(early, 1, &result) == 1);
  CHECK(early.call(&Late::add, 1).get() == 1);
  Handler<Late> later;
  CHECK(thunk(later, 1, &result) == 0);
  CHECK(result == 100);
}

TEST_CASE("the serial backend runs whatever is loaded", "[modules]") {
  Handler<Late> h{{.backend = apalis::Backend::serial}, std::in_place, 0};
  const Module module = load_late_module();
  auto* thunk = symbol<int(Handler<Late>&, int, int*)>(module, "late_thunk");
  int result = 0;
  CHECK(thunk(h, 2, &result) == 0);
  CHECK(result == 200);
  auto* function = symbol<int(Late&, int)>(module, "late_function");
  CHECK(h.call(function, 1).get() == 210);
}
#endif
