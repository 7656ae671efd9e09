// SPDX-License-Identifier: BSL-1.0

// Writes inputs that get deep: the encodings of every type's example, as reply_bytes and reply_lane
// want them.
//
//   fuzz_make_seeds <folder>    # makes a folder in it for each target

#include <apalis/detail/actor/protocol.hpp>
#include <apalis/detail/sys/crash_report.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/error.hpp>
#include <apalis/register_exception.hpp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <ios>
#include <regex>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "blocks.hpp"
#include "errors.hpp"
#include "exceptions.hpp"
#include "values.hpp"

namespace {

namespace fs = std::filesystem;
using apalis::detail::actor::Answer;
using apalis::detail::wire::Buffer;
using namespace apalis::fuzz;

using Bytes = std::vector<std::uint8_t>;

class Seeds {
 public:
  explicit Seeds(fs::path root) : root_(std::move(root)) {
    for (const char* target : {"crash_report", "reply_bytes", "reply_lane", "reply_race"})
      fs::create_directories(root_ / target);
  }

  /// `type` as reply_bytes counts: 0xff for an exception.
  void add(std::uint8_t type, const Buffer& encoded, const std::string& name) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(encoded.data());
    Bytes bytes(data, data + encoded.size());
    Blocks::here().make_script(std::as_writable_bytes(std::span(bytes)));
    Bytes alone{type};
    alone.insert(alone.end(), bytes.begin(), bytes.end());
    write("reply_bytes", name, alone);
    if (bytes.size() > 255) return;
    // call(type) send(answer, bytes) take look; see the targets' steps.
    const auto answer = static_cast<std::uint8_t>(type == 0xff ? Answer::exception : Answer::value);
    const Bytes before{0, type, 0};
    Bytes script = before;
    script.insert(script.end(), {10, answer, static_cast<std::uint8_t>(bytes.size())});
    script.insert(script.end(), bytes.begin(), bytes.end());
    script.insert(script.end(), {2, 3});
    write("reply_lane", name, script);
    if (!encoded.holds().empty()) add_named(type, bytes, name);
    Bytes race(8, type);
    race.insert(race.end(), {0, answer, static_cast<std::uint8_t>(bytes.size())});
    race.insert(race.end(), bytes.begin(), bytes.end());
    write("reply_race", name, race);
  }

  /// Of a child that crashed at `address`.
  void add_report(std::int32_t signal, std::int32_t code, std::uint64_t address) const {
    apalis::detail::sys::CrashReport report;
    report.state = apalis::detail::sys::CrashReport::is_written;
    report.armed = ~std::uint32_t{0};
    report.signal = signal;
    report.code = code;
    report.flags = apalis::detail::sys::CrashReport::has_address;
    report.address = address;
    report.frames = 3;
    for (auto& frame : report.stack) frame = reinterpret_cast<std::uintptr_t>(&register_exceptions);
    Bytes bytes{1, static_cast<std::uint8_t>(signal)};
    const auto* data = reinterpret_cast<const std::uint8_t*>(&report);
    bytes.insert(bytes.end(), data, data + sizeof report);
    write("crash_report", "signal_" + std::to_string(signal), bytes);
  }

  template <class T>
  void add_batch(std::uint8_t type, const T& value, const std::string& name) {
    using apalis::detail::wire::encode;
    Buffer outcomes;
    for (int i = 0; i < 3; ++i) {
      *outcomes.grow(1) = std::byte{0};
      encode(outcomes, value);
    }
    add(static_cast<std::uint8_t>(0x80 + type), outcomes, name + "_batch");
  }

  template <class E>
  void add_thrown(const E& e, const std::string& name) {
    Buffer plain;
    Buffer nested;
    try {
      throw e;
    } catch (...) {
      apalis::detail::wire::encode_current_exception(plain, "Counter::add");
    }
    try {
      try {
        throw std::out_of_range("cause");
      } catch (...) {
        std::throw_with_nested(e);
      }
    } catch (...) {
      apalis::detail::wire::encode_current_exception(nested, "");
    }
    add(0xff, plain, name);
    add(0xff, nested, name + "_nested");
    const std::uint64_t size = nested.size();
    Buffer outcomes;
    for (int i = 0; i < 3; ++i) {
      *outcomes.grow(1) = std::byte{1};
      outcomes.append(&size, sizeof size);
      outcomes.append(nested.data(), nested.size());
    }
    add(0x83, outcomes, name + "_batch");
  }

 private:
  /// The same with its names behind it, as a worker sends it, among what may happen to its blocks.
  void add_named(std::uint8_t type, const Bytes& bytes, const std::string& name) const {
    // call(type) lend(new) send_named(bytes, a few names) drop_lent write_held take look
    Bytes script{0, type, 0, 8, 0x80, 21, static_cast<std::uint8_t>(bytes.size())};
    script.insert(script.end(), bytes.begin(), bytes.end());
    script.insert(script.end(), {6, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0});
    script.insert(script.end(), {9, 0, 22, 48, 1, 0, 0, 0, 2, 3});
    write("reply_lane", name + "_named", script);
  }

  void write(const char* target, const std::string& name, const Bytes& bytes) const {
    std::ofstream file(root_ / target / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file) throw std::runtime_error("can't write " + (root_ / target / name).string());
  }

  fs::path root_;
};

void write_all(const char* folder) {
  register_exceptions();
  Seeds seeds{folder};
  for_each_example([&](std::size_t index, const auto& value) {
    Buffer buffer;
    apalis::detail::wire::encode(buffer, value);
    const auto type = static_cast<std::uint8_t>(index);
    const auto name = "value_" + std::to_string(index);
    seeds.add(type, buffer, name);
    seeds.add_batch(type, value, name);
  });
  seeds.add_thrown(std::runtime_error("runtime"), "runtime_error");
  seeds.add_thrown(std::system_error(2, std::generic_category(), "opening"), "system_error");
  seeds.add_thrown(std::ios_base::failure("reading"), "ios_failure");
  seeds.add_thrown(std::filesystem::filesystem_error("moving", "/a", "/b",
                                                     std::make_error_code(std::errc::file_exists)),
                   "filesystem_error");
  seeds.add_thrown(std::future_error(std::future_errc::no_state), "future_error");
  seeds.add_thrown(std::regex_error(std::regex_constants::error_brace), "regex_error");
  seeds.add_thrown(apalis::WorkerDied("died", {.pid = 1, .signal = 9, .call = "c", .hint = "h"}),
                   "worker_died");
  seeds.add_thrown(ByText("text"), "by_text");
  for (const int signal : {SIGSEGV, SIGFPE, SIGBUS, SIGILL, SIGSYS, SIGABRT, SIGKILL})
    seeds.add_report(signal, 1, 0xdead);
  Registered registered;
  registered.record = {"name", {{1, 2, 3}}, {{1, "one"}}};
  seeds.add_thrown(registered, "registered");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  write_all(argv[1]);
  return 0;
}
