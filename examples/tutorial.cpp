// SPDX-License-Identifier: BSL-1.0
//
// The code of docs/tutorial.md, in its order. Every excerpt over there is taken from here, and this
// program checks what the text says of it.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <numeric>
#include <random>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("not so: %s\n", what);
  std::exit(1);
}

// --- The first handler ---------------------------------------------------------------------------

struct Counter {
  int total = 0;

  int add(int x) { return total += x; }
  int add_slowly(int x);
  int divide(int by) const {
    if (by == 0) throw std::domain_error("division by zero");
    return total / by;
  }
};

int Counter::add_slowly(int x) {
  std::this_thread::sleep_for(20ms);
  return add(x);
}

void first_handler() {
  apalis::Handler<Counter> h;                       // forks; a Counter{} is made in the child
  apalis::Token<int> t = h.call(&Counter::add, 5);  // sends, and returns at once
  std::cout << t.get() << '\n';                     // waits: 5

  check(t.get() == 5, "the first sum is 5");
}

// --- Where the object comes from -----------------------------------------------------------------

struct Thermometer {
  Thermometer(std::string where, double shift) : place(std::move(where)), offset(shift) {}
  std::string place;
  double offset;
  double corrected(double reading) const { return reading + offset; }
};

void making() {
  apalis::Handler<Thermometer> in_place{std::in_place, "roof", -0.5};

  Thermometer cellar{"cellar", 0.25};
  apalis::Handler<Thermometer> carried{cellar};

  apalis::Handler<Thermometer> with_options{
      {.name = "kitchen", .close_timeout = 5s}, std::in_place, "kitchen", 0.0};
  apalis::Handler<Thermometer> carried_with_options{{.name = "cellar"}, apalis::carry, cellar};

  check(in_place.call(&Thermometer::corrected, 20).get() == 19.5, "the roof's is corrected");
  check(carried.get(&Thermometer::place).get() == "cellar", "it was carried");
  check(with_options.name() == "kitchen", "it has a name");
  check(carried_with_options.get(&Thermometer::offset).get() == 0.25, "it was carried, too");
}

// --- Tokens --------------------------------------------------------------------------------------

void tokens() {
  apalis::Handler<Counter> h;
  apalis::Token<int> t = h.call(&Counter::add_slowly, 1);

  if (!t.ready()) std::cout << "not yet\n";                     // never waits
  if (!t.wait_for(1us)) std::cout << "still not\n";             // waits that long at most
  const int& sum = t.get();                                     // waits; may be asked again
  if (const int* now = t.try_get()) std::cout << *now << '\n';  // null while there is none

  const int last = h.call(&Counter::add, 1).get();  // from a temporary, get() moves the result out
  check(sum == 1 && last == 2, "sums");

  auto blocker = h.call(&Counter::add_slowly, 1);
  auto unwanted = h.call(&Counter::add, 1000);
  const bool dropped = unwanted.cancel();  // false once the call has begun
  try {
    unwanted.get();
  } catch (const apalis::Cancelled&) {
    std::cout << "it never ran\n";
  }

  const int total = h.get(&Counter::total).get();
  check(blocker.get() == 3 && total == (dropped ? 3 : 1003), "a cancelled call does not run");
}

// --- What crosses --------------------------------------------------------------------------------

struct Point {
  double x, y;
};

class Track {  // not an aggregate, so it says what it consists of
 public:
  Track() = default;
  explicit Track(std::string name) : name_(std::move(name)) {}
  void add(Point p) { points_.push_back(p); }
  const std::string& name() const { return name_; }
  std::size_t size() const { return points_.size(); }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(name_, points_);
  }

 private:
  std::string name_;
  std::vector<Point> points_;
};

struct Surveyor {
  double distance(Point a, Point b) const { return std::hypot(a.x - b.x, a.y - b.y); }
  Track walk(const std::string& name, const std::vector<Point>& through) const {
    Track track{name};
    for (const Point& p : through) track.add(p);
    return track;
  }
  std::map<std::string, std::size_t> sizes(const std::vector<Track>& tracks) const {
    std::map<std::string, std::size_t> result;
    for (const Track& track : tracks) result[track.name()] = track.size();
    return result;
  }
  double mean(std::span<const double> heights) const {
    return std::accumulate(heights.begin(), heights.end(), 0.0) /
           static_cast<double>(heights.size());
  }
  std::size_t letters(std::string_view text) const { return text.size(); }
};

void crossing() {
  apalis::Handler<Surveyor> h;
  double d = h.call(&Surveyor::distance, Point{0, 0}, Point{3, 4}).get();  // 5
  Track track = h.call(&Surveyor::walk, "ridge", std::vector<Point>(100)).get();
  auto sizes = h.call(&Surveyor::sizes, std::vector{track, Track{"shore"}}).get();

  std::vector<double> heights(100'000, 1.5);
  double m = h.call(&Surveyor::mean, heights).get();  // read in place, from the message
  std::size_t n = h.call(&Surveyor::letters, "benchmark").get();

  check(d == 5 && track.size() == 100 && sizes.at("ridge") == 100 && m == 1.5 && n == 9, "values");
}

// --- Callables -----------------------------------------------------------------------------------

struct Scale {  // a function object with state crosses like any value
  std::vector<int> factors;

  int operator()(Counter& c, int x) const {
    for (const int factor : factors) x *= factor;
    return c.add(x);
  }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(factors);
  }
};

void callables() {
  apalis::Handler<Counter> h;
  int a = h.call([](Counter& c, int x, int k) { return c.add(x) * k; }, 4, 3).get();  // 4 * 3

  int k = 10;
  int b = h.call(apalis::by_value([k](Counter& c, int x) { return c.add(k * x); }), 4).get();

  int c = h.call(Scale{{2, 3}}, 1).get();

  int d = h.call<&Counter::add>(5).get();  // the method as a template argument: the fastest call

  check(a == 12 && b == 44 && c == 50 && d == 55, "callables");
}

// --- One-way calls -------------------------------------------------------------------------------

void one_way() {
  apalis::Handler<Counter> h;
  for (int i = 0; i < 1000; ++i) h.post(&Counter::add, 1);
  h.set(&Counter::total, 7);
  std::cout << h.get(&Counter::total).get() << '\n';  // 7: it came last

  h.post(&Counter::divide, 0);
  h.post(&Counter::divide, 0);
  try {
    h.drain();
  } catch (const apalis::PostError& error) {
    std::cout << error.count() << " failed: " << error.what() << '\n';
  }
  h.drain();  // nothing failed since

  check(h.get(&Counter::total).get() == 7, "the last assignment holds");
}

// --- Several at once -----------------------------------------------------------------------------

void several() {
  std::vector<apalis::Handler<Counter>> handlers(4);
  std::vector<apalis::Token<int>> tokens;
  tokens.reserve(handlers.size());
  for (auto& h : handlers) tokens.push_back(h.call(&Counter::add_slowly, 1));

  auto [ready, pending] = apalis::wait(tokens, {.count = 2, .timeout = 10s});
  std::cout << ready.size() << " are there, " << pending.size() << " are not\n";

  for (auto& token : apalis::as_completed(tokens)) std::cout << token.get() << '\n';

  std::vector<int> sums = apalis::get(tokens);
  auto [total, quotient] =
      apalis::get(handlers[0].get(&Counter::total), handlers[1].call(&Counter::divide, 1));

  check(ready.size() >= 2 && sums == std::vector(4, 1) && total == 1 && quotient == 1, "sums of 1");
}

// --- Batches -------------------------------------------------------------------------------------

void batches() {
  apalis::Handler<Counter> h;
  auto add_two = h.prepare(&Counter::add, 2);   // Call<Counter, int>: encoded, not sent
  auto halve = h.prepare(&Counter::divide, 2);  // another method, the same result type

  std::vector<apalis::Call<Counter, int>> calls{add_two, add_two, halve};
  std::vector<int> results = h.run(calls);  // one message there, one back: 2, 4, 2
  auto later = h.multiple_run(calls);       // Token<std::vector<int>>

  check(results == std::vector{2, 4, 2} && later.get() == std::vector{6, 8, 4}, "batches");

  calls.push_back(h.prepare(&Counter::divide, 0));
  try {
    h.run(calls);
  } catch (const apalis::BatchError& error) {
    for (const apalis::Outcome<int>& outcome : error.outcomes<int>())
      std::cout << (outcome ? std::to_string(outcome.value()) : "failed") << ' ';
    std::cout << '\n';
    check(error.failures() == 1, "one call failed");
  }
}

// --- Errors --------------------------------------------------------------------------------------

class OutOfPaper : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Printer {
  void print(int pages) const {
    if (pages > 100) throw OutOfPaper("after page 100");
  }
};

struct Fragile {
  Fragile() { throw std::runtime_error("no such device"); }
  int value() const { return 1; }
};

void errors() {
  apalis::register_exception<OutOfPaper>();  // before the handler is made
  apalis::Handler<Printer> h;

  try {
    h.call(&Printer::print, 200).get();
  } catch (const OutOfPaper& error) {
    std::cout << error.what() << '\n';
    if (auto* remote = dynamic_cast<const apalis::RemoteError*>(&error))
      std::cout << remote->type_name() << " in " << remote->where() << ", process "
                << remote->worker_pid() << '\n';
  }

  apalis::Handler<Fragile> fragile;  // does not throw: the constructor runs over there, later
  try {
    fragile.call(&Fragile::value).get();
  } catch (const std::runtime_error& error) {
    std::cout << error.what() << '\n';  // every call fails with it
  }
}

void deaths() {
  apalis::Handler<Printer> h;
  h.call([](Printer&) { std::_Exit(3); }).wait();
  try {
    h.call(&Printer::print, 1).get();
  } catch (const apalis::WorkerDied& error) {
    std::cout << error.what() << '\n';  // pid(), signal(), exit_status(), call(), hint(), stack()
    check(error.exit_status() == 3, "its exit status is told");
  }
  check(!h.alive(), "it is dead");
}

// --- When a worker dies --------------------------------------------------------------------------

struct Solver {
  int steps = 0;

  int step(int by) { return steps += by; }
  int crash() { std::_Exit(3); }
  int never_end() {
    for (;;) std::this_thread::sleep_for(1h);
  }
  int until_asked(int limit) {
    const auto stop = apalis::this_worker().stop_token();
    int done = 0;
    while (done < limit && !stop.stop_requested()) {
      std::this_thread::sleep_for(1ms);
      ++done;
    }
    return done;
  }
};

void replacing() {
  apalis::Handler<Solver> h{{.restart = {.max = 5}}, apalis::carry, Solver{.steps = 100}};
  auto lost = h.call(&Solver::crash);
  auto kept = h.call(&Solver::step, 1);
  try {
    lost.get();
  } catch (const apalis::WorkerDied& error) {
    std::cout << error.what() << '\n';
  }
  std::cout << kept.get() << '\n';    // 101: from a new worker, with the object as it was
  std::cout << h.restarts() << '\n';  // 1

  auto twice = h.call({.retries = 1}, &Solver::step, 1);  // may run again if its worker dies
  twice.wait();

  auto endless = h.call({.timeout = 100ms}, &Solver::never_end);
  try {
    endless.get();
  } catch (const apalis::TimedOut& error) {
    std::cout << error.what() << '\n';
  }

  auto patient = h.call(&Solver::until_asked, 1'000'000);
  patient.cancel();  // drops it, or asks it to stop
  auto stuck = h.call(&Solver::never_end);
  stuck.cancel(apalis::force);  // drops it, or ends it with its worker
  check(h.restarts() >= 2, "workers were replaced");
}

// --- Groups --------------------------------------------------------------------------------------

struct Oscillator {
  double x = 1, v = 0;

  double step(double dt) {
    v -= x * dt;
    return x += v * dt;
  }
  double energy() const { return (x * x + v * v) / 2; }
  double stop_at(double limit) const {
    if (energy() > limit) throw std::range_error("it swings too far");
    return energy();
  }
};

void groups() {
  apalis::GroupHandler<Oscillator> g{
      std::in_place, 64, [](std::size_t i) { return Oscillator{.x = static_cast<double>(i)}; }};
  std::cout << g.size() << " objects in " << g.workers() << " processes\n";

  std::vector<Oscillator> plucked(10);
  apalis::GroupHandler<Oscillator> carried{std::move(plucked)};
  apalis::GroupHandler<Oscillator> alike{{.workers = 3}, std::in_place, 100};

  double one = g[2].call(&Oscillator::step, 0.1).get();     // as with a Handler
  for (auto object : g) object.set(&Oscillator::v, 0);      // g[0], g[1], …
  std::vector<double> all = g.map(&Oscillator::step, 0.1);  // every object
  std::vector<double> steps(g.size(), 0.2);
  std::vector<double> own = g.map(&Oscillator::step, apalis::each(steps));  // one for each

  check(one == 1.98 && all.size() == 64 && own.size() == 64, "the second oscillator");
  check(carried.size() == 10 && alike.workers() == 3, "their sizes");

  std::vector calls{g[2].prepare(&Oscillator::step, 0.1), g[7].prepare(&Oscillator::energy),
                    g[2].prepare(&Oscillator::energy)};
  std::vector<double> results = g.run(calls);  // one message for each worker that has a part
  auto later = g.multiple_run(calls);          // Token<std::vector<double>>

  calls.push_back(g[60].prepare(&Oscillator::stop_at, 10.0));
  for (const apalis::Outcome<double>& outcome : g.run(calls, apalis::collect))
    std::cout << (outcome ? std::to_string(outcome.value()) : "failed") << ' ';
  std::cout << '\n';

  check(results.size() == 3 && later.get().size() == 3, "batches of a group");
  check(!g.run(calls, apalis::collect).back(), "the last one fails");
}

// --- Parallel map --------------------------------------------------------------------------------

long primes_from(long first, long count) {
  long found = 0;
  for (long n = std::max(first, 2L); n < first + count; ++n) {
    long d = 2;
    while (d * d <= n && n % d != 0) ++d;
    found += d * d > n ? 1 : 0;
  }
  return found;
}

using Rates = std::map<std::string, double>;

double pay(const std::string& name, const Rates& rates, double hours) {
  return rates.at(name) * hours;
}

struct Dice {  // an own one in each worker, made there
  std::uniform_int_distribution<int> side{1, 6};
  long thrown = 0;
};

int throw_two(Dice& dice, int /*player*/, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  dice.thrown += 2;
  return dice.side(random) + dice.side(random);
}

void maps() {
  apalis::Engine engine{apalis::Backend::processes};  // or threads, or serial

  std::vector<long> starts{0, 1000, 2000, 3000, 4000};
  std::vector<long> counts = engine.map(primes_from, starts, 1000);  // primes_from(start, 1000)

  check(counts == std::vector<long>{168, 135, 127, 120, 119}, "so many primes");

  auto endless = std::views::iota(0L) | std::views::transform([](long i) { return 1000 * i; });
  long sum = 0;
  for (long& count : engine.imap(primes_from, endless, 1000)) {
    sum += count;
    if (sum > 1000) break;  // the rest is cancelled
  }

  long total = engine.map_reduce(primes_from, std::plus<>{}, 0L, starts, 1000);
  std::vector<char> letters = engine.flat_map([](const std::string& word) { return word + ","; },
                                              std::vector<std::string>{"ab", "c"});

  check(total == 669 && sum > 1000 && letters.size() == 5, "sums and letters");

  engine.map(primes_from, starts, 1000, apalis::batched(2));     // two batches
  engine.map(primes_from, starts, 1000, apalis::batch_size(3));  // of three items each

  apalis::Engine{"threads", {.max_workers = 2}}.map(primes_from, starts, 1000);
}

void maps_and_data() {
  apalis::Engine engine;
  Rates table{{"ada", 40}, {"bob", 25}};
  std::vector<std::string> names{"ada", "bob"};

  auto shared = apalis::put(table);  // written once, read by every worker
  std::vector<double> pays = engine.map(pay, names, shared, 7.5);

  auto again = engine.map([&](const std::string& name) { return table.at(name) * 7.5; }, names);

  check(pays == again && pays[0] == 300, "what they earn");

  auto game = engine.with_state<Dice>([] { return Dice{}; });
  std::vector<int> points = game.map(throw_two, std::views::iota(0, 100), apalis::seeds(42));

  check(points.size() == 100 && std::ranges::max(points) <= 12, "two dice");
}

void maps_that_fail() {
  apalis::Engine engine;
  Rates table{{"ada", 40}};
  std::vector<std::string> names{"ada", "eve", "bob"};

  try {
    engine.map(pay, names, table, 7.5);
  } catch (const apalis::MapError& error) {
    std::cout << error.index() << ": " << error.what() << '\n';  // cause(): what was thrown
  }

  for (const apalis::Outcome<double>& outcome : engine.map(pay, names, table, 7.5, apalis::collect))
    std::cout << (outcome ? std::to_string(outcome.value()) : "failed") << ' ';
  std::cout << '\n';

  auto all = engine.map(primes_from, std::vector{0L, 1000L}, 1000, apalis::retries(2));
  check(all.size() == 2, "both are there");
}

// --- What comes after a call ---------------------------------------------------------------------

apalis::Coroutine<int> add_twice(apalis::Handler<Counter>& h, apalis::Handler<Counter>& k) {
  const int a = co_await h.call(&Counter::add_slowly, 1);
  const int b = co_await k.call(&Counter::add_slowly, a);
  co_return a + b;
}

void what_comes_after() {
  apalis::Handler<Counter> h, k;
  auto text = h.call(&Counter::add, 5).then([](int sum) { return std::to_string(sum); });
  std::cout << text.get() << '\n';  // "5", of a Token<std::string>

  int both = apalis::sync_wait(add_twice(h, k));  // 6 + 6

  auto first = apalis::start(add_twice(h, k));  // Token<int>
  auto second = apalis::start(add_twice(k, h));
  auto [sum, other] = apalis::get(first, second);

  check(both == 12 && sum + other > 2 * both, "sums of coroutines");
}

void event_loop() {
  apalis::Handler<Counter> h;
  bool shown = false;
  auto t = h.call(&Counter::add_slowly, 1).then([&](int sum) {
    std::cout << sum << '\n';
    shown = true;
  });
  while (!shown) {
    pollfd watched{apalis::notify_fd(), POLLIN, 0};
    ::poll(&watched, 1, -1);  // and for whatever else the program waits
    apalis::poll();           // runs what has come due; never waits
  }
}

// --- Threads -------------------------------------------------------------------------------------

void threads() {
  apalis::Handler<Counter> h;
  {
    std::vector<std::jthread> threads(4);
    for (std::jthread& thread : threads)
      thread = std::jthread([&h] {
        for (int k = 0; k < 100; ++k) h.call(&Counter::add, 1).get();
      });
  }
  check(h.get(&Counter::total).get() == 400, "no call is lost");
}

// --- Without processes ---------------------------------------------------------------------------

int work(apalis::Backend backend) {
  apalis::Handler<Counter> h{{.backend = backend}, std::in_place};
  h.post(&Counter::add, 40);
  return h.call(&Counter::add, 2).get();
}

void backends() {
  check(work(apalis::Backend::processes) == 42 && work(apalis::Backend::serial) == 42, "the same");
}

void own_backends() {
  const auto gentle = apalis::register_backend(
      "gentle", {.base = apalis::Backend::processes, .prepare_worker = [] { (void)::nice(10); }});

  apalis::Handler<Counter> h{{.backend = gentle}, std::in_place};
  apalis::Engine engine{"gentle", {.max_workers = 2}};  // or APALIS_BACKEND=gentle

  check(h.call([](Counter&) { return ::nice(0); }).get() == std::min(::nice(0) + 10, 19),
        "the worker is gentle");

  apalis::register_backend(
      "our threads",
      {.base = apalis::Backend::threads,
       .launch = [](std::function<void()> body) { std::thread(std::move(body)).detach(); }});

  check(work(gentle) == 42 && work(apalis::backend_named("our threads")) == 42, "the same");
  check(engine.map(primes_from, std::vector<long>{0, 10}, 10) == std::vector<long>{4, 4},
        "primes below 20");
}

// --- Tasks ---------------------------------------------------------------------------------------

const std::vector<std::string> users{"ada", "grace", "edsger", "barbara", "tony"};

std::string greet(std::size_t first, std::size_t last) {
  std::string text;
  for (; first < last; ++first) text += "Hello " + users[first] + "! ";
  return text;
}

std::string greet_all(const apalis::Engine& engine) {
  auto group = apalis::TaskGroup<std::string>::make(engine, {.max_load_average = 0.8});
  if (!group) return greet(0, users.size());  // others keep the machine busy
  for (auto [first, last] : apalis::ranges(users)) group->run(greet, first, last);
  std::string text;
  for (const std::string& part : group->get()) text += part;  // in the order of the runs
  return text;
}

void tasks() {
  const apalis::Engine engine;
  check(greet_all(engine) == greet(0, users.size()), "a group gives what the loop gives");

  auto group = apalis::TaskGroup<int>::make(engine).value();
  group.run([] { return 1; });
  group.run([]() -> int { throw std::runtime_error("no such user"); });
  try {
    group.get(10s);
  } catch (const apalis::TimedOut& error) {
    std::cout << error.what() << '\n';  // which runs are missing; get() may be called again
  } catch (const apalis::BatchError& error) {
    std::cout << error.what() << '\n';  // … run 1, …: no such user
    std::cout << error.outcomes<int>()[0].value() << '\n';  // 1
  }
  check(group.finished(), "a group that failed has finished");
}

// --- Ending --------------------------------------------------------------------------------------

void ending() {
  apalis::Handler<Counter> h;
  auto t = h.call(&Counter::add_slowly, 3);
  h.post(&Counter::divide, 0);
  try {
    h.close();  // completes what was accepted, destroys the Counter, ends the process
  } catch (const apalis::PostError& error) {
    std::cout << error.what() << '\n';
  }
  std::cout << t.get() << '\n';  // 3: a token outlives its handler

  apalis::Handler<Counter> stuck{{.on_error = [](const std::exception_ptr&) { /* log it */ }},
                                 std::in_place};
  auto hopeless = stuck.call([](Counter&) {
    for (;;) std::this_thread::sleep_for(1h);
  });
  stuck.kill();
  try {
    hopeless.get();
  } catch (const apalis::WorkerDied& error) {
    std::cout << error.what() << '\n';
  }
}

int main() {
  first_handler();
  making();
  tokens();
  crossing();
  callables();
  one_way();
  several();
  batches();
  errors();
  deaths();
  replacing();
  groups();
  maps();
  maps_and_data();
  maps_that_fail();
  what_comes_after();
  event_loop();
  threads();
  backends();
  own_backends();
  tasks();
  ending();
  std::puts("all as the tutorial says");
}
