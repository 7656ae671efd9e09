// SPDX-License-Identifier: BSL-1.0
// Names and values of backends, and what register_backend() refuses.
#include <apalis/backend/registry.hpp>
#include <apalis/backend/serial.hpp>
#include <apalis/custom_backend.hpp>
#include <apalis/engine_options.hpp>
#include <apalis/error.hpp>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "unit/in_child.hpp"

using apalis::Backend;
using apalis::backend_named;
using apalis::CustomBackend;
using apalis::register_backend;
using apalis::detail::backend::add_backend;
using apalis::detail::backend::Entry;
using apalis::detail::backend::find;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using Catch::Matchers::ContainsSubstring;

namespace {

void nothing() {}
void launch_nowhere(const std::function<void()>& /*body*/) {}

template <class F>
std::string refusal(F what) {
  try {
    what();
  } catch (const apalis::Error& error) {
    return error.what();
  }
  return "none";
}

std::string refusal_of(const std::string& name, const CustomBackend& definition) {
  return refusal([&] { register_backend(name, definition); });
}

/// Each case has a process of its own or shares one with the others: either way a name is new once.
std::string new_name() {
  static int count = 0;
  return "registry_test " + std::to_string(++count);
}

}  // namespace

TEST_CASE("a registered backend is known by value and by name", "[registry]") {
  const auto name = new_name();
  const auto backend =
      register_backend(name, {.base = Backend::processes, .prepare_worker = &nothing});
  CHECK(backend > Backend::serial);
  CHECK(backend_named(name) == backend);
  CHECK(to_string(backend) == name);
  CHECK(capabilities(backend).isolates);
  CHECK(capabilities(backend).kills);

  const auto other =
      register_backend(new_name(), {.base = Backend::threads, .launch = &launch_nowhere});
  CHECK(other != backend);
  CHECK_FALSE(capabilities(other).isolates);
  CHECK(backend_named(name) == backend);
}

TEST_CASE("APALIS_BACKEND may name a registered backend", "[registry]") {
  CHECK(in_child([] {
          const auto backend = register_backend("mine", {.prepare_worker = &nothing});
          ::setenv("APALIS_BACKEND", "mine", 1);
          expect(apalis::default_backend() == backend, "it is not the default");
          ::setenv("APALIS_BACKEND", "theirs", 1);
          const auto text = refusal([] { (void)apalis::default_backend(); });
          expect(text.find("or 'mine'") != std::string::npos &&
                     text.find("APALIS_BACKEND") != std::string::npos,
                 text);
        }) == fine);
}

TEST_CASE("the built-in backends have their names and aliases", "[registry]") {
  CHECK(backend_named("processes") == Backend::processes);
  CHECK(backend_named("threads") == Backend::threads);
  CHECK(backend_named("serial") == Backend::serial);
  CHECK(backend_named("loky") == Backend::processes);
  CHECK(backend_named("multithreading") == Backend::threads);
  CHECK(to_string(Backend::threads) == "threads");
}

TEST_CASE("an unknown name is answered with what there is", "[registry]") {
  const auto name = new_name();
  register_backend(name, {.prepare_worker = &nothing});
  const auto text = refusal([] { (void)backend_named("gpu"); });
  CHECK_THAT(text, ContainsSubstring("no backend 'gpu': use 'processes', 'threads', 'serial'"));
  CHECK_THAT(text, ContainsSubstring("or '"));
  CHECK_THAT(text, ContainsSubstring("'" + name + "'"));
  CHECK_THAT(refusal([] { (void)backend_named("dask"); }), ContainsSubstring("'mpi' on several"));
  CHECK_THAT(refusal([] { (void)backend_named("mpi"); }), ContainsSubstring("'" + name + "'"));
}

TEST_CASE("a number that is no backend's has neither name nor capabilities", "[registry]") {
  for (const int number : {-1, 255, 256, 1 << 30}) {
    CAPTURE(number);
    const auto backend = static_cast<Backend>(number);
    CHECK(find(backend) == nullptr);
    CHECK(to_string(backend) == "unknown");
    CHECK_FALSE(capabilities(backend).carries);
  }
}

TEST_CASE("what can't be registered is refused with a reason", "[registry]") {
  const CustomBackend good{.prepare_worker = &nothing};
  CHECK_THAT(refusal_of("", good), ContainsSubstring("not empty"));
  for (const char* taken : {"processes", "threads", "serial", "loky", "fork", "multithread"})
    CHECK_THAT(refusal_of(taken, good), ContainsSubstring("already"));
  for (const char* reserved : {"dask", "kubernetes", "k8s", "mpi"})
    CHECK_THAT(refusal_of(reserved, good), ContainsSubstring("another name"));

  const auto name = new_name();
  CHECK_THAT(refusal_of(name, {}), ContainsSubstring("neither prepare_worker nor launch"));
  CHECK_THAT(refusal_of(name, {.base = static_cast<Backend>(200), .prepare_worker = &nothing}),
             ContainsSubstring("no backend (200)"));
  CHECK_THAT(refusal_of(name, {.base = Backend::processes, .launch = &launch_nowhere}),
             ContainsSubstring("base of threads"));
  CHECK_THAT(refusal_of(name, {.base = Backend::serial, .launch = &launch_nowhere}),
             ContainsSubstring("base of threads"));
  CHECK_THAT(refusal_of(name, {.base = Backend::threads,
                               .launch = &launch_nowhere,
                               .launch_timeout = std::chrono::milliseconds{0}}),
             ContainsSubstring("launch_timeout"));

  const auto backend = register_backend(name, good);  // none of these took the name
  CHECK_THAT(refusal_of(name, good), ContainsSubstring("already"));
  CHECK(backend_named(name) == backend);
}

TEST_CASE("a base may be a registered backend, whose hooks go on", "[registry]") {
  static std::vector<int> order;
  const auto outer = register_backend(new_name(), {.base = Backend::threads,
                                                   .prepare_worker = [] { order.push_back(1); },
                                                   .launch = &launch_nowhere});
  const auto inner =
      register_backend(new_name(), {.base = outer, .prepare_worker = [] { order.push_back(2); }});
  (*find(inner)->prepare)();
  CHECK(order == std::vector{1, 2});
  CHECK(find(inner)->base == Backend::threads);
  CHECK(find(inner)->launch == find(outer)->launch);

  const auto same =
      register_backend(new_name(), {.base = inner, .launch = [](const std::function<void()>&) {}});
  CHECK(find(same)->prepare != nullptr);
  CHECK(find(same)->launch != find(outer)->launch);
}

TEST_CASE("a library may add links of its own, on which none is based", "[registry]") {
  static const Entry far{
      .name = "far",
      .capabilities = {.isolates = true, .kills = false, .carries = false, .remote = true},
      .base = Backend::processes,
      .open = &apalis::detail::backend::SerialLink::open};
  const auto backend = add_backend(far);
  CHECK(backend_named("far") == backend);
  CHECK(capabilities(backend).remote);
  CHECK_THAT(refusal_of(new_name(), {.base = backend, .prepare_worker = &nothing}),
             ContainsSubstring("other machines"));
}

TEST_CASE("a fork knows what was registered before it", "[registry]") {
  const auto name = new_name();
  const auto backend = register_backend(name, {.prepare_worker = &nothing});
  CHECK(in_child([&] {
          expect(backend_named(name) == backend, "it is not known");
          expect(register_backend("of the fork", {.prepare_worker = &nothing}) > backend,
                 "nothing can be registered there");
        }) == fine);
  CHECK_THROWS_AS(backend_named("of the fork"), apalis::Error);
}

TEST_CASE("threads register while others look", "[registry]") {
  CHECK(in_child([] {
          constexpr std::size_t each = 20;
          constexpr std::size_t writers = 4;
          std::atomic<bool> done{false};
          std::atomic<int> wrong{0};
          std::array<std::vector<Backend>, writers> made;
          std::vector<std::jthread> threads;
          for (std::size_t t = 0; t < writers; ++t)
            threads.emplace_back([&, t] {
              for (std::size_t i = 0; i < each; ++i)
                made.at(t).push_back(register_backend(std::to_string(t) + "/" + std::to_string(i),
                                                      {.prepare_worker = &nothing}));
            });
          std::jthread reader([&] {
            while (!done)
              for (int i = 0; i < 100; ++i) {
                const auto backend = static_cast<Backend>(i);
                const auto* const entry = find(backend);
                if (entry != nullptr && backend_named(entry->name) != backend) ++wrong;
              }
          });
          threads.clear();
          done = true;
          reader.join();
          for (std::size_t t = 0; t < writers; ++t)
            for (std::size_t i = 0; i < each; ++i)
              expect(to_string(made.at(t).at(i)) == std::to_string(t) + "/" + std::to_string(i),
                     "a value has another's name");
          expect(wrong == 0, "a reader saw half of one");
        }) == fine);
}

TEST_CASE("the places end with an error, and what there is goes on", "[registry]") {
  CHECK(in_child([] {
          std::string text;
          for (int i = 0; i < 300 && text.empty(); ++i) {
            const auto said = refusal_of("n" + std::to_string(i), {.prepare_worker = &nothing});
            if (said != "none") text = said;
          }
          expect(text.find("none ever ends") != std::string::npos, text);
          expect(backend_named("n0") > Backend::serial, "the first is gone");
        }) == fine);
}
