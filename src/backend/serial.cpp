// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <apalis/backend/registry.hpp>
#include <apalis/backend/serial.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <utility>

namespace apalis::detail::backend {
namespace {

using actor::Reply;

constexpr auto no_limits =
    "apalis: the serial backend runs calls in this very process and can't end one that takes too "
    "long: use Backend::processes, or leave the timeout out";

constinit thread_local int calls_here = 0;

struct InCall {
  InCall() noexcept { ++calls_here; }
  InCall(const InCall&) = delete;
  InCall& operator=(const InCall&) = delete;
  ~InCall() { --calls_here; }
};

}  // namespace

bool in_serial_call() noexcept { return calls_here > 0; }

Link* SerialLink::open(const Options& options, Maker& maker) {
  return new SerialLink(options, maker);
}

SerialLink::SerialLink(const Options& options, Maker& maker)
    : LockedSource(options), residence_(maker.of_many), destroy_(maker.destroy) {
  if (options.timeout.count() > 0) throw Error(no_limits);
  const InCall in_call;
  construction_error_ =
      residence_.move_in_here(maker, {preparation(options.backend), &options.on_worker_start});
}

SerialLink::~SerialLink() {
  destroy();
}

void SerialLink::require_open() const {
  if (!open_) refuse_closed();
}

void SerialLink::publish(const wire::Buffer& message, State& state) {
  const CallLock lock{calls_};
  require_open();
  if (state.timeout.count() != 0) throw Error(no_limits);
  if (construction_error_ != nullptr) {
    state.store_error(construction_error_);
  } else {
    wire::Buffer result;
    const InCall in_call;
    const bool returned = residence_.run(message.bytes(), result);
    actor::keep_reply(state, returned ? Reply::value : Reply::exception, result);
  }
  state.set_phase(State::Phase::settled);
}

void SerialLink::post(const wire::Buffer& message) {
  CallLock lock{calls_};
  require_open();
  wire::Buffer scratch;
  {
    const InCall in_call;
    if (actor::run_here(residence_, construction_error_, message.bytes(), scratch)) return;
  }
  ++failed_posts_;
  failures_.note(scratch.bytes());
  if (failures_.has_unreported() && options().on_error) {
    const auto error = failures_.report(pid());
    lock.unlock();
    call_hook(error);
  }
}

// Every state is settled by publish().
bool SerialLink::drive(const Until& /*until*/, Deadline /*deadline*/) {
  return true;
}
bool SerialLink::cancel(State& /*state*/, Cancel /*how*/) {
  return false;
}
std::exception_ptr SerialLink::take_failures() {
  return failures_.take(std::exchange(failed_posts_, 0), pid(), options().name);
}

void SerialLink::drain() {
  const CallLock lock{calls_};
  require_open();
  if (const auto error = take_failures()) std::rethrow_exception(error);
}

void SerialLink::close() {
  const CallLock lock{calls_};
  if (!std::exchange(open_, false)) return;
  destroy();
  if (const auto error = take_failures()) std::rethrow_exception(error);
}

void SerialLink::shut(bool /*discard*/, Deadline /*deadline*/) noexcept {
  try {
    close();
  } catch (...) {
    report_lost(std::current_exception());
  }
}

void SerialLink::kill() {
  throw Error(
      "apalis: the serial backend runs calls in this very process and can't kill them: use "
      "Backend::processes, or close()");
}

bool SerialLink::alive() {
  const CallLock lock{calls_};
  return open_;
}

pid_t SerialLink::pid() const noexcept {
  return ::getpid();
}

void SerialLink::destroy() noexcept {
  if (void* const object = residence_.vacate()) destroy_(object);
}

}  // namespace apalis::detail::backend
