// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <apalis/detail/actor/agenda.hpp>
#include <apalis/detail/channel/region.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <atomic>

namespace apalis::detail::actor {
namespace {

constinit sys::PerProcess<Agenda> current;

}  // namespace

Agenda& Agenda::of_this_process() { return current.get(); }

void Agenda::add(Source& source) {
  const std::lock_guard lock{mutex_};
  entries_.push_back({&source, 0, {}});
  // Something waits now that did not when the event loop looked last.
  if (watched_) sys::signal_event(event_);
}

void Agenda::remove(Source& source) noexcept {
  const std::lock_guard lock{mutex_};
  const auto at = std::ranges::find(entries_, &source, &Entry::source);
  if (at == entries_.end()) return;
  if (watched_) watched_->remove(at->process);
  entries_.erase(at);
}

/// The sources that still live, kept alive: what runs meanwhile may end any of them.
std::vector<Source*> Agenda::retain_all() {
  const std::lock_guard lock{mutex_};
  std::vector<Source*> sources;
  sources.reserve(entries_.size());
  for (const Entry& entry : entries_)
    if (entry.source->try_retain()) sources.push_back(entry.source);
  return sources;
}

std::size_t Agenda::poll() {
  const auto before = continuations_run();
  bool watched = false;
  {
    const std::lock_guard lock{mutex_};
    watched = watched_.has_value();
    if (watched) sys::clear_event(event_);
  }
  for (Source* source : retain_all()) {
    source->poll();
    source->release();
  }
  if (watched) arm();
  return continuations_run() - before;
}

int Agenda::notify_fd() {
  {
    const std::lock_guard lock{mutex_};
    if (watched_) return watched_->fd();
    const auto held = sys::lock_forks();
    event_ = channel::Region::of_this_process(held).event_fd();
    watched_.emplace(event_);
  }
  arm();
  const std::lock_guard lock{mutex_};
  return watched_->fd();
}

/// Has every source signal what comes from now on, and signals what has come by now.
void Agenda::arm() {
  const auto sources = retain_all();
  auto next_look = no_deadline;
  bool news = false;
  for (Source* source : sources) {
    source->begin_event(next_look);
    const pid_t pid = source->watched();
    const std::lock_guard lock{mutex_};
    const auto at = std::ranges::find(entries_, source, &Entry::source);
    if (at == entries_.end() || pid == at->pid) continue;
    watched_->remove(at->process);  // an end that is known would be told for ever
    at->pid = pid;
    if (pid == 0) continue;
    at->process = watched_->add_process(pid);
    news |= !at->process;  // it has ended already
  }
  sys::heavy_barrier();  // partner: the light barrier of Doorbell::ring()
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (Source* source : sources) {
    news |= source->has_news();
    source->release();
  }
  const std::lock_guard lock{mutex_};
  if (news) sys::signal_event(event_);
  watched_->set_timer(next_look == no_deadline
                          ? std::chrono::nanoseconds{-1}
                          : std::max<std::chrono::nanoseconds>(next_look - Clock::now(), {}));
}

}  // namespace apalis::detail::actor
