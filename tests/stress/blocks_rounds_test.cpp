// SPDX-License-Identifier: BSL-1.0
// Workers die at random under threads that pass them arrays, Refs, large messages and barriers.
// Whatever the moment: every call ends, all content is what somebody wrote there, nobody waits for
// the dead, and nothing is left behind. APALIS_STRESS_CALLS=20000000 makes it a thousand rounds.
#include <algorithm>
#include <apalis/apalis.hpp>
#include <apalis/detail/channel/block.hpp>
#include <apalis/detail/channel/block_table.hpp>
#include <apalis/detail/channel/region.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "leak_check.hpp"
#include "mason.hpp"
#include "rounds.hpp"
#include "settings.hpp"
#include "support/catch.hpp"

using apalis::Barrier;
using apalis::BarrierBroken;
using apalis::Handler;
using apalis::Ref;
using apalis::SharedArray;
using apalis::Token;
using stress::Complaints;
using stress::Mason;
using stress::Table;
using stress::Word;
using stress::Words;
using namespace std::chrono_literals;
namespace channel = apalis::detail::channel;

namespace {

constexpr std::size_t most_threads = 3;
constexpr int calls_per_thread = 40;
constexpr auto far_too_long = 60s;

using Handlers = std::vector<Handler<Mason>>;

std::uint64_t digest_of(std::uint64_t digest) {
  return digest;
}
std::uint64_t digest_of(const Words& words) {
  return stress::whole_digest(words);
}
std::uint64_t digest_of(const SharedArray<Word>& words) {
  return stress::whole_digest(words.span());
}
std::uint64_t digest_of(const apalis::View<Word>& words) {
  return stress::whole_digest(std::span<const Word>(words));
}
std::uint64_t digest_of(const Ref<Table>& table) {
  return table ? stress::whole_digest(*table) : 0;
}

enum class End { open, result, died, cancelled };

/// An array, and all that may be known of what is in it.
class Slab {
 public:
  static constexpr std::size_t parts = 4;

  explicit Slab(std::size_t part_size) : words_(parts * part_size), part_size_(part_size) {}

  [[nodiscard]] SharedArray<Word> part(std::size_t which) const {
    return words_.subarray(which * part_size_, part_size_);
  }
  /// A write of `pattern` is on its way, behind those before it.
  [[nodiscard]] std::size_t begin_write(std::size_t part, std::uint64_t pattern) {
    auto& writes = writes_.at(part);
    writes.push_back({pattern, End::open});
    ++open_;
    return writes.size() - 1;
  }
  void end_write(std::size_t part, std::size_t which, End end) {
    writes_.at(part).at(which).end = end;
    --open_;
  }
  [[nodiscard]] bool is_quiet() const { return open_ == 0; }

  /// How many elements are not what a write that was run, or may have been, left there.
  [[nodiscard]] std::size_t strange_elements() const {
    std::size_t strange = 0;
    for (std::size_t i = 0; i < parts; ++i) {
      const auto allowed = possible(i);
      const auto words = words_.span().subspan(i * part_size_, part_size_);
      for (std::size_t at = 0; at < words.size(); ++at)
        if (std::ranges::none_of(allowed, [&](std::uint64_t pattern) {
              return words[at] == stress::word_of(pattern, at);
            }))
          ++strange;
    }
    return strange;
  }

 private:
  struct Write {
    std::uint64_t pattern;
    End end;
  };

  /// The last write that ended well, and those behind it whose worker died.
  [[nodiscard]] std::vector<std::uint64_t> possible(std::size_t part) const {
    std::vector<std::uint64_t> patterns{0};
    for (const Write& write : writes_.at(part)) {
      if (write.end == End::result) patterns.clear();
      if (write.end != End::cancelled) patterns.push_back(write.pattern);
    }
    return patterns;
  }

  SharedArray<Word> words_;
  std::size_t part_size_;
  std::array<std::vector<Write>, parts> writes_;
  int open_ = 0;
};

/// One accepted call, and all that may be known of it.
struct Accepted {
  std::string what;
  std::uint64_t digest = 0;
  bool or_nothing = false;  // of a worker that has replaced the one that had it
  bool told_cancelled = false;
  bool by_force = false;
  bool doomed = false;
  std::shared_ptr<Slab> slab{};  // that it writes to
  std::size_t part = 0;
  std::size_t write = 0;
  std::variant<Token<std::uint64_t>, Token<Words>, Token<SharedArray<Word>>,
               Token<apalis::View<Word>>, Token<Ref<Table>>>
      token;
};

/// Which workers have ended.
class Register {
 public:
  void add(pid_t pid) {
    const std::lock_guard lock{mutex_};
    ended_.insert(pid);
  }
  [[nodiscard]] bool has(pid_t pid) const {
    const std::lock_guard lock{mutex_};
    return ended_.contains(pid);
  }

 private:
  mutable std::mutex mutex_;
  std::set<pid_t> ended_;
};

/// The calls of one thread.
class Caller {
 public:
  Caller(Handlers& handlers, std::size_t number, std::mt19937_64 random, Complaints& complaints,
         std::atomic<int>& progress)
      : handlers_(handlers),
        number_(number),
        random_(random),
        complaints_(complaints),
        progress_(progress),
        pattern_(1 + number * 1'000'000),
        kept_(handlers.size()),
        kept_tables_(handlers.size()) {}

  void run() {
    try {
      for (int i = 0; i < calls_per_thread; ++i) {
        step();
        ++progress_;
      }
      while (!open_.empty()) settle(open_.size() - 1);
      while (!slabs_.empty()) drop_slab();
    } catch (const std::exception& e) {
      complaints_.add(e.what());
    }
    progress_ += calls_per_thread;  // nobody waits for this thread any more
    open_.clear();
    slabs_.clear();
    refs_.clear();
    tables_.clear();
  }

  /// Whose deaths broke barriers, as it was told.
  [[nodiscard]] const std::vector<pid_t>& told_dead() const { return told_dead_; }

 private:
  void step() {
    const auto dice = random_() % 100;
    if (dice < 25) {
      write();
    } else if (dice < 30) {
      if (!slabs_.empty()) drop_slab();
    } else if (dice < 48) {
      use_shelf();
    } else if (dice < 64) {
      use_ref();
    } else if (dice < 82) {
      send_large();
    } else if (dice < 90) {
      if (!open_.empty()) cancel(open_[random_() % open_.size()]);
    } else if (dice < 91) {
      auto crash = any().call(&Mason::crash);
      keep({.what = "crash", .doomed = true, .token = std::move(crash)});
    } else if (number_ == 0) {
      meet();  // of one thread: two barriers in two orders would wait for each other
    }
    if (open_.size() > 20 || random_() % 6 == 0)
      for (auto n = random_() % 8; n > 0 && !open_.empty(); --n) settle(random_() % open_.size());
    if (random_() % 10 == 0 && !open_.empty()) drop(random_() % open_.size());
  }

  // --- Calls -------------------------------------------------------------------------------------

  void write() {
    if (slabs_.size() < 3) slabs_.push_back(std::make_shared<Slab>(1 + random_() % 20'000));
    const auto slab = slabs_[random_() % slabs_.size()];
    const auto part = random_() % Slab::parts;
    const auto pattern = pattern_++;
    const auto array = slab->part(part);
    // The writes to a part are in order: all go to the same worker.
    const apalis::CallOptions options{.retries = static_cast<std::uint16_t>(random_() % 2)};
    auto token = handlers_[part % handlers_.size()].call(options, &Mason::write, array, pattern);
    keep({.what = "write",
          .digest = stress::whole_digest(stress::words_of(pattern, array.size())),
          .slab = slab,
          .part = part,
          .write = slab->begin_write(part, pattern),
          .token = std::move(token)});
  }

  /// Its content must be what the writes left; nobody looks where some are still on their way,
  /// which keep it.
  void drop_slab() {
    const auto slab = std::exchange(slabs_[random_() % slabs_.size()], slabs_.back());
    slabs_.pop_back();
    if (!slab->is_quiet()) return;
    if (const auto strange = slab->strange_elements(); strange != 0)
      complaints_.add(std::to_string(strange) + " elements that nobody wrote");
  }

  void use_shelf() {
    const auto which = random_() % handlers_.size();
    auto& handler = handlers_[which];
    auto& known = kept_[which];
    switch (random_() % 5) {
      case 0:
      case 1: {
        const auto pattern = pattern_++;
        const SharedArray<Word> words(stress::words_of(pattern, 1 + random_() % 30'000));
        known = digest_of(words);
        auto token = handler.call(&Mason::keep, number_, words);
        return keep({.what = "keep", .digest = known, .token = std::move(token)});
      }
      case 2: {
        auto token = handler.call(&Mason::read_kept, number_);
        return keep(
            {.what = "kept", .digest = known, .or_nothing = true, .token = std::move(token)});
      }
      case 3: {
        auto token = handler.call(&Mason::give, number_);
        return keep(
            {.what = "give", .digest = known, .or_nothing = true, .token = std::move(token)});
      }
      default: {
        auto token = handler.call(&Mason::read_born_with);
        const auto born_with = stress::words_of(which + 1, born_size);
        return keep({.what = "born with",
                     .digest = stress::whole_digest(born_with),
                     .token = std::move(token)});
      }
    }
  }

  void use_ref() {
    const apalis::ShareOptions where{.directory = random_() % 8 == 0 ? "/tmp" : ""};
    const auto which = random_() % handlers_.size();
    auto& handler = handlers_[which];
    switch (random_() % 5) {
      case 0:
      case 1: {
        if (refs_.size() < 2 || random_() % 3 == 0) {
          const auto pattern = pattern_++;
          refs_.push_back(apalis::share(stress::words_of(pattern, random_() % 150'000), where));
        }
        const auto ref = refs_[random_() % refs_.size()];
        if (refs_.size() > 3) refs_.erase(refs_.begin());
        auto token = handler.call(&Mason::read_words, ref);
        return keep({.what = "read Ref",
                     .digest = stress::whole_digest(ref.span()),
                     .token = std::move(token)});
      }
      case 2: {
        if (tables_.size() < 2 || random_() % 3 == 0)
          tables_.push_back(
              apalis::share(stress::table_of(pattern_++, 1 + random_() % 1000), where));
        const auto ref = tables_[random_() % tables_.size()];
        if (tables_.size() > 3) tables_.erase(tables_.begin());
        auto token = handler.call(&Mason::read_table, ref);
        return keep({.what = "read table", .digest = digest_of(ref), .token = std::move(token)});
      }
      case 3: {
        const auto ref = apalis::share(stress::table_of(pattern_++, 1 + random_() % 100), where);
        kept_tables_[which] = digest_of(ref);
        auto token = handler.call(&Mason::keep_table, number_, ref);
        return keep(
            {.what = "keep table", .digest = kept_tables_[which], .token = std::move(token)});
      }
      default: {
        auto token = handler.call(&Mason::give_table, number_);
        return keep({.what = "give table",
                     .digest = kept_tables_[which],
                     .or_nothing = true,
                     .token = std::move(token)});
      }
    }
  }

  /// 8 KiB at least, which are attached; one in four 256 KiB and more, which an arena can't hold.
  void send_large() {
    const auto size = random_() % 4 == 0 ? 65'536 + random_() % 100'000 : 2048 + random_() % 40'000;
    const auto pattern = pattern_++;
    auto& handler = any();
    const auto digest = stress::whole_digest(stress::words_of(pattern, size));
    switch (random_() % 4) {
      case 0: {
        auto token = handler.call(&Mason::echo, stress::words_of(pattern, size));
        return keep({.what = "echo", .digest = digest, .token = std::move(token)});
      }
      case 1: {
        auto token = handler.call(&Mason::make, pattern, size);
        return keep({.what = "make", .digest = digest, .token = std::move(token)});
      }
      case 2: {
        auto token = handler.call(&Mason::read_words, stress::words_of(pattern, size));
        return keep({.what = "read span", .digest = digest, .token = std::move(token)});
      }
      default: {
        auto token = handler.call(&Mason::show, pattern, size);
        return keep({.what = "show", .digest = digest, .token = std::move(token)});
      }
    }
  }

  /// All workers, and this thread sometimes, wait for each other.
  void meet() {
    const bool joins = random_() % 2 == 0;
    const auto count = handlers_.size() + (joins ? 1 : 0);
    const auto phases = static_cast<Word>(1 + random_() % 30);
    const Barrier barrier(count);
    const SharedArray<Word> board(count);
    std::vector<Token<std::uint64_t>> tokens;
    for (std::size_t i = 0; i < handlers_.size(); ++i)
      tokens.push_back(handlers_[i].call(&Mason::iterate, barrier, board, i, phases));
    if (joins) take_part(barrier, board, phases, tokens);
    const auto [ready, pending] =
        apalis::wait(tokens, {.count = tokens.size(), .timeout = far_too_long});
    if (!pending.empty()) return complaints_.add("somebody waits for ever at a barrier");
    for (auto& token : tokens) {
      try {
        if (token.get() != 0) complaints_.add("a phase began before all had ended the last one");
      } catch (const BarrierBroken& broken) {
        told_dead_.push_back(broken.pid());
      } catch (const apalis::WorkerDied&) {
      }
    }
  }

  /// While it waits, it looks after the workers: they may have to be replaced, or relieved of
  /// results, to arrive.
  void take_part(const Barrier& barrier, const SharedArray<Word>& board, Word phases,
                 std::vector<Token<std::uint64_t>>& workers) {
    const auto end = std::chrono::steady_clock::now() + far_too_long;
    const auto arrive = [&] {
      while (!barrier.arrive_and_wait_for(2ms)) {
        (void)apalis::wait(workers, {.count = workers.size(), .timeout = 0ms});
        if (std::chrono::steady_clock::now() > end)
          throw std::runtime_error("the parent waits for ever at a barrier");
      }
    };
    try {
      for (Word phase = 1; phase <= phases; ++phase) {
        board[board.size() - 1] = phase;
        arrive();
        for (const Word each : board)
          if (each != phase) complaints_.add("a phase ended before all had arrived");
        arrive();
      }
    } catch (const BarrierBroken& broken) {
      told_dead_.push_back(broken.pid());
    }
  }

  // --- Their ends --------------------------------------------------------------------------------

  Handler<Mason>& any() { return handlers_[random_() % handlers_.size()]; }
  void keep(Accepted call) { open_.push_back(std::move(call)); }

  void cancel(Accepted& call) {
    if (call.what == "keep" || call.what == "keep table") return;  // what is kept is to be known
    const bool by_force = random_() % 4 == 0;
    const bool dropped = std::visit(
        [&](auto& token) { return by_force ? token.cancel(apalis::force) : token.cancel(); },
        call.token);
    if (!dropped) return;
    call.told_cancelled = true;
    call.by_force = by_force;
  }

  void settle(std::size_t i) {
    std::swap(open_[i], open_.back());
    judge(open_.back());
    open_.pop_back();
  }

  /// Nobody asks how it ends; but of a write that must be known.
  void drop(std::size_t i) {
    std::swap(open_[i], open_.back());
    if (open_.back().slab == nullptr) open_.pop_back();
  }

  void judge(Accepted& call) {
    const auto wrong = [&](const std::string& what) { complaints_.add(call.what + ": " + what); };
    if (!std::visit([](auto& token) { return token.wait_for(far_too_long); }, call.token))
      return wrong("it hangs");
    const End end = end_of(call, wrong);
    if (call.told_cancelled && end != End::cancelled) wrong("told cancelled, and it is not");
    if (!call.told_cancelled && end == End::cancelled) wrong("cancelled, and not told so");
    if (call.doomed && end == End::result) wrong("a result of a crash");
    if (call.slab == nullptr) return;
    // By force, it may have begun.
    const bool ran_in_part = end == End::cancelled && call.by_force;
    call.slab->end_write(call.part, call.write, ran_in_part ? End::died : end);
  }

  template <class Wrong>
  End end_of(Accepted& call, Wrong wrong) {
    try {
      const auto digest =
          std::visit([](auto& token) { return digest_of(std::move(token).get()); }, call.token);
      if (digest != call.digest && !(call.or_nothing && digest == 0)) wrong("wrong content");
      return End::result;
    } catch (const apalis::WorkerDied&) {
      return End::died;
    } catch (const apalis::Cancelled&) {
      return End::cancelled;
    } catch (const std::exception& e) {
      wrong(e.what());
      return End::died;
    }
  }

 public:
  static constexpr std::size_t born_size = 3000;

 private:
  Handlers& handlers_;
  std::size_t number_;
  std::mt19937_64 random_;
  Complaints& complaints_;
  std::atomic<int>& progress_;
  std::uint64_t pattern_;
  std::vector<Accepted> open_;
  std::vector<std::shared_ptr<Slab>> slabs_;
  std::vector<Ref<Words>> refs_;
  std::vector<Ref<Table>> tables_;
  std::vector<std::uint64_t> kept_;  // by handler: what the last call for its shelf brought there
  std::vector<std::uint64_t> kept_tables_;
  std::vector<pid_t> told_dead_;
};

apalis::Options random_options(std::mt19937_64& random, Register& ended) {
  apalis::Options options{.fork_in_threads = apalis::ForkInThreads::allow};
  options.restart = {
      .max = 1'000'000, .backoff = std::chrono::milliseconds{random() % 2}, .max_backoff = 4ms};
  if (random() % 4 == 0) options.max_calls_per_worker = 5 + random() % 20;
  options.on_error = [](const std::exception_ptr&) {};
  options.on_worker_start = &stress::crash_plainly;
  options.on_worker_exit = [&ended](const apalis::WorkerExit& exit) { ended.add(exit.pid); };
  return options;
}

void play_calls(std::mt19937_64& random, Complaints& complaints) {
  Register ended;
  Handlers handlers;
  for (std::size_t i = 0; i < 2 + random() % 2; ++i)
    handlers.emplace_back(random_options(random, ended), std::in_place,
                          SharedArray<Word>(stress::words_of(i + 1, Caller::born_size)));
  std::atomic<int> progress{0};
  const auto threads = 1 + random() % most_threads;
  std::vector<Caller> callers;
  for (std::size_t t = 0; t < threads; ++t)
    callers.emplace_back(handlers, t, std::mt19937_64{random()}, complaints, progress);
  {
    std::vector<std::jthread> running;
    for (auto& caller : callers) running.emplace_back([&caller] { caller.run(); });
    stress::kill_at_random([&] { return handlers[random() % handlers.size()].pid(); }, random,
                           progress, static_cast<int>(threads) * calls_per_thread);
  }
  if (random() % 2 == 0)
    for (auto& handler : handlers) handler.kill();
  handlers.clear();
  for (const auto& caller : callers)
    for (const pid_t pid : caller.told_dead())
      if (pid != 0 && !ended.has(pid)) complaints.add("a barrier was broken by one who lives");
}

/// The block table and the addresses behind it are empty.
void check_no_blocks(Complaints& complaints) {
  if (const auto waiting = channel::waiting_blocks.load(); waiting != 0)
    complaints.add(std::to_string(waiting) + " blocks wait for workers that there are not");
  if (channel::BlockTable::here().has_blocks()) complaints.add("blocks are left");
  const SharedArray<char> first(1);
  auto& region = channel::Region::of_this_process(apalis::detail::sys::lock_forks());
  if (static_cast<void*>(first.data()) != region.block_range().data())
    complaints.add("the first addresses for blocks are not free");
}

void play_rounds(std::uint64_t purpose, std::uint64_t rounds) {
  auto random = stress::random_for(purpose);
  const auto before = apalis::test::Holdings::now();
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const auto seed = random();
    INFO("round " << round << ", seed " << seed);
    Complaints complaints;
    std::mt19937_64 of_round{seed};
    play_calls(of_round, complaints);
    check_no_blocks(complaints);
    for (auto& change : apalis::test::Holdings::now().changes_since(before))
      complaints.add(std::move(change));
    REQUIRE(complaints.text() == "");
  }
}

}  // namespace

TEST_CASE("workers are killed at random, and no shared memory goes with them", "[stress]") {
  CAPTURE(stress::seed());
  play_rounds(30, stress::calls(0.00005));
}

TEST_CASE("workers of the fork server are killed at random, and no shared memory goes with them",
          "[stress]") {
  CAPTURE(stress::seed());
  apalis::ForkServer::start();
  play_rounds(31, stress::calls(0.00002));
  apalis::ForkServer::stop();
}
