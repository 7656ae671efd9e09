// SPDX-License-Identifier: BSL-1.0
//
// The risk of bond portfolios by simulation: portfolios come from a generator, one at a time, all
// workers share one yield curve, and each portfolio has random numbers of its own, so that the
// results are the same to the last bit whatever the backend and the number of workers.
//
//   portfolio [PORTFOLIOS [SCENARIOS]]        by default 300 500

#include <algorithm>
#include <apalis/apalis.hpp>
#include <apalis/progress.hpp>
#include <array>
#include <cmath>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

// --- A generator ---------------------------------------------------------------------------------

/// What a coroutine yields, as an input range: C++23's std::generator, as far as it is needed here.
template <class T>
class Generator {
 public:
  struct promise_type {
    T* value = nullptr;

    Generator get_return_object() { return Generator{Handle::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(T& yielded) noexcept {
      value = &yielded;
      return {};
    }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() { throw; }
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Generator(Handle handle) noexcept : handle_(handle) {}
  Generator(Generator&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Generator& operator=(Generator&&) = delete;
  ~Generator() {
    if (handle_) handle_.destroy();
  }

  struct Iterator {
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    Handle handle;

    T& operator*() const { return *handle.promise().value; }
    Iterator& operator++() {
      handle.resume();
      return *this;
    }
    void operator++(int) { handle.resume(); }
    bool operator==(std::default_sentinel_t /*end*/) const { return handle.done(); }
  };
  Iterator begin() {
    handle_.resume();
    return {handle_};
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  Handle handle_;
};

// --- Portfolios and the curve --------------------------------------------------------------------

struct Bond {
  double face = 0, coupon = 0;  // a year, of the face
  int years = 0;
};

struct Portfolio {
  int number = 0;
  std::vector<Bond> bonds = {};

  template <class Archive>
  void serialize(Archive& archive) {
    archive(number, bonds);
  }
};

/// Each one is the one before after a trade, so there is no way to know the last without the others.
Generator<Portfolio> trading(int portfolios) {
  std::mt19937_64 random{7};
  std::uniform_int_distribution<int> years{1, 30}, which{0, 19};
  std::uniform_real_distribution<double> coupon{0.0, 0.06}, face{10'000, 100'000};
  const auto bond = [&] { return Bond{face(random), coupon(random), years(random)}; };

  Portfolio portfolio;
  for (int i = 0; i < 20; ++i) portfolio.bonds.push_back(bond());
  for (; portfolio.number < portfolios; ++portfolio.number) {
    co_yield portfolio;
    portfolio.bonds[static_cast<std::size_t>(which(random))] = bond();
  }
}

/// Yields of zero bonds that end in 0, 1, … 30 years (after Nelson and Siegel, 1987).
std::vector<double> make_curve() {
  std::vector<double> curve{0.021};
  for (int year = 1; year <= 30; ++year) {
    const double decay = 1 - std::exp(-year / 2.5);
    curve.push_back(0.038 - 0.017 * decay / year * 2.5 +
                    0.004 * (decay / year * 2.5 - (1 - decay)));
  }
  return curve;
}

double value(const std::vector<Bond>& bonds, const std::vector<double>& curve) {
  double sum = 0;
  for (const Bond& bond : bonds) {
    for (int year = 1; year <= bond.years; ++year) {
      const double paid = bond.coupon + (year == bond.years ? 1 : 0);
      sum += bond.face * paid * std::exp(-curve[static_cast<std::size_t>(year)] * year);
    }
  }
  return sum;
}

// --- The simulation ------------------------------------------------------------------------------

/// What each worker keeps from one portfolio to the next.
struct Workspace {
  std::vector<double> curve, losses;
};

constexpr double level_risk = 0.0018, slope_risk = 0.001;  // of the yields, in ten days

struct Risk {
  int number;
  double worth, at_risk, shortfall;  // the loss that one scenario of 100 exceeds, and by how much

  bool operator==(const Risk&) const = default;
};

/// What the engine maps. `seed`: this portfolio's own.
Risk assess(Workspace& work, const Portfolio& portfolio, const std::vector<double>& curve,
            std::uint64_t seed, int scenarios) {
  std::mt19937_64 random{seed};
  std::normal_distribution<double> normal;
  const double worth = value(portfolio.bonds, curve);
  work.losses.clear();
  for (int i = 0; i < scenarios; ++i) {
    const double level = level_risk * normal(random), slope = slope_risk * normal(random);
    work.curve = curve;
    for (std::size_t year = 1; year < curve.size(); ++year)
      work.curve[year] += level + slope * (static_cast<double>(year) / 15 - 1);
    work.losses.push_back(worth - value(portfolio.bonds, work.curve));
  }
  std::sort(work.losses.begin(), work.losses.end(), std::greater<>{});
  const auto worst = static_cast<std::size_t>(scenarios) / 100;
  double sum = 0;
  for (std::size_t i = 0; i < worst; ++i) sum += work.losses[i];
  return {portfolio.number, worth, work.losses[worst], sum / static_cast<double>(worst)};
}

std::vector<Risk> assess_all(const apalis::Engine& engine, int portfolios, int scenarios) {
  const auto stateful = engine.with_state<Workspace>([] { return Workspace{}; });
  const apalis::Ref<std::vector<double>> curve = apalis::put(make_curve());

  apalis::ProgressMeter meter{true};  // a bar on a terminal, lines in a file
  meter.start(static_cast<std::size_t>(portfolios));
  std::vector<Risk> risks;
  for (const Risk& risk :
       stateful.imap(assess, trading(portfolios), curve, apalis::seeds(2024), scenarios)) {
    risks.push_back(risk);
    meter.advance(1);
  }
  meter.finish();
  return risks;
}

/// For comparison: as if losses were proportional to the moves of the yields.
double linear_at_risk(const std::vector<Bond>& bonds) {
  const std::vector<double> curve = make_curve();
  double level = 0, slope = 0;
  for (const Bond& bond : bonds) {
    for (int year = 1; year <= bond.years; ++year) {
      const double paid = bond.coupon + (year == bond.years ? 1 : 0);
      const double loss =
          year * bond.face * paid * std::exp(-curve[static_cast<std::size_t>(year)] * year);
      level += loss;
      slope += loss * (year / 15.0 - 1);
    }
  }
  return 2.326 * std::hypot(level * level_risk, slope * slope_risk);
}

int main(int argc, char** argv) {
  const int portfolios = argc > 1 ? std::atoi(argv[1]) : 300;
  const int scenarios = argc > 2 ? std::atoi(argv[2]) : 500;
  if (argc > 3 || portfolios < 1 || scenarios < 100) {
    std::fprintf(stderr, "usage: %s [PORTFOLIOS [SCENARIOS]], at least 100 scenarios\n", argv[0]);
    return 2;
  }
  const std::vector<Risk> risks =
      assess_all(apalis::Engine{apalis::Backend::processes}, portfolios, scenarios);

  // How much of a portfolio may be lost in ten days, in quarters of a per cent.
  std::array<int, 80> counts{};
  for (const Risk& risk : risks)
    ++counts.at(std::min<std::size_t>(static_cast<std::size_t>(risk.at_risk / risk.worth * 400),
                                      counts.size() - 1));
  const int most = *std::max_element(counts.begin(), counts.end());
  std::puts("value at risk (99 %, ten days)   portfolios");
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const auto length = static_cast<std::size_t>(50 * counts[i] / most);
    std::printf("%24.2f %%  %10d  %s\n", static_cast<double>(i) / 4, counts[i],
                std::string(length, '#').c_str());
  }
  const Risk& worst = *std::max_element(risks.begin(), risks.end(), [](auto& a, auto& b) {
    return a.at_risk / a.worth < b.at_risk / b.worth;
  });
  std::printf("the riskiest is number %d: of %.0f at risk %.0f, mean loss beyond that %.0f\n",
              worst.number, worst.worth, worst.at_risk, worst.shortfall);

  double ratio = 0;
  for (Portfolio& portfolio : trading(portfolios))
    ratio += risks.at(static_cast<std::size_t>(portfolio.number)).at_risk /
             linear_at_risk(portfolio.bonds) / portfolios;
  std::printf("simulated / linear approximation: %.2f\n", ratio);

  const bool same =
      assess_all(apalis::Engine{apalis::Backend::serial}, portfolios, scenarios) == risks;
  const bool close = ratio > 0.8 && ratio < 1.2;
  std::puts(same ? "serially: the same results" : "serially: OTHER RESULTS");
  return same && close ? 0 : 1;
}
