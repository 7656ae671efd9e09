// SPDX-License-Identifier: BSL-1.0
#pragma once

// A parent that reads and writes a slice whose child may do anything.

#include <apalis/detail/actor/inbox.hpp>
#include <apalis/detail/channel/block_ledger.hpp>
#include <apalis/detail/channel/lane.hpp>
#include <apalis/detail/channel/sender.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "blocks.hpp"
#include "calls.hpp"

namespace apalis::fuzz {

/// What a ProcessLink does, without process, lock or sleep.
class Parent {
 public:
  explicit Parent(const detail::channel::SliceView& view)
      : control_(view.control), sender_(view.requests, true), inbox_(view.replies) {
    inbox_.ledger = &ledger_;
    ledger_.begin();
  }
  ~Parent();
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;

  void call(std::size_t type, std::span<const std::byte> request);
  void drain();
  void take();
  void cancel_early(std::size_t which);
  void abandon(std::size_t which);
  void mark(std::uint32_t position) { (void)sender_.mark(position); }
  void look();  // at all that has an outcome
  void report_failures();
  void lend(std::uint8_t which);  // the child is sent an array: an old one, or a new one
  void drop_lent(std::size_t which);
  void let_retire() noexcept { inbox_.may_retire = true; }
  void restart();  // for another child in the same slice, once this one is buried

  /// The child wrote what no child of ours writes: nothing is taken from it any more.
  [[nodiscard]] bool is_over() const noexcept { return over_; }

 private:
  struct Pending {
    std::unique_ptr<Call> call;
    std::vector<detail::actor::State*> states;  // gone once it is settled or abandoned
  };

  [[nodiscard]] bool send(detail::actor::Request request, std::span<const std::byte> message);
  void bury();
  void settle_rest();

  detail::channel::ControlPage* control_;
  detail::channel::Sender sender_;
  detail::actor::Inbox inbox_;
  // Of a slice of its own, as the lanes may lie anywhere.
  detail::channel::BlockLedger ledger_{
      Blocks::here().slice().region(), Blocks::here().slice().index(), {}};
  std::vector<SharedArray<int>> lent_;
  AnyLink link_;
  std::vector<Pending> calls_;
  std::deque<detail::actor::Errand> errands_;  // which stay where they are
  bool over_ = false;
};

}  // namespace apalis::fuzz
