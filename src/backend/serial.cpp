// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>
#include <unistd.h>

#include <apalis/backend/serial.hpp>
#include <apalis/detail/actor/state.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <cstdio>
#include <cstring>

namespace apalis::detail::backend {
namespace {

using actor::Reply;

constexpr auto no_limits =
    "apalis: the serial backend runs calls in this very process and can't end one that takes too "
    "long: use Backend::processes, or leave the timeout out";

}  // namespace

Link* SerialLink::open(const Options& options, Maker& maker) {
  return new SerialLink(options, maker);
}

SerialLink::SerialLink(const Options& options, Maker& maker)
    : LockedSource(options), residence_(maker.of_many), destroy_(maker.destroy) {
  if (options.timeout.count() > 0) throw Error(no_limits);
  const char* where = "on_worker_start";
  try {
    if (options.on_worker_start) options.on_worker_start();
    where = "the object's constructor";
    residence_.settle(maker.make());
  } catch (...) {
    wire::Buffer encoded;
    wire::encode_current_exception(encoded, where);
    wire::Reader reader{encoded.bytes()};
    construction_error_ = wire::decode_exception(reader, ::getpid());
  }
}

SerialLink::~SerialLink() {
  destroy();
}

void SerialLink::require_open() const {
  if (!open_)
    throw Error(fmt::format("apalis: handler '{}' is closed: calls must come before close()",
                            options().name));
}

void SerialLink::publish(const wire::Buffer& message, State& state) {
  const CallLock lock{calls_};
  require_open();
  if (state.timeout.count() != 0) throw Error(no_limits);
  if (construction_error_ != nullptr) {
    state.store_error(construction_error_);
  } else {
    wire::Buffer result;
    Reply kind = Reply::value;
    try {
      residence_.invoke(message.bytes(), result);
    } catch (...) {
      kind = Reply::exception;
      result.clear();
      wire::encode_current_exception(result, actor::called_entry(message.bytes()).name);
    }
    actor::keep_reply(state, kind, result);
  }
  state.set_phase(State::Phase::settled);
}

void SerialLink::post(const wire::Buffer& message) {
  CallLock lock{calls_};
  require_open();
  wire::Buffer scratch;
  try {
    if (construction_error_ != nullptr) std::rethrow_exception(construction_error_);
    residence_.invoke(message.bytes(), scratch);
    return;
  } catch (...) {
    ++failed_posts_;
    scratch.clear();
    wire::encode_current_exception(scratch, actor::called_entry(message.bytes()).name);
    failures_.note(scratch.bytes());
  }
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
