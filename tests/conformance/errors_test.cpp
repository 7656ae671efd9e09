// SPDX-License-Identifier: BSL-1.0
// Exceptions of the user's and of the library's own types, and what fails on the way.
#include <unistd.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends.hpp"

using apalis::Token;
using namespace conformance;

namespace errors {

struct Unregistered : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Registered, and made again from its message.
struct FromMessage : std::logic_error {
  explicit FromMessage(const std::string& message) : std::logic_error(message) {}
};

// Registered, and carried whole by its cereal functions.
struct Detailed : std::exception {
  int code = 0;
  std::string text;
  Detailed() = default;
  Detailed(int c, std::string t) : code(c), text(std::move(t)) {}
  const char* what() const noexcept override { return text.c_str(); }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(code, text);
  }
};

// Registered, and no std::exception at all.
struct Odd {
  int code = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(code);
  }
};

struct Thrower {
  int calls = 0;
  int count() { return ++calls; }
};

// Fails where it is told to.
struct Brittle {
  enum class Point { never, save_in_parent, load, save_in_child };
  Point point = Point::never;
  long maker = static_cast<long>(::getpid());
  bool visited = false;

  template <class Archive>
  void save(Archive& archive) const {
    if (point == Point::save_in_parent && !visited) throw std::range_error("save in parent");
    if (point == Point::save_in_child && visited) throw std::range_error("save in child");
    archive(static_cast<int>(point));
  }
  template <class Archive>
  void load(Archive& archive) {
    int p = 0;
    archive(p);
    point = static_cast<Point>(p);
    if (point == Point::load) throw std::range_error("load");
  }
};

struct Handled {
  int calls = 0;
  Brittle pass(Brittle b) {
    ++calls;
    b.visited = true;
    return b;
  }
};

// Registers once, before the first handler of a test is made.
void register_all() {
  apalis::register_exception<FromMessage>();
  apalis::register_exception<Detailed>();
  apalis::register_exception<Odd>();
}

}  // namespace errors

using namespace errors;

TEST_CASE("an exception of an unregistered type arrives as Error", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  auto t = h.call([](Thrower&) { throw Unregistered("strange"); });
  try {
    t.get();
    FAIL("nothing was thrown");
  } catch (const apalis::Error& e) {
    CHECK(contains(e.what(), "strange"));
    const auto* remote = dynamic_cast<const apalis::RemoteError*>(&e);
    REQUIRE(remote != nullptr);
    CHECK(contains(remote->type_name(), "Unregistered"));
    CHECK(remote->message() == "strange");
    CHECK(remote->worker_pid() == h.pid());
  }
  CHECK_THROWS_AS(t.get(), apalis::RemoteError);
}

TEST_CASE("whatever was thrown arrives as Error", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  auto number = h.call([](Thrower&) { throw 42; });
  try {
    number.get();
    FAIL("nothing was thrown");
  } catch (const apalis::Error& e) {
    const auto* remote = dynamic_cast<const apalis::RemoteError*>(&e);
    REQUIRE(remote != nullptr);
    CHECK(remote->type_name() == "int");
  }
  CHECK_THROWS_AS(h.call([](Thrower&) { throw "a literal"; }).get(), apalis::Error);
  CHECK_THROWS_AS(h.call([](Thrower&) { throw std::string("a string"); }).get(), apalis::Error);
  CHECK(h.call(&Thrower::count).get() == 1);
}

TEST_CASE("a registered exception arrives as its own type", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  register_all();
  auto h = on<Thrower>(backend);
  auto message = h.call([](Thrower&) { throw FromMessage("by message"); });
  try {
    message.get();
    FAIL("nothing was thrown");
  } catch (const FromMessage& e) {
    CHECK(std::string(e.what()) == "by message");
    CHECK(dynamic_cast<const apalis::RemoteError*>(&e) != nullptr);
  }
  auto detailed = h.call([](Thrower&) { throw Detailed(7, "in detail"); });
  try {
    detailed.get();
    FAIL("nothing was thrown");
  } catch (const Detailed& e) {
    CHECK(e.code == 7);
    CHECK(e.text == "in detail");
    const auto* remote = dynamic_cast<const apalis::RemoteError*>(&e);
    REQUIRE(remote != nullptr);
    CHECK(contains(remote->type_name(), "Detailed"));
    CHECK(remote->message() == "in detail");
  }
  CHECK_THROWS_AS(message.get(), apalis::RemoteError);
}

TEST_CASE("a registered type need not be a std::exception", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  register_all();
  auto h = on<Thrower>(backend);
  auto t = h.call([](Thrower&) { throw Odd{13}; });
  try {
    t.get();
    FAIL("nothing was thrown");
  } catch (const Odd& e) {
    CHECK(e.code == 13);
  }
  CHECK_THROWS_AS(t.get(), apalis::RemoteError);
}

TEST_CASE("registering an exception twice is harmless", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  register_all();
  register_all();
  auto h = on<Thrower>(backend);
  CHECK_THROWS_AS(h.call([](Thrower&) { throw FromMessage("m"); }).get(), FromMessage);
}

TEST_CASE("nested exceptions arrive as causes, outermost first", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  auto t = h.call([](Thrower&) {
    try {
      try {
        throw std::out_of_range("root");
      } catch (...) {
        std::throw_with_nested(Unregistered("middle"));
      }
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  });
  try {
    t.get();
    FAIL("nothing was thrown");
  } catch (const std::runtime_error& e) {
    CHECK(contains(e.what(), "outer"));
    const auto* remote = dynamic_cast<const apalis::RemoteError*>(&e);
    REQUIRE(remote != nullptr);
    CHECK(contains(remote->type_name(), "runtime_error"));
    REQUIRE(remote->causes().size() == 2);
    CHECK(contains(remote->causes()[0].type, "Unregistered"));
    CHECK(remote->causes()[0].message == "middle");
    CHECK(contains(remote->causes()[1].type, "out_of_range"));
    CHECK(remote->causes()[1].message == "root");
  }
}

TEST_CASE("the library's own exceptions arrive as themselves", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  CHECK_THROWS_AS(h.call([](Thrower&) { throw apalis::Cancelled("c"); }).get(), apalis::Cancelled);
  CHECK_THROWS_AS(h.call([](Thrower&) { throw apalis::TimedOut("t"); }).get(), apalis::TimedOut);
  auto died = h.call([](Thrower&) {
    throw apalis::WorkerDied("gone", {.pid = 4, .signal = 9, .call = "f", .hint = "h"});
  });
  try {
    died.get();
    FAIL("nothing was thrown");
  } catch (const apalis::WorkerDied& e) {
    CHECK(e.pid() == 4);
    CHECK(e.signal() == 9);
    CHECK(e.exit_status() == -1);
    CHECK(e.call() == "f");
    CHECK(e.hint() == "h");
  }
  auto system = h.call([](Thrower&) { throw apalis::SystemError("s", ENOMEM); });
  try {
    system.get();
    FAIL("nothing was thrown");
  } catch (const apalis::SystemError& e) {
    CHECK(e.code() == ENOMEM);
  }
}

TEST_CASE("a worker goes on after an exception", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  for (int i = 1; i <= 200; ++i) {
    auto t = h.call([](Thrower&) { throw std::runtime_error("again"); });
    auto u = h.call(&Thrower::count);
    CHECK_THROWS_AS(t.get(), std::runtime_error);
    CHECK(u.get() == i);
  }
}

TEST_CASE("many failures may be in flight", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Thrower>(backend);
  std::vector<Token<void>> tokens;
  for (int i = 0; i < 3000; ++i)
    tokens.push_back(
        h.call([](Thrower&, int k) { throw std::out_of_range(std::to_string(k)); }, i));
  bool same = true;
  for (std::size_t i = tokens.size(); i-- > 0;) {
    try {
      tokens[i].get();
      same = false;
    } catch (const std::out_of_range& e) {
      same = same && e.what() == std::to_string(i);
    }
  }
  CHECK(same);
}

TEST_CASE("an argument that cannot be encoded fails the call at once and nothing else",
          "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Handled>(backend);
  CHECK_THROWS_AS((void)h.call(&Handled::pass, Brittle{Brittle::Point::save_in_parent}),
                  std::range_error);
  CHECK_THROWS_AS(h.post(&Handled::pass, Brittle{Brittle::Point::save_in_parent}),
                  std::range_error);
  CHECK_NOTHROW(h.call(&Handled::pass, Brittle{}).get());
  CHECK(h.get(&Handled::calls).get() == 1);
}

TEST_CASE("an argument that cannot be decoded fails its call and nothing else", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Handled>(backend);
  CHECK_THROWS_AS(h.call(&Handled::pass, Brittle{Brittle::Point::load}).get(), std::range_error);
  CHECK(h.get(&Handled::calls).get() == 0);
  CHECK_NOTHROW(h.call(&Handled::pass, Brittle{}).get());
}

TEST_CASE("a result that cannot be encoded fails its call and nothing else", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  auto h = on<Handled>(backend);
  CHECK_THROWS_AS(h.call(&Handled::pass, Brittle{Brittle::Point::save_in_child}).get(),
                  std::range_error);
  CHECK(h.get(&Handled::calls).get() == 1);
  CHECK_NOTHROW(h.call(&Handled::pass, Brittle{}).get());
}

TEST_CASE("an exception may be kept after its token and handler are gone", "[errors]") {
  const auto backend = each_backend();
  CAPTURE(backend);
  std::exception_ptr kept;
  {
    auto h = on<Thrower>(backend);
    try {
      h.call([](Thrower&) { throw std::out_of_range("kept"); }).get();
    } catch (...) {
      kept = std::current_exception();
    }
  }
  REQUIRE(kept != nullptr);
  try {
    std::rethrow_exception(kept);
  } catch (const std::out_of_range& e) {
    CHECK(std::string(e.what()) == "kept");
  }
}

TEST_CASE("the library's errors can be caught as Error and as std::runtime_error", "[errors]") {
  static_assert(std::is_base_of_v<std::runtime_error, apalis::Error>);
  static_assert(std::is_base_of_v<apalis::Error, apalis::WorkerDied>);
  static_assert(std::is_base_of_v<apalis::Error, apalis::Cancelled>);
  static_assert(std::is_base_of_v<apalis::Error, apalis::TimedOut>);
  static_assert(std::is_base_of_v<apalis::Error, apalis::BatchError>);
  static_assert(std::is_base_of_v<apalis::Error, apalis::PostError>);
  static_assert(!std::is_base_of_v<std::exception, apalis::RemoteError>);
  Token<int> empty;
  CHECK_THROWS_AS(empty.get(), apalis::Error);
  CHECK_THROWS_AS(empty.get(), std::runtime_error);
}
