// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <apalis/detail/actor/obituary.hpp>
#include <apalis/detail/sys/code_names.hpp>
#include <apalis/error.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace apalis::detail::actor {
namespace {

using sys::CrashReport;

std::string how_it_ended(const sys::ExitStatus& status) {
  if (!status.known)
    return "ended (how, is unknown: this program reaps every child itself, or ignores SIGCHLD)";
  if (status.signal != 0)
    return fmt::format("was killed by signal {} ({})", status.signal,
                       sys::signal_name(status.signal));
  return fmt::format("exited with status {}", status.status);
}

/// The report, unless it tells of another end than the kernel does.
std::optional<CrashReport> report_of(const Death& death) {
  auto report = sys::checked(death.report);
  if (report && death.status.known && report->signal != death.status.signal) return std::nullopt;
  return report;
}

/// "integer division by zero": what the kernel says made the signal, empty if that is plain.
const char* cause_of(const CrashReport& report) noexcept {
  switch (report.signal) {
    case SIGFPE:
      if (report.code == FPE_INTDIV) return "integer division by zero";
      if (report.code == FPE_INTOVF) return "integer overflow";
      if (report.code > 0) return "floating-point exception";
      break;
    case SIGILL:
      if (report.code > 0) return "no instruction of this processor";
      break;
    case SIGBUS:
      if (report.code == BUS_ADRALN) return "misaligned access";
      if (report.code == BUS_ADRERR) return "access beyond the end of a mapped file";
      break;
    case SIGSEGV:
      if (report.has(CrashReport::overflow)) return "stack overflow";
      if (report.code == SEGV_ACCERR) return "forbidden access";
      if (report.code == SI_KERNEL) return "access to an impossible address";
      break;
    default:
      break;
  }
  return "";
}

/// Puts `part` behind what is there.
void add(std::string& text, std::string_view part, std::string_view separator = ", ") {
  if (!text.empty() && !part.empty()) text += separator;
  text += part;
}

std::string clue(const CrashReport& report, bool status_known) {
  std::string text;
  if (!status_known)
    text = fmt::format("by its own account signal {} ({})", report.signal,
                       sys::signal_name(report.signal));
  add(text, cause_of(report));
  if (report.has(CrashReport::has_address)) {
    add(text,
        report.signal == SIGSYS ? fmt::format("system call {} refused", report.address)
                                : fmt::format("at address {:#x}", report.address),
        report.has(CrashReport::overflow) || cause_of(report)[0] != '\0' ? " " : ", ");
  }
  if (report.sender != 0) add(text, fmt::format("sent by process {}", report.sender));
  if (report.has(CrashReport::other_thread))
    add(text, fmt::format("in thread {} of the worker", report.thread));
  return text;
}

/// What may have sent a SIGKILL that this library did not.
const char* killer(sys::OomWatch& watch) {
  switch (watch.judge()) {
    case sys::OomVerdict::likely:
      return "most likely the kernel's out-of-memory killer ended it: it has just counted a victim "
             "in this control group";
    case sys::OomVerdict::possible:
      return "perhaps the kernel's out-of-memory killer ended it: it has just counted a victim on "
             "this machine";
    case sys::OomVerdict::no:
      break;
  }
  return "";
}

std::string hint(const Death& death, const std::optional<CrashReport>& report) {
  std::string text = death.reason;
  if (report) {
    add(text, clue(*report, death.status.known), "; ");
  } else if (sys::is_missing(death.report, death.status.signal)) {
    add(text,
        "it could not say where: a thread that overflows its own stack can't, nor can a signal "
        "that is blocked",
        "; ");
  } else if (death.status.signal == SIGKILL && !death.killed_by_us && death.oom != nullptr) {
    add(text, killer(*death.oom), "; ");
  }
  return text;
}

}  // namespace

std::exception_ptr obituary(Death death) {
  const auto report = report_of(death);
  const bool exited = death.status.known && death.status.signal == 0;
  WorkerDied::Cause cause{.pid = death.pid,
                          .signal = death.status.signal,
                          .exit_status = exited ? death.status.status : -1,
                          .call = {},
                          .hint = hint(death, report),
                          .stack = {}};
  auto what = fmt::format("apalis: worker '{}' (pid {}) {}", death.worker, death.pid,
                          how_it_ended(death.status));
  if (!death.call.empty()) what += " during " + death.call;
  if (!death.contents.empty()) what += fmt::format(", and with it its {}", death.contents);
  if (!cause.hint.empty()) what += ": " + cause.hint;
  if (report && death.code != nullptr) {
    auto names = sys::code_names(std::span{report->stack, report->frames}, *death.code);
    // What the processor or the kernel caught happened right there; else the top is raise(). After
    // a call to where no code is, the caller is the next.
    if (report->code > 0)
      for (const auto& name : std::span{names}.first(std::min<std::size_t>(names.size(), 2)))
        if (!name.function.empty()) {
          what += ", in " + name.function;
          break;
        }
    cause.stack.reserve(names.size());
    for (auto& name : names) cause.stack.push_back(std::move(name.text));
  }
  cause.call = std::move(death.call);
  return std::make_exception_ptr(WorkerDied(what, std::move(cause)));
}

}  // namespace apalis::detail::actor
