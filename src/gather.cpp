// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/wait_many.hpp>
#include <apalis/gather.hpp>

namespace apalis::detail {

struct Awaited::List {
  std::vector<actor::State*> states;
};

Awaited::~Awaited() { delete list_; }

void Awaited::add(actor::State* state) {
  if (list_ == nullptr) list_ = new List;
  list_->states.push_back(state);
}

WaitResult Awaited::wait(const WaitOptions& options) const {
  WaitResult result;
  if (list_ == nullptr) return result;
  auto deadline = actor::no_deadline;
  if (options.timeout) deadline = actor::deadline_after(*options.timeout);
  const auto& states = list_->states;
  (void)actor::wait_many(states, options.count, deadline);
  for (std::size_t i = 0; i < states.size(); ++i) {
    const bool ready = states[i]->complete() || states[i]->is_continued_here();
    (ready ? result.ready : result.pending).push_back(i);
  }
  return result;
}

}  // namespace apalis::detail
