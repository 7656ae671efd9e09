// SPDX-License-Identifier: BSL-1.0
// Standard exceptions keep their type, their message and what else they carry.
#include <any>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <variant>

#include "backends.hpp"

using apalis::Handler;
using namespace conformance;

namespace {

struct Thrower {
  int calls = 0;
};

// What `f` throws here, so that both sides of a comparison come from the same library.
template <class E, class F>
std::string message_here(F f) {
  Thrower here;
  try {
    f(here);
  } catch (const E& e) {
    return e.what();
  }
  return "nothing was thrown";
}

// Whether what `f` throws in the worker arrives as an E that is a RemoteError too.
template <class E, class F, class Check>
void arrives_as(Handler<Thrower>& h, std::string_view type, F f, Check check) {
  CAPTURE(type);
  auto token = h.call(f);
  try {
    token.get();
    FAIL("nothing was thrown");
  } catch (const E& e) {
    CHECK(std::string(e.what()) == message_here<E>(f));
    check(e);
    const auto* remote = dynamic_cast<const apalis::RemoteError*>(&e);
    REQUIRE(remote != nullptr);
    CHECK(contains(remote->type_name(), type));
    CHECK(remote->message() == message_here<E>(f));
    CHECK(remote->worker_pid() == h.pid());
    CHECK(remote->causes().empty());
  }
  // The mixin alone can be caught, and std::exception stays unambiguous.
  CHECK_THROWS_AS(token.get(), apalis::RemoteError);
  CHECK_THROWS_AS(token.get(), std::exception);
}

template <class E, class F>
void arrives_as(Handler<Thrower>& h, std::string_view type, F f) {
  arrives_as<E>(h, type, f, [](const E&) {});
}

}  // namespace

TEST_CASE("logic errors keep their type", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  arrives_as<std::logic_error>(h, "logic_error", [](Thrower&) { throw std::logic_error("a"); });
  arrives_as<std::domain_error>(h, "domain_error", [](Thrower&) { throw std::domain_error("b"); });
  arrives_as<std::invalid_argument>(h, "invalid_argument",
                                    [](Thrower&) { throw std::invalid_argument("c"); });
  arrives_as<std::length_error>(h, "length_error", [](Thrower&) { throw std::length_error("d"); });
  arrives_as<std::out_of_range>(h, "out_of_range", [](Thrower&) { throw std::out_of_range("e"); });
}

TEST_CASE("runtime errors keep their type", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  arrives_as<std::runtime_error>(h, "runtime_error",
                                 [](Thrower&) { throw std::runtime_error("a"); });
  arrives_as<std::range_error>(h, "range_error", [](Thrower&) { throw std::range_error("b"); });
  arrives_as<std::overflow_error>(h, "overflow_error",
                                  [](Thrower&) { throw std::overflow_error("c"); });
  arrives_as<std::underflow_error>(h, "underflow_error",
                                   [](Thrower&) { throw std::underflow_error("d"); });
  arrives_as<std::regex_error>(
      h, "regex_error", [](Thrower&) { throw std::regex_error(std::regex_constants::error_brack); },
      [](const std::regex_error& e) { CHECK(e.code() == std::regex_constants::error_brack); });
}

TEST_CASE("system errors keep their code and category", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  arrives_as<std::system_error>(
      h, "system_error",
      [](Thrower&) { throw std::system_error(ENOENT, std::generic_category(), "opening"); },
      [](const std::system_error& e) {
        CHECK(e.code() == std::error_code(ENOENT, std::generic_category()));
        CHECK(e.code() == std::errc::no_such_file_or_directory);
      });
  arrives_as<std::system_error>(
      h, "system_error", [](Thrower&) { throw std::system_error(EPERM, std::system_category()); },
      [](const std::system_error& e) {
        CHECK(e.code() == std::error_code(EPERM, std::system_category()));
      });
  arrives_as<std::ios_base::failure>(
      h, "failure", [](Thrower&) { throw std::ios_base::failure("stream"); },
      [](const std::ios_base::failure& e) { CHECK(e.code() == std::io_errc::stream); });
  arrives_as<std::future_error>(
      h, "future_error",
      [](Thrower&) { throw std::future_error(std::future_errc::broken_promise); },
      [](const std::future_error& e) { CHECK(e.code() == std::future_errc::broken_promise); });
}

TEST_CASE("filesystem errors keep their paths", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  arrives_as<std::filesystem::filesystem_error>(
      h, "filesystem_error",
      [](Thrower&) {
        throw std::filesystem::filesystem_error("copying", "/from/here", "/to/there",
                                                std::make_error_code(std::errc::file_exists));
      },
      [](const std::filesystem::filesystem_error& e) {
        CHECK(e.path1() == "/from/here");
        CHECK(e.path2() == "/to/there");
        CHECK(e.code() == std::errc::file_exists);
      });
}

TEST_CASE("exceptions of the language and of the vocabulary types keep their type", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  arrives_as<std::exception>(h, "exception", [](Thrower&) { throw std::exception(); });
  arrives_as<std::bad_exception>(h, "bad_exception", [](Thrower&) { throw std::bad_exception(); });
  arrives_as<std::bad_alloc>(h, "bad_alloc", [](Thrower&) { throw std::bad_alloc(); });
  arrives_as<std::bad_array_new_length>(h, "bad_array_new_length",
                                        [](Thrower&) { throw std::bad_array_new_length(); });
  arrives_as<std::bad_cast>(h, "bad_cast", [](Thrower&) { throw std::bad_cast(); });
  arrives_as<std::bad_typeid>(h, "bad_typeid", [](Thrower&) { throw std::bad_typeid(); });
  arrives_as<std::bad_function_call>(h, "bad_function_call",
                                     [](Thrower&) { std::function<void()>{}(); });
  arrives_as<std::bad_weak_ptr>(
      h, "bad_weak_ptr", [](Thrower&) { std::shared_ptr<int>{std::weak_ptr<int>{}}.reset(); });
  arrives_as<std::bad_optional_access>(h, "bad_optional_access",
                                       [](Thrower&) { return std::optional<int>{}.value(); });
  arrives_as<std::bad_variant_access>(
      h, "bad_variant_access", [](Thrower&) { return std::get<1>(std::variant<int, double>{}); });
  arrives_as<std::bad_any_cast>(h, "bad_any_cast",
                                [](Thrower&) { return std::any_cast<int>(std::any{}); });
}

TEST_CASE("messages of any length arrive whole", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  auto empty = h.call([](Thrower&) { throw std::runtime_error(""); });
  try {
    empty.get();
    FAIL("nothing was thrown");
  } catch (const std::runtime_error& e) {
    CHECK(std::string_view(e.what()).empty());
  }
  auto huge = h.call([](Thrower&) { throw std::runtime_error(std::string(3'000'000, 'm')); });
  try {
    huge.get();
    FAIL("nothing was thrown");
  } catch (const std::runtime_error& e) {
    CHECK((e.what() == std::string(3'000'000, 'm')));
  }
}
