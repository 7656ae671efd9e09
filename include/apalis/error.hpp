// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the library throws. Vocabulary: every room may include this header.
//
//   try { h.call(&Parser::parse, text).get(); }
//   catch (const apalis::WorkerDied& e) { log(e.pid(), e.signal()); }    // the process is gone
//   catch (const std::invalid_argument& e) {                            // parse() threw it
//     if (auto* remote = dynamic_cast<const apalis::RemoteError*>(&e)) log(remote->worker_pid());
//   }

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace apalis {

template <class R>
class Outcome;

/// Base of every failure of the library's own; what() says what happened and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The kernel refused a resource (processes, memory, descriptors); code() is its errno.
class SystemError : public Error {
 public:
  SystemError(const std::string& what, int code) : Error(what), code_(code) {}
  [[nodiscard]] int code() const noexcept { return code_; }

 private:
  int code_;
};

/// The worker's process ended before the call could complete.
class WorkerDied : public Error {
 public:
  /// How the process ended; both optional parts are 0 / -1 when they do not apply.
  struct Cause {
    pid_t pid = 0;
    int signal = 0;         ///< the signal that killed it, 0 if none
    int exit_status = -1;   ///< its exit status, -1 if it was killed or if the status is unknown
    std::string call = {};  ///< the call in progress, empty if there was none
    std::string hint = {};  ///< what may have led to it, empty if nothing is known
    /// Where it crashed, innermost first, as "module(+offset) function+offset"; empty if unknown.
    std::vector<std::string> stack = {};
  };
  WorkerDied(const std::string& what, Cause cause) : Error(what), cause_(std::move(cause)) {}

  [[nodiscard]] pid_t pid() const noexcept { return cause_.pid; }
  [[nodiscard]] int signal() const noexcept { return cause_.signal; }
  [[nodiscard]] int exit_status() const noexcept { return cause_.exit_status; }
  [[nodiscard]] const std::string& call() const noexcept { return cause_.call; }
  [[nodiscard]] const std::string& hint() const noexcept { return cause_.hint; }
  [[nodiscard]] const std::vector<std::string>& stack() const noexcept { return cause_.stack; }

 private:
  Cause cause_;
};

/// A process that takes part in a Barrier has ended: nobody waits there any more.
class BarrierBroken : public Error {
 public:
  BarrierBroken(const std::string& what, pid_t pid) : Error(what), pid_(pid) {}
  /// Of the process that has ended; 0 if that is not known any more.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_;
};

/// The call was dropped before it started: Token::cancel, or a handler destroyed by unwinding.
class Cancelled : public Error {
 public:
  using Error::Error;
};

/// A bounded wait ended first; the call goes on.
class TimedOut : public Error {
 public:
  using Error::Error;
};

/// One-way calls (post, set) failed since the last drain(); thrown by drain() and close().
class PostError : public Error {
 public:
  PostError(const std::string& what, std::size_t count, std::exception_ptr first)
      : Error(what), count_(count), first_(std::move(first)) {}
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const std::exception_ptr& first() const noexcept { return first_; }

 private:
  std::size_t count_;
  std::exception_ptr first_;
};

/// At least one call of a batch failed. The results of the others are in outcomes<R>().
class BatchError : public Error {
 public:
  template <class R>
  BatchError(const std::string& what, std::size_t failures, std::vector<Outcome<R>> outcomes)
      : Error(what),
        failures_(failures),
        outcomes_(std::make_shared<std::vector<Outcome<R>>>(std::move(outcomes))),
        type_(&typeid(R)) {}

  /// How many of the batch's calls failed.
  [[nodiscard]] std::size_t failures() const noexcept { return failures_; }

  /// Every outcome in the order of the calls. R is the batch's result type; throws
  /// std::invalid_argument for another one.
  template <class R>
  [[nodiscard]] const std::vector<Outcome<R>>& outcomes() const {
    if (*type_ != typeid(R))
      throw std::invalid_argument(
          "BatchError::outcomes<R>: R is not the result type of this batch");
    return *static_cast<const std::vector<Outcome<R>>*>(outcomes_.get());
  }

 private:
  std::size_t failures_;
  std::shared_ptr<const void> outcomes_;
  const std::type_info* type_;  // of R
};

/// Some items of an Engine's map failed. cause() is what they threw, or a WorkerDied: then it is one
/// of them, or more, that ended the worker.
class MapError : public Error {
 public:
  MapError(const std::string& what, std::uint64_t first, std::uint64_t last,
           std::exception_ptr cause)
      : Error(what), first_(first), last_(last), cause_(std::move(cause)) {}

  /// The item's index; the first of several.
  [[nodiscard]] std::uint64_t index() const noexcept { return first_; }
  /// The last one's; most often the same.
  [[nodiscard]] std::uint64_t last_index() const noexcept { return last_; }
  [[nodiscard]] const std::exception_ptr& cause() const noexcept { return cause_; }

 private:
  std::uint64_t first_;
  std::uint64_t last_;
  std::exception_ptr cause_;
};

/// Mixin of every exception that was thrown in a worker and is rethrown here. It is not derived
/// from std::exception, so that `catch (const std::exception&)` stays unambiguous.
class RemoteError {
 public:
  /// One link of the chain that std::throw_with_nested made, outermost first.
  struct Cause {
    std::string type;
    std::string message;
  };
  struct Origin {
    std::string type;           ///< the exception's type as written in the source
    std::string message;        ///< its what(), empty if it has none
    std::vector<Cause> causes;  ///< nested exceptions, outermost first
    pid_t worker_pid = 0;
    std::string where;  ///< the call that threw it, empty if unknown
  };
  explicit RemoteError(Origin origin);
  RemoteError(const RemoteError&) noexcept = default;
  RemoteError& operator=(const RemoteError&) noexcept = default;
  virtual ~RemoteError() = default;

  [[nodiscard]] const std::string& type_name() const noexcept { return origin_->type; }
  [[nodiscard]] const std::string& message() const noexcept { return origin_->message; }
  [[nodiscard]] const std::vector<Cause>& causes() const noexcept { return origin_->causes; }
  [[nodiscard]] pid_t worker_pid() const noexcept { return origin_->worker_pid; }
  [[nodiscard]] const std::string& where() const noexcept { return origin_->where; }

 private:
  std::shared_ptr<const Origin> origin_;  // shared: copying an exception must not throw
};

}  // namespace apalis
