// SPDX-License-Identifier: BSL-1.0
// Workers die at random under threads that call, post, send large messages and cancel; each is
// replaced. Whatever the moment: every call ends once, as what it is told to be, and is run no more
// often than it may be. APALIS_STRESS_CALLS=7000000 makes it a thousand rounds and some.
#include <signal.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "execution_book.hpp"
#include "rounds.hpp"
#include "settings.hpp"
#include "support/catch.hpp"

using apalis::Handler;
using apalis::Token;
using stress::Complaints;
using namespace std::chrono_literals;

namespace {

constexpr int most_threads = 3;
constexpr int calls_per_thread = 60;
constexpr std::uint16_t retries = 2;

// The same in every process, at an address that forks share.
stress::ExecutionBook* book = nullptr;

struct Scribe {
  int note(int id) {
    book->record(id);
    return id;
  }
  std::string echo(int id, std::string text) {
    book->record(id);
    return text;
  }
  int crash(int id) {
    book->record(id);
    if (id % 2 == 0) std::abort();
    ::raise(SIGSEGV);
    return id;
  }
  int stall(int id) {
    book->record(id);
    for (;;) ::pause();
  }
};

enum class End { result, died, cancelled, timed_out };

/// One accepted call, and all that may be known of it.
struct Accepted {
  int id = 0;
  int runs_allowed = 1;
  bool told_cancelled = false;  // by cancel()
  bool by_force = false;
  bool has_limit = false;
  std::string text;  // that comes back
  std::variant<Token<int>, Token<std::string>> token;
};

/// The calls of one thread, whose numbers count up from `first`.
class Caller {
 public:
  Caller(Handler<Scribe>& handler, int first, std::mt19937_64 random, Complaints& complaints,
         std::atomic<int>& progress)
      : handler_(handler),
        next_(first),
        random_(random),
        complaints_(complaints),
        progress_(progress) {}

  void run() {
    try {
      for (int i = 0; i < calls_per_thread; ++i) {
        step();
        ++progress_;
      }
      while (!open_.empty()) settle(open_.size() - 1);
    } catch (const std::exception& e) {
      complaints_.add(e.what());
    }
    progress_ += calls_per_thread;  // nobody waits for this thread any more
  }

  [[nodiscard]] const std::vector<int>& posts() const { return posts_; }

 private:
  void step() {
    const int id = next_++;
    const auto dice = random_() % 100;
    if (dice < 40) {
      keep({.id = id, .text = {}, .token = handler_.call(&Scribe::note, id)});
    } else if (dice < 50) {
      keep({.id = id,
            .runs_allowed = 1 + retries,
            .text = {},
            .token = handler_.call({.retries = retries}, &Scribe::note, id)});
    } else if (dice < 70) {
      posts_.push_back(id);
      handler_.post(&Scribe::note, id);
    } else if (dice < 80) {
      const std::string text(random_() % 400'000, static_cast<char>('a' + id % 26));
      const bool again = random_() % 2 == 0;
      const apalis::CallOptions options{.retries = again ? retries : std::uint16_t{0}};
      keep({.id = id,
            .runs_allowed = 1 + options.retries,
            .text = text,
            .token = handler_.call(options, &Scribe::echo, id, text)});
    } else if (dice < 82) {
      keep({.id = id, .text = {}, .token = handler_.call(&Scribe::crash, id)});
    } else if (dice < 83) {
      posts_.push_back(id);
      handler_.post(&Scribe::crash, id);
    } else if (dice < 84) {
      keep({.id = id,
            .has_limit = true,
            .text = {},
            .token = handler_.call({.timeout = 3ms}, &Scribe::stall, id)});
    } else if (dice < 95) {
      if (!open_.empty()) cancel(open_[random_() % open_.size()]);
    } else {
      drain();
    }
    if (open_.size() > 20 || random_() % 8 == 0)
      for (auto n = random_() % 8; n > 0 && !open_.empty(); --n) settle(random_() % open_.size());
  }

  void keep(Accepted call) { open_.push_back(std::move(call)); }

  void cancel(Accepted& call) {
    const bool by_force = random_() % 4 == 0;
    const bool dropped = std::visit(
        [&](auto& token) { return by_force ? token.cancel(apalis::force) : token.cancel(); },
        call.token);
    if (!dropped) return;
    call.told_cancelled = true;
    call.by_force = by_force;
  }

  void drain() {
    try {
      handler_.drain();
    } catch (const apalis::PostError&) {
    } catch (const apalis::WorkerDied&) {
    }
  }

  void settle(std::size_t i) {
    std::swap(open_[i], open_.back());
    judge(open_.back());
    open_.pop_back();
  }

  void judge(Accepted& call) {
    const auto wrong = [&](const char* what) {
      complaints_.add("call " + std::to_string(call.id) + ": " + what);
    };
    if (!std::visit([](auto& token) { return token.wait_for(60s); }, call.token))
      return wrong("it hangs");
    const End end = end_of(call, wrong);
    const int runs = book->count(call.id);
    if (call.told_cancelled && end != End::cancelled) wrong("told cancelled, and it is not");
    if (!call.told_cancelled && end == End::cancelled) wrong("cancelled, and not told so");
    if (end == End::cancelled && !call.by_force && runs != 0) wrong("cancelled, and yet run");
    if (end == End::result && runs == 0) wrong("a result without a run");
    if (end == End::timed_out && !call.has_limit) wrong("timed out without a limit");
    if (runs > call.runs_allowed) wrong("run too often");
  }

  template <class Wrong>
  End end_of(Accepted& call, Wrong wrong) {
    try {
      if (auto* token = std::get_if<Token<int>>(&call.token)) {
        if (token->get() != call.id) wrong("a wrong number");
      } else if (std::get<Token<std::string>>(call.token).get() != call.text) {
        wrong("a wrong text");
      }
      return End::result;
    } catch (const apalis::WorkerDied&) {
      return End::died;
    } catch (const apalis::Cancelled&) {
      return End::cancelled;
    } catch (const apalis::TimedOut&) {
      return End::timed_out;
    } catch (const std::exception& e) {
      wrong(e.what());
      return End::died;
    }
  }

  Handler<Scribe>& handler_;
  int next_;
  std::mt19937_64 random_;
  Complaints& complaints_;
  std::atomic<int>& progress_;
  std::vector<Accepted> open_;
  std::vector<int> posts_;
};

/// The spare child that this thread made; 0 if there is none.
pid_t spare_child() {
  std::ifstream list("/proc/thread-self/children");
  for (std::istream_iterator<pid_t> pid(list), end; pid != end; ++pid) {
    std::ifstream title("/proc/" + std::to_string(*pid) + "/cmdline");
    const std::string text{std::istreambuf_iterator<char>(title), {}};
    if (text.find("(spare)") != std::string::npos) return *pid;
  }
  return 0;
}

apalis::Options random_options(std::mt19937_64& random) {
  apalis::Options options{.fork_in_threads = apalis::ForkInThreads::allow};
  options.restart = {
      .max = 1'000'000, .backoff = std::chrono::milliseconds{random() % 2}, .max_backoff = 4ms};
  if (random() % 3 == 0) options.max_calls_per_worker = 1 + random() % 20;
  options.on_error = [](const std::exception_ptr&) {};
  options.on_worker_start = &stress::crash_plainly;
  return options;
}

void play_round(std::mt19937_64 random, Complaints& complaints) {
  book->clear();
  const bool by_hook = random() % 2 == 0;
  std::atomic<unsigned> exits{0};
  auto options = random_options(random);
  if (by_hook) options.on_worker_exit = [&](const apalis::WorkerExit&) { ++exits; };
  Handler<Scribe> handler{options, std::in_place};
  const bool lose_spare = random() % 8 == 0;
  const pid_t spare = lose_spare ? spare_child() : 0;
  std::atomic<int> progress{0};
  const int threads = 1 + static_cast<int>(random() % most_threads);
  std::vector<Caller> callers;
  for (int t = 0; t < threads; ++t)
    callers.emplace_back(handler, t * 2 * calls_per_thread, std::mt19937_64{random()}, complaints,
                         progress);
  {
    std::vector<std::jthread> running;
    for (auto& caller : callers) running.emplace_back([&caller] { caller.run(); });
    stress::kill_at_random([&] { return handler.pid(); }, random, progress,
                           threads * calls_per_thread);
    if (spare != 0) stress::signal_child(spare, SIGKILL);
  }
  bool all_done = handler.alive();
  try {
    handler.drain();
  } catch (const apalis::PostError&) {
  } catch (const apalis::WorkerDied&) {
    all_done = false;
  }
  const auto deaths = handler.restarts();
  try {
    handler.close();
  } catch (const apalis::WorkerDied&) {
  } catch (const apalis::PostError&) {
  }
  if (by_hook && exits < deaths) complaints.add("a death was not told to the hook");
  // A death takes at most the post that was running with it.
  std::size_t lost = 0;
  for (const auto& caller : callers)
    for (const int id : caller.posts()) {
      if (book->count(id) > 1) complaints.add("post " + std::to_string(id) + " was run twice");
      lost += book->count(id) == 0 ? 1U : 0U;
    }
  if (all_done && lost > deaths) complaints.add("posts were lost");
  std::array<int, most_threads> last{};
  last.fill(-1);
  for (const int id : book->order()) {
    auto& before = last.at(static_cast<std::size_t>(id / (2 * calls_per_thread)));
    if (id < before) complaints.add("call " + std::to_string(id) + " ran after a later one");
    before = id;
  }
}

void play_rounds(std::uint64_t purpose, std::uint64_t rounds) {
  auto random = stress::random_for(purpose);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const auto seed = random();
    INFO("round " << round << ", seed " << seed);
    Complaints complaints;
    play_round(std::mt19937_64{seed}, complaints);
    REQUIRE(complaints.text() == "");
  }
}

/// The book of a test case; before the fork server, which must see it too.
struct OpenBook {
  stress::ExecutionBook pages;
  OpenBook() { book = &pages; }
  ~OpenBook() { book = nullptr; }
  OpenBook(const OpenBook&) = delete;
  OpenBook& operator=(const OpenBook&) = delete;
};

}  // namespace

TEST_CASE("workers are killed at random, and what they had not begun is run once", "[stress]") {
  CAPTURE(stress::seed());
  const OpenBook open;
  play_rounds(20, stress::calls(0.0001));
}

TEST_CASE("workers of the fork server are killed at random, and replaced", "[stress]") {
  CAPTURE(stress::seed());
  const OpenBook open;
  apalis::ForkServer::start();
  play_rounds(21, stress::calls(0.00005));
  apalis::ForkServer::stop();
}
