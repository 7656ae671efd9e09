// SPDX-License-Identifier: BSL-1.0
// What a child shows and writes: its name, its buffered output, and no handler of its parent's.
#include <fcntl.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

#include "host.hpp"
#include "support/catch.hpp"

using apalis::Handler;

// In no namespace: its name is part of the test.
struct Counter {
  int total = 0;
  int add(int x) { return total += x; }
};

namespace shop {
struct TillOfTheSecondFloor {
  int total = 0;
  int add(int x) { return total += x; }
};
}  // namespace shop

namespace {

std::string comm_of(pid_t pid) {
  std::string text = read_file("/proc/" + std::to_string(pid) + "/comm");
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// The command line as ps shows it: the first argument.
std::string title_of(pid_t pid) {
  const std::string all = read_file("/proc/" + std::to_string(pid) + "/cmdline");
  return all.substr(0, all.find('\0'));
}

struct Printer {
  void by_printf(const std::string& text) { std::printf("%s", text.c_str()); }
  void by_cout(const std::string& text) { std::cout << text; }
  void by_cerr(const std::string& text) { std::cerr << text; }
  void by_clog(const std::string& text) { std::clog << text; }
};

struct FileWriter {
  std::ofstream file;
  explicit FileWriter(const std::string& path) : file(path, std::ios::app) {}
  void write(const std::string& text) { file << text; }
};

// Sends the standard output of the calling process to a file, fully buffered.
void redirect(int descriptor, const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  expect(file >= 0, "opening the scratch file");
  expect(::dup2(file, descriptor) == descriptor, "dup2");
  ::close(file);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++n;
  return n;
}

std::string marks_path;  // of the atexit handler below
void leave_a_mark() {
  const int file = ::open(marks_path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file < 0 || ::write(file, "x", 1) != 1) ::abort();
  ::close(file);
}

}  // namespace

TEST_CASE("children are named after their object in ps and top", "[image]") {
  Handler<Counter> h;
  h.call(&Counter::add, 1).get();
  CHECK(comm_of(h.pid()) == "apalis: Counter");
  CHECK(title_of(h.pid()) == "apalis: Counter");
  CHECK(comm_of(::getpid()) != "apalis: Counter");
}

TEST_CASE("long names are cut in comm and whole in the command line", "[image]") {
  Handler<shop::TillOfTheSecondFloor> h;
  h.call(&shop::TillOfTheSecondFloor::add, 1).get();
  const std::string title = title_of(h.pid());
  CHECK(title.starts_with("apalis: "));
  CHECK(title.ends_with("TillOfTheSecondFloor"));
  CHECK(comm_of(h.pid()) == title.substr(0, 15));
}

TEST_CASE("the name option names the child", "[image]") {
  Handler<Counter> h{{.name = "till"}, std::in_place, 0};
  h.call(&Counter::add, 1).get();
  CHECK(comm_of(h.pid()) == "apalis: till");
  CHECK(title_of(h.pid()) == "apalis: till");
}

TEST_CASE("the parent keeps its name, arguments and environment", "[image]") {
  const std::string before = read_file("/proc/self/cmdline");
  const char* path = std::getenv("PATH");
  const std::string environment = path == nullptr ? "" : path;
  Handler<Counter> h{{.name = std::string(500, 'n')}, std::in_place, 0};
  h.call(&Counter::add, 1).get();
  CHECK(read_file("/proc/self/cmdline") == before);
  CHECK((path == nullptr ? "" : std::string(path)) == environment);
  CHECK(h.call([](Counter&) {
           const char* inside = std::getenv("PATH");
           return std::string(inside == nullptr ? "" : inside);
         }).get() == environment);
}

TEST_CASE("what the parent has buffered is written once", "[image]") {
  const ScratchFile out;
  const ScratchFile other;
  const bool by_destructor = GENERATE(true, false);
  CAPTURE(by_destructor);
  Host host([&](Host::Side&) {
    redirect(1, out.path());
    std::printf("parent-printf;");
    std::cout << "parent-cout;";
    std::ofstream file(other.path(), std::ios::app);
    file << "parent-file;";
    std::FILE* stdio = std::fopen(other.path().c_str(), "a");
    std::fputs("parent-stdio;", stdio);
    {
      Handler<Printer> h;
      h.call([](Printer&) {}).get();
      if (!by_destructor) h.close();
    }
    std::fclose(stdio);
    file.close();
    std::cout.flush();
    std::fflush(stdout);
    return 0;
  });
  CHECK(host.status() == 0);
  CHECK(count(out.content(), "parent-printf;") == 1);
  CHECK(count(out.content(), "parent-cout;") == 1);
  CHECK(count(other.content(), "parent-file;") == 1);
  CHECK(count(other.content(), "parent-stdio;") == 1);
}

TEST_CASE("what the child has buffered is written once when it ends", "[image]") {
  const ScratchFile out;
  const ScratchFile err;
  const bool by_destructor = GENERATE(true, false);
  const bool unsynced = GENERATE(true, false);
  CAPTURE(by_destructor, unsynced);
  Host host([&](Host::Side&) {
    redirect(1, out.path());
    redirect(2, err.path());
    if (unsynced) std::ios::sync_with_stdio(false);
    std::printf("before;");
    {
      Handler<Printer> h;
      h.call(&Printer::by_printf, "child-printf;").get();
      h.call(&Printer::by_cout, "child-cout;").get();
      h.call(&Printer::by_cerr, "child-cerr;").get();
      h.call(&Printer::by_clog, "child-clog;").get();
      if (!by_destructor) h.close();
    }
    std::printf("after;");
    std::cout << "parent-cout;";
    std::cout.flush();
    return 0;
  });
  CHECK(host.status() == 0);
  const std::string text = out.content();
  CAPTURE(text);
  CHECK(count(text, "child-printf;") == 1);
  CHECK(count(text, "child-cout;") == 1);
  CHECK(count(text, "before;") == 1);
  CHECK(count(text, "after;") == 1);
  CHECK(count(text, "parent-cout;") == 1);
  CHECK(count(err.content(), "child-cerr;") == 1);
  CHECK(count(err.content(), "child-clog;") == 1);
}

TEST_CASE("a file that the object owns is flushed by the object's destructor", "[image]") {
  const ScratchFile out;
  {
    Handler<FileWriter> h{std::in_place, out.path()};
    for (int i = 0; i < 100; ++i) h.post(&FileWriter::write, "line\n");
  }
  CHECK(count(out.content(), "line\n") == 100);
}

TEST_CASE("the parent's atexit handlers run once, in the parent", "[image]") {
  const ScratchFile marks;
  Host host([&](Host::Side&) -> int {
    marks_path = marks.path();
    std::atexit(leave_a_mark);
    {
      Handler<Counter> closed;
      closed.call(&Counter::add, 1).get();
      closed.close();
      Handler<Counter> destroyed;
      destroyed.call(&Counter::add, 1).get();
      Handler<Counter> killed;
      killed.call(&Counter::add, 1).get();
      killed.kill();
    }
    expect(marks.content().empty(), "a child ran the parent's atexit handler");
    // Only this handler: those of the test framework are not the host's to run.
    leave_a_mark();
    return 0;
  });
  CHECK(host.status() == 0);
  CHECK(marks.content() == "x");
}

TEST_CASE("exit() in a call runs no atexit handler of the parent", "[image]") {
  const ScratchFile marks;
  Host host([&](Host::Side&) -> int {
    marks_path = marks.path();
    std::atexit(leave_a_mark);
    Handler<Counter> h;
    try {
      h.call([](Counter&) { std::exit(5); }).get();
      return 1;
    } catch (const apalis::WorkerDied& e) {
      expect(e.exit_status() == 5, "the status got lost");
    }
    return 0;
  });
  CHECK(host.status() == 0);
  CHECK(marks.content().empty());
}

TEST_CASE("exit() in a call runs the atexit handlers that the object added", "[image]") {
  const ScratchFile marks;
  Host host([&](Host::Side&) -> int {
    marks_path = marks.path();
    Handler<Counter> h;
    try {
      h.call([](Counter&) {
         std::atexit(leave_a_mark);
         std::exit(5);
       }).get();
      return 1;
    } catch (const apalis::WorkerDied&) {
    }
    return 0;
  });
  CHECK(host.status() == 0);
  CHECK(marks.content() == "x");
}
