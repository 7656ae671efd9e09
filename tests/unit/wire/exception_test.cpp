// SPDX-License-Identifier: BSL-1.0
#include <any>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/error.hpp>
#include <apalis/outcome.hpp>
#include <apalis/register_exception.hpp>
#include <cerrno>
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
#include <system_error>
#include <typeinfo>
#include <variant>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::wire;
using apalis::RemoteError;
using Catch::Matchers::ContainsSubstring;

namespace exception_cases {

struct ByText : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct ByFunctions : std::exception {
  int code = 0;
  std::vector<std::string> details;
  const char* what() const noexcept override { return "by functions"; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(code, details);
  }
};
struct NoStandardBase {
  int code = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(code);
  }
};
struct ErrorOfOurs : apalis::Error {
  using apalis::Error::Error;
};
struct Plain {
  int code;
  double value;
};
struct Unregistered : std::logic_error {
  using std::logic_error::logic_error;
};
struct DerivedFromRegistered : ByText {
  using ByText::ByText;
};
struct Final final : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct SaveThrows : std::runtime_error {
  SaveThrows() : std::runtime_error("save throws") {}
  template <class Archive>
  void save(Archive&) const {
    throw std::domain_error("not today");
  }
  template <class Archive>
  void load(Archive&) {}
};
struct LoadThrows : std::runtime_error {
  LoadThrows() : std::runtime_error("load throws") {}
  template <class Archive>
  void save(Archive& archive) const {
    archive(1);
  }
  template <class Archive>
  void load(Archive&) {
    throw std::domain_error("not today");
  }
};
struct Foreign {};

}  // namespace exception_cases

using namespace exception_cases;

namespace {

constexpr pid_t worker = 4711;

template <class Throw>
std::exception_ptr through(Throw&& action, std::size_t before = 0) {
  Buffer buffer;
  for (std::size_t i = 0; i < before; ++i) buffer.append("-", 1);
  try {
    action();
  } catch (...) {
    encode_current_exception(buffer, "int Subject::fail()");
  }
  Reader reader(buffer.bytes());
  (void)reader.take(before);
  auto error = decode_exception(reader, worker);
  REQUIRE(reader.remaining() == 0);
  REQUIRE(error != nullptr);
  return error;
}

/// E arrives as E, with what E said, and as RemoteError.
template <class E, class Throw>
E as(Throw&& action) {
  const auto error = through(std::forward<Throw>(action));
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& e) {
    CHECK(e.worker_pid() == worker);
    CHECK(e.where() == "int Subject::fail()");
  } catch (...) {
    FAIL("it is no RemoteError");
  }
  try {
    std::rethrow_exception(error);
  } catch (const E& e) {
    if constexpr (std::is_base_of_v<std::exception, E>) {
      std::string said;
      try {
        action();
      } catch (const std::exception& original) {
        said = original.what();
      } catch (...) {
      }
      CHECK(e.what() == said);
    }
    return e;
  }
}

template <class E>
void keeps(const E& e) {
  INFO(typeid(E).name());
  const auto copy = as<E>([&] { throw e; });
  (void)copy;
}

RemoteError remote(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& e) {
    return e;
  }
}

}  // namespace

TEST_CASE("standard exceptions keep their type and words", "[exception]") {
  keeps(std::runtime_error("runtime"));
  keeps(std::logic_error("logic"));
  keeps(std::invalid_argument("argument"));
  keeps(std::out_of_range("range"));
  keeps(std::domain_error("domain"));
  keeps(std::length_error(std::string(1000, 'l')));
  keeps(std::range_error(""));
  keeps(std::overflow_error("over"));
  keeps(std::underflow_error("under"));
  keeps(std::exception());
  keeps(std::bad_alloc());
  keeps(std::bad_array_new_length());
  keeps(std::bad_cast());
  keeps(std::bad_any_cast());
  keeps(std::bad_typeid());
  keeps(std::bad_exception());
  keeps(std::bad_function_call());
  keeps(std::bad_weak_ptr());
  keeps(std::bad_optional_access());
  keeps(std::bad_variant_access());
  keeps(std::system_error(ENOENT, std::generic_category(), "opening"));
  keeps(std::ios_base::failure("reading"));
  keeps(std::filesystem::filesystem_error("moving", "/a", "/b",
                                          std::make_error_code(std::errc::permission_denied)));
  keeps(std::future_error(std::future_errc::broken_promise));
  keeps(std::regex_error(std::regex_constants::error_brack));
  keeps(apalis::Error("ours"));
  keeps(apalis::Cancelled("cancelled"));
  keeps(apalis::TimedOut("late"));
}

TEST_CASE("what else they hold comes too", "[exception]") {
  const auto system = as<std::system_error>(
      [] { throw std::system_error(EAGAIN, std::system_category(), "sending"); });
  CHECK(system.code() == std::error_code(EAGAIN, std::system_category()));

  const auto file = as<std::filesystem::filesystem_error>([] {
    throw std::filesystem::filesystem_error("moving", "/from", "/to",
                                            std::make_error_code(std::errc::file_exists));
  });
  CHECK(file.path1() == "/from");
  CHECK(file.path2() == "/to");
  CHECK(file.code() == std::errc::file_exists);

  const auto failure =
      as<std::ios_base::failure>([] { throw std::ios_base::failure("x", std::io_errc::stream); });
  CHECK(failure.code() == std::io_errc::stream);

  const auto future = as<std::future_error>(
      [] { throw std::future_error(std::future_errc::promise_already_satisfied); });
  CHECK(future.code() == std::future_errc::promise_already_satisfied);

  const auto regex =
      as<std::regex_error>([] { throw std::regex_error(std::regex_constants::error_paren); });
  CHECK(regex.code() == std::regex_constants::error_paren);

  const auto refused = as<apalis::SystemError>([] { throw apalis::SystemError("fork", EAGAIN); });
  CHECK(refused.code() == EAGAIN);

  const auto died = as<apalis::WorkerDied>([] {
    throw apalis::WorkerDied("died", {.pid = 7, .signal = 9, .call = "call", .hint = "hint", .stack = {"a", "b"}});
  });
  CHECK(died.pid() == 7);
  CHECK(died.signal() == 9);
  CHECK(died.exit_status() == -1);
  CHECK(died.call() == "call");
  CHECK(died.hint() == "hint");
  CHECK(died.stack() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("registered exceptions arrive as themselves", "[exception]") {
  apalis::register_exception<ByText>();
  apalis::register_exception<ByFunctions>();
  apalis::register_exception<NoStandardBase>();
  apalis::register_exception<ErrorOfOurs>();
  apalis::register_exception<Plain>();
  apalis::register_exception<ByText>();  // again is no harm

  keeps(ByText("text"));
  keeps(ErrorOfOurs("ours"));
  const auto functions = as<ByFunctions>([] {
    ByFunctions e;
    e.code = 5;
    e.details = {"a", std::string(400, 'b')};
    throw e;
  });
  CHECK(functions.code == 5);
  CHECK(functions.details.at(1).size() == 400);
  CHECK(as<NoStandardBase>([] { throw NoStandardBase{6}; }).code == 6);
  CHECK(as<Plain>([] { throw Plain{7, 0.5}; }).code == 7);
}

TEST_CASE("unregistered and foreign exceptions arrive as Error", "[exception]") {
  apalis::register_exception<ByText>();
  const auto unregistered = through([] { throw Unregistered("said"); });
  CHECK_THROWS_AS(std::rethrow_exception(unregistered), apalis::Error);
  CHECK_THROWS_WITH(std::rethrow_exception(unregistered), "said");
  CHECK(remote(unregistered).type_name() == "exception_cases::Unregistered");
  CHECK(remote(unregistered).message() == "said");

  // Its base is registered, but it is not that.
  const auto derived = through([] { throw DerivedFromRegistered("said"); });
  CHECK_THROWS_AS(std::rethrow_exception(derived), apalis::Error);
  CHECK(remote(derived).type_name() == "exception_cases::DerivedFromRegistered");

  const auto final_one = through([] { throw Final("said"); });
  CHECK_THROWS_AS(std::rethrow_exception(final_one), apalis::Error);

  const auto number = through([] { throw 42; });  // NOLINT(hicpp-exception-baseclass)
  CHECK_THROWS_AS(std::rethrow_exception(number), apalis::Error);
  CHECK(remote(number).type_name() == "int");

  const auto foreign = through([] { throw Foreign{}; });  // NOLINT(hicpp-exception-baseclass)
  CHECK_THROWS_WITH(std::rethrow_exception(foreign), ContainsSubstring("exception_cases::Foreign"));
}

TEST_CASE("a RemoteError is no std::exception of its own", "[exception]") {
  const auto error = through([] { throw std::out_of_range("x"); });
  bool caught = false;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {  // unambiguous
    caught = std::string(e.what()) == "x";
  }
  CHECK(caught);
  CHECK(remote(error).type_name() == "std::out_of_range");
  CHECK(remote(error).message() == "x");
}

namespace {

void throw_nested() {
  try {
    try {
      throw std::out_of_range("innermost");
    } catch (...) {
      std::throw_with_nested(Unregistered("middle"));
    }
  } catch (...) {
    std::throw_with_nested(std::runtime_error("outermost"));
  }
}

void check_causes(const RemoteError& e) {
  REQUIRE(e.causes().size() == 2);
  CHECK(e.causes()[0].type == "exception_cases::Unregistered");
  CHECK(e.causes()[0].message == "middle");
  CHECK(e.causes()[1].type == "std::out_of_range");
  CHECK(e.causes()[1].message == "innermost");
}

}  // namespace

TEST_CASE("nested exceptions come as causes", "[exception]") {
  const auto error = through(throw_nested);
  CHECK_THROWS_AS(std::rethrow_exception(error), std::runtime_error);
  CHECK_THROWS_WITH(std::rethrow_exception(error), "outermost");
  CHECK(remote(error).type_name() == "std::runtime_error");
  check_causes(remote(error));
}

TEST_CASE("through two processes nothing is lost", "[exception]") {
  const auto first = through(throw_nested);
  const auto second = through([&] { std::rethrow_exception(first); });
  CHECK_THROWS_AS(std::rethrow_exception(second), std::runtime_error);
  CHECK_THROWS_WITH(std::rethrow_exception(second), "outermost");
  CHECK(remote(second).type_name() == "std::runtime_error");
  check_causes(remote(second));

  const auto foreign = through([] { throw Foreign{}; });  // NOLINT(hicpp-exception-baseclass)
  const auto again = through([&] { std::rethrow_exception(foreign); });
  CHECK(remote(again).type_name() == "exception_cases::Foreign");

  // As the cause of another one.
  const auto wrapped = through([&] {
    try {
      std::rethrow_exception(first);
    } catch (...) {
      std::throw_with_nested(std::logic_error("wrapper"));
    }
  });
  const auto causes = remote(wrapped).causes();
  REQUIRE(causes.size() == 3);
  CHECK(causes[0].message == "outermost");
  CHECK(causes[2].message == "innermost");
}

TEST_CASE("an endless chain of causes ends", "[exception]") {
  const auto error = through([] {
    std::exception_ptr inner = std::make_exception_ptr(std::runtime_error("0"));
    for (int i = 1; i < 500; ++i) {
      try {
        std::rethrow_exception(inner);
      } catch (...) {
        try {
          std::throw_with_nested(std::runtime_error(std::to_string(i)));
        } catch (...) {
          inner = std::current_exception();
        }
      }
    }
    std::rethrow_exception(inner);
  });
  CHECK(remote(error).message() == "499");
  CHECK(remote(error).causes().size() >= 10);
  CHECK(remote(error).causes().size() < 499);
}

TEST_CASE("an exception whose own functions throw still arrives", "[exception]") {
  apalis::register_exception<SaveThrows>();
  apalis::register_exception<LoadThrows>();
  const auto saving = through([] { throw SaveThrows(); });
  CHECK_THROWS_AS(std::rethrow_exception(saving), apalis::Error);
  CHECK_THROWS_WITH(std::rethrow_exception(saving), ContainsSubstring("save throws"));

  Buffer buffer;
  try {
    throw LoadThrows();
  } catch (...) {
    encode_current_exception(buffer, "");
  }
  Reader reader(buffer.bytes());
  CHECK_THROWS_AS(std::rethrow_exception(decode_exception(reader, worker)), apalis::Error);
}

TEST_CASE("an exception behind other bytes", "[exception]") {
  const auto error = through([] { throw std::out_of_range("x"); }, 77);
  CHECK_THROWS_AS(std::rethrow_exception(error), std::out_of_range);
}

TEST_CASE("an exception that is aligned in its message is read from there", "[exception]") {
  apalis::register_exception<std::vector<double>>();
  for (const char* where : {"", "a", "abc", "abcdef"}) {
    Buffer buffer;
    try {
      throw std::vector<double>{1, 2, 3};
    } catch (...) {
      encode_current_exception(buffer, where);
    }
    Reader reader(buffer.bytes());
    try {
      std::rethrow_exception(decode_exception(reader, worker));
    } catch (const std::vector<double>& numbers) {
      CHECK(numbers == std::vector<double>{1, 2, 3});
    }
  }
}

TEST_CASE("bytes that make no sense become an Error that says so", "[exception]") {
  apalis::register_exception<ByFunctions>();
  Buffer buffer;
  try {
    ByFunctions e;
    e.details = {"a", "b"};
    throw e;
  } catch (...) {
    encode_current_exception(buffer, "where");
  }
  for (std::size_t n = 0; n < buffer.size(); ++n) {
    Reader reader(buffer.bytes().first(n));
    const auto error = decode_exception(reader, worker);
    REQUIRE_THROWS_AS(std::rethrow_exception(error), apalis::Error);
  }
  Reader empty({});
  CHECK_THROWS_WITH(std::rethrow_exception(decode_exception(empty, worker)),
                    ContainsSubstring("malformed"));
}

TEST_CASE("an Outcome is a value or an error", "[outcome]") {
  apalis::Outcome<std::string> good(std::in_place, 3u, 'x');
  CHECK(good);
  CHECK(good.value() == "xxx");
  CHECK(good.error() == nullptr);
  good.value() = "new";
  CHECK(std::move(good).value() == "new");

  const apalis::Outcome<int> bad(std::make_exception_ptr(std::out_of_range("x")));
  CHECK_FALSE(bad.has_value());
  CHECK_THROWS_AS(bad.value(), std::out_of_range);
  CHECK(bad.error() != nullptr);

  const apalis::Outcome<void> done(std::in_place);
  CHECK(done);
  CHECK_NOTHROW(done.value());
  const apalis::Outcome<void> failed(std::make_exception_ptr(std::out_of_range("x")));
  CHECK_FALSE(failed);
  CHECK_THROWS_AS(failed.value(), std::out_of_range);
}
