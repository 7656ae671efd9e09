// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/detail/sys/log_line.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

namespace apalis {
namespace {

struct Current {
  std::mutex mutex;
  std::shared_ptr<const LogHook> hook;  // shared: it may be replaced while a thread is in it
};

// A fork has none of the parent's: it would write to the parent's files from another process.
constinit detail::sys::PerProcess<Current> current;

}  // namespace

LogHook set_log_hook(LogHook hook) {
  auto fresh = hook ? std::make_shared<const LogHook>(std::move(hook)) : nullptr;
  Current& here = current.get();
  const std::lock_guard lock{here.mutex};
  const auto before = std::exchange(here.hook, std::move(fresh));
  return before != nullptr ? *before : LogHook{};
}

void detail::sys::log(LogLevel level, std::string_view text) noexcept {
  try {
    std::shared_ptr<const LogHook> hook;
    {
      Current& here = current.get();
      const std::lock_guard lock{here.mutex};
      hook = here.hook;
    }
    if (hook != nullptr) {
      (*hook)(level, text);
    } else if (level == LogLevel::warning) {
      fmt::print(stderr, "{}\n", text);
    }
  } catch (...) {  // stderr is closed, or memory is short: there is no third way
  }
}

}  // namespace apalis
