// SPDX-License-Identifier: BSL-1.0
#include <fmt/chrono.h>
#include <fmt/core.h>

#include <apalis/backend/lent_thread.hpp>
#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/sys/futex.hpp>
#include <apalis/detail/sys/process_stamp.hpp>
#include <apalis/error.hpp>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

namespace apalis::detail::backend {
namespace {

constexpr auto inline_text =
    "apalis: the backend's launch has called the worker's body on the thread that called launch: "
    "hand it to another thread, for the body returns only when the worker ends";

}  // namespace

/// What the thread that wants a worker and the one that becomes it know of each other. It outlives
/// both link and body: either side may be the last to look.
/// **Fork:** without a lock, so that a fork can let go of its copy.
class LentThread::Lease {
 public:
  Lease(void (*body)(void*), void* argument, std::chrono::milliseconds timeout)
      : body_(body), argument_(argument), timeout_(timeout) {}

  // --- The side that wants a worker.

  /// Launch has failed, so that nobody waits for the body.
  void withdraw() noexcept {
    if (!turn(Stage::offered, Stage::refused)) turn(Stage::taken, Stage::refused);
  }

  /// Launch has returned: the body may begin.
  void start(const std::string& name) {
    wait_while(Stage::offered);
    if (turn(Stage::taken, Stage::running)) return;
    if (turn(Stage::offered, Stage::refused))
      throw TimedOut(fmt::format(
          "apalis: no thread has called the body of worker '{}' for {}: the backend's launch "
          "needs a free thread for each worker, as long as that lives (see "
          "CustomBackend::launch_timeout)",
          name, timeout_));
    if (turn(Stage::taken, Stage::running)) return;  // it came just now
    switch (stage()) {
      case Stage::dropped:
        throw Error(fmt::format(
            "apalis: the backend's launch has dropped the body of worker '{}' without calling it: "
            "have some thread call it once",
            name));
      case Stage::kept_waiting:
        throw Error(fmt::format(
            "apalis: the backend's launch has not returned for {}, as it waits for the body of "
            "worker '{}', which returns only when the worker ends: let launch hand it over and "
            "return (beware of std::async: what it returns waits in its destructor)",
            timeout_, name));
      default:
        throw Error(inline_text);
    }
  }

  void wait_for_end() noexcept {
    while (stage() != Stage::ended)
      sys::futex_wait(stage_, static_cast<std::uint32_t>(Stage::running));
  }

  // --- The side that was found.

  void run() {
    if (!is_here() || !take()) return;
    struct End {
      Lease& lease;
      ~End() { (void)lease.turn(Stage::running, Stage::ended); }
    };
    const End end{*this};
    body_(argument_);
  }

  /// There is no copy of the body any more.
  void drop() noexcept {
    if (is_here()) (void)turn(Stage::offered, Stage::dropped);
  }

 private:
  enum class Stage : std::uint32_t {
    offered,
    taken,  // by a thread, which waits until launch has returned
    running,
    ended,
    refused,  // whoever calls the body finds nothing to do
    dropped,
    kept_waiting,  // launch did not return
    misused,       // called by launch's own thread
  };

  /// Whether the calling thread is to become the worker.
  [[nodiscard]] bool take() {
    if (std::this_thread::get_id() == caller_ && turn(Stage::offered, Stage::misused))
      throw Error(inline_text);
    if (!turn(Stage::offered, Stage::taken)) {
      if (stage() == Stage::refused) return false;
      throw Error("apalis: the body of a worker was called a second time: call it once");
    }
    wait_while(Stage::taken);
    (void)turn(Stage::taken, Stage::kept_waiting);
    return stage() == Stage::running;
  }

  [[nodiscard]] Stage stage() const noexcept {
    return static_cast<Stage>(stage_.load(std::memory_order_acquire));  // partner: turn()
  }

  /// False if it was at another stage.
  bool turn(Stage from, Stage to) noexcept {
    auto expected = static_cast<std::uint32_t>(from);
    if (!stage_.compare_exchange_strong(expected, static_cast<std::uint32_t>(to),
                                        std::memory_order_acq_rel))
      return false;
    sys::futex_wake_all(stage_);
    return true;
  }

  /// Up to the time limit.
  void wait_while(Stage seen) noexcept {
    const auto deadline = actor::deadline_after(timeout_);
    for (auto now = actor::Clock::now(); stage() == seen && now < deadline;
         now = actor::Clock::now())
      sys::futex_wait(stage_, static_cast<std::uint32_t>(seen), deadline - now);
  }

  [[nodiscard]] bool is_here() const noexcept { return stamp_ == sys::process_stamp(); }

  void (*const body_)(void*);
  void* const argument_;
  const std::chrono::milliseconds timeout_;
  const std::thread::id caller_ = std::this_thread::get_id();
  const std::uint64_t stamp_ = sys::process_stamp();
  std::atomic<std::uint32_t> stage_{static_cast<std::uint32_t>(Stage::offered)};
};

/// Shared by the copies of the body; with the last one ends the hope that it will be called.
class LentThread::Key {
 public:
  explicit Key(std::shared_ptr<Lease> lease) noexcept : lease_(std::move(lease)) {}
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  ~Key() { lease_->drop(); }

  void use() const {
    const std::shared_ptr<Lease> kept = lease_;  // this may end while the body runs
    kept->run();
  }

 private:
  std::shared_ptr<Lease> lease_;
};

LentThread::LentThread(const Launch& launch, const std::string& name, void (*body)(void*),
                       void* argument)
    : lease_(std::make_shared<Lease>(body, argument, launch.timeout)) {
  try {
    launch.run([key = std::make_shared<Key>(lease_)] { key->use(); });
  } catch (...) {
    lease_->withdraw();
    throw;
  }
  lease_->start(name);
}

void LentThread::join() noexcept {
  if (const auto lease = std::exchange(lease_, nullptr)) lease->wait_for_end();
}

}  // namespace apalis::detail::backend
