// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is told of a worker that died: everything a WorkerDied says is put together here.

#include <sys/types.h>

#include <apalis/detail/sys/crash_report.hpp>
#include <apalis/detail/sys/modules.hpp>
#include <apalis/detail/sys/oom.hpp>
#include <apalis/detail/sys/process.hpp>
#include <exception>
#include <string>
#include <string_view>

namespace apalis::detail::actor {

/// What is known of a death.
struct Death {
  std::string_view worker;  // the handler's name
  pid_t pid = 0;
  sys::ExitStatus status;
  std::string_view contents;  // as Maker::contents()
  std::string call;         // in progress; empty: none was
  std::string reason;       // why this library ended it, or what it found wrong; empty: nothing
  bool killed_by_us = false;
  sys::CrashReport report;  // a copy of what the worker left: not trusted
  const sys::ModuleMap* code = nullptr;  // that the worker shared with us; null: names no addresses
  sys::OomWatch* oom = nullptr;          // asked about a SIGKILL of unknown origin; null: nobody is
};

/// The WorkerDied for it. Throws bad_alloc.
[[nodiscard]] std::exception_ptr obituary(Death death);

}  // namespace apalis::detail::actor
