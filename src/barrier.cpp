// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/backend/serial.hpp>
#include <apalis/barrier.hpp>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <utility>

namespace apalis {

using detail::channel::Meeting;

Barrier::Barrier(std::size_t participants) {
  if (participants == 0 || participants > Meeting::most_expected)
    throw Error(fmt::format("apalis: a Barrier is for 1 to {} participants, not for {}",
                            Meeting::most_expected, participants));
  block_ = detail::channel::make_block(Meeting::bytes_for(participants));
  meeting_ = Meeting{block_->bytes()};
  meeting_.begin(participants, detail::sys::usable_cores());
  enter(false);
}

Barrier::Barrier(const Barrier& other) : block_(other.block_), meeting_(other.meeting_) {
  enter(other.block_.get() != block_.get());
}

Barrier::Barrier(Barrier&& other) noexcept
    : block_(std::move(other.block_)), meeting_(std::exchange(other.meeting_, Meeting{})) {}

Barrier& Barrier::operator=(Barrier other) noexcept {
  std::swap(block_, other.block_);
  std::swap(meeting_, other.meeting_);
  return *this;
}

/// A worker that lets go of it without ever having arrived may end as it likes.
Barrier::~Barrier() {
  const auto* const block = block_.get();
  if (block != nullptr && block->is_here() && !block->is_own() && block->is_last_reference())
    meeting_.excuse(detail::sys::own_incarnation());
}

/// `by_fork`: this process was given it by no message.
void Barrier::enter(bool by_fork) const noexcept {
  if (block_.get() == nullptr) return;
  block_->mark(detail::channel::BlockUse::barrier);
  if (by_fork) meeting_.invite(detail::sys::own_incarnation());
}

// --- Arriving ------------------------------------------------------------------------------------

void Barrier::arrive_and_wait() const {
  (void)arrive({});
}

bool Barrier::wait_for(std::chrono::nanoseconds limit) const {
  return arrive({.limit = limit});
}

void Barrier::arrive_and_drop() const {
  (void)arrive({.for_good = true});
}

/// False if it was too late.
bool Barrier::arrive(const Meeting::Manner& how) const {
  const Meeting& here = meeting();
  auto manner = how;
  manner.may_wait = !detail::backend::in_serial_call();
  switch (here.arrive(manner)) {
    case Meeting::Result::complete:
      return true;
    case Meeting::Result::late:
      return false;
    case Meeting::Result::refused:
      throw Error(
          "apalis: a call of the serial backend can't wait at a Barrier: it runs in its caller, "
          "and the others arrive only after it has returned; use Backend::processes or "
          "Backend::threads, or a Barrier for 1");
    case Meeting::Result::deserted:
      throw Error("apalis: all participants of this Barrier have dropped out");
    case Meeting::Result::no_places:
      throw Error("apalis: far more processes have arrived at this Barrier than it is for");
    case Meeting::Result::broken:
      break;
  }
  const auto pid = here.lost();
  throw BarrierBroken(
      fmt::format("apalis: this Barrier is broken: {} that takes part has ended; make another one",
                  pid != 0 ? fmt::format("the process {}", pid) : "a process"),
      pid);
}

const Meeting& Barrier::meeting() const {
  if (!meeting_.exists())
    throw Error("apalis: this Barrier is none: it was made without a number, or moved from");
  detail::channel::require_block(block_);
  return meeting_;
}

std::size_t Barrier::participants() const {
  return meeting().expected();
}

bool Barrier::broken() const {
  return meeting().is_broken();
}

// --- How it crosses ------------------------------------------------------------------------------

Barrier::Barrier(detail::wire::Reader& reader) {
  detail::channel::BlockName name;
  reader.read(&name, sizeof name);
  if (name.table == 0) return;
  block_ = detail::channel::find_block(name);
  // A worker's reply may name anything that its parent has.
  const auto memory = block_->bytes();
  if (reinterpret_cast<std::uintptr_t>(memory.data()) != name.address() ||
      memory.size() != name.bytes || name.bytes < Meeting::bytes_for(1) ||
      (block_->is_own() && !block_->is_meeting()))
    throw detail::wire::Malformed("malformed message: it names a Barrier that is none");
  meeting_ = Meeting{memory};
  enter(false);
}

void Barrier::write_name(detail::wire::Buffer& buffer) const {
  detail::channel::BlockName name;
  if (block_.get() != nullptr) name = name_block(block_, block_->bytes(), buffer);
  buffer.append(&name, sizeof name);
}

}  // namespace apalis
