// SPDX-License-Identifier: BSL-1.0
#include "errors.hpp"

#include <apalis/error.hpp>
#include <apalis/register_exception.hpp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "exceptions.hpp"

namespace apalis::fuzz {
namespace {

// Keeps what is read from being optimised away.
volatile std::size_t sink = 0;

void read(const std::string& text) {
  sink = sink + text.size() + std::strlen(text.c_str());
}

void examine_one(const std::exception& e) {
  read(e.what());
  if (const auto* remote = dynamic_cast<const RemoteError*>(&e)) {
    read(remote->type_name());
    read(remote->message());
    read(remote->where());
    for (const auto& cause : remote->causes()) read(cause.type + cause.message);
  }
  if (const auto* system = dynamic_cast<const std::system_error*>(&e))
    read(system->code().message());
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&e))
    read(file->path1().string() + file->path2().string());
  if (const auto* died = dynamic_cast<const WorkerDied*>(&e)) read(died->call() + died->hint());
  if (const auto* post = dynamic_cast<const PostError*>(&e)) examine(post->first());
}

}  // namespace

void examine(const std::exception_ptr& error) {
  std::exception_ptr next = error;
  while (next != nullptr) {
    try {
      std::rethrow_exception(std::exchange(next, nullptr));
    } catch (const std::exception& e) {
      examine_one(e);
      if (const auto* nesting = dynamic_cast<const std::nested_exception*>(&e))
        next = nesting->nested_ptr();
    } catch (...) {
      sink = sink + 1;
    }
  }
}

void require_known_error() {
  try {
    throw;
  } catch (const Error&) {
    examine(std::current_exception());
  } catch (const std::bad_alloc&) {
    sink = sink + 1;
  } catch (const std::invalid_argument& e) {
    examine_one(e);  // a std::bitset's own
  } catch (const std::exception& e) {
    std::fprintf(stderr, "decoding threw what nobody is told of: %s\n", e.what());
    std::abort();
  }
}

void register_exceptions() {
  static const bool once = [] {
    register_exception<Registered>();
    register_exception<ByText>();
    return true;
  }();
  sink = sink + (once ? 1 : 0);
}

}  // namespace apalis::fuzz
