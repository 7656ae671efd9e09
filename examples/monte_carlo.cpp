// SPDX-License-Identifier: BSL-1.0
//
// Prices options by simulation, with confidence intervals, beside the exact values. The random
// numbers come from 64 streams, each an object with a seed of its own, so that the results are the
// same to the last bit whatever the number of workers.
//
//   monte_carlo [CENTS]        simulates until the European's interval is that narrow; 10 by default

#include <algorithm>
#include <apalis/apalis.hpp>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <random>
#include <string>
#include <vector>

struct Market {
  double price, rate, volatility;
};
struct Contract {
  double strike, barrier, years;
  int dates;  // on which the Asian option's mean is taken
};

struct Moments {
  double sum = 0, squares = 0;

  void add(double payoff) {
    sum += payoff;
    squares += payoff * payoff;
  }
  void add(const Moments& other) {
    sum += other.sum;
    squares += other.squares;
  }
};
struct Payoffs {
  long paths = 0;
  Moments european, asian, barrier;

  void add(const Payoffs& other) {
    paths += other.paths;
    european.add(other.european);
    asian.add(other.asian);
    barrier.add(other.barrier);
  }
};

/// SplitMix64 of the index: neighbouring streams get seeds that have nothing in common.
std::uint64_t seed_of_stream(std::uint64_t base, std::uint64_t index) {
  std::uint64_t z = base + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

class Stream {
 public:
  explicit Stream(std::uint64_t seed) : random_(seed) {}

  /// Further paths of the price; the sums are of these alone.
  Payoffs simulate(const Market& market, const Contract& contract, long paths) {
    const double dt = contract.years / contract.dates;
    const double variance = market.volatility * market.volatility * dt;
    const double drift = market.rate * dt - variance / 2, spread = std::sqrt(variance);
    const double log_barrier = std::log(contract.barrier / market.price);
    Payoffs payoffs;
    payoffs.paths = paths;
    for (long path = 0; path < paths; ++path) {
      double x = 0, sum = 0, survival = 1;  // x: the logarithm of the price
      for (int date = 0; date < contract.dates; ++date) {
        const double before = x - log_barrier;
        x += drift + spread * normal_(random_);
        const double after = x - log_barrier;
        // The barrier is watched between the dates, too: the chance that the bridge misses it.
        survival *= after > 0 ? 1 - std::exp(-2 * before * after / variance) : 0;
        sum += market.price * std::exp(x);
      }
      const double gain = std::max(0.0, market.price * std::exp(x) - contract.strike);
      payoffs.european.add(gain);
      payoffs.asian.add(std::max(0.0, sum / contract.dates - contract.strike));
      payoffs.barrier.add(gain * survival);
    }
    return payoffs;
  }

 private:
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
};

// --- The exact values (Black and Scholes; Merton for the barrier below the strike) ---------------

double normal_cdf(double x) {
  return std::erfc(-x / std::numbers::sqrt2) / 2;
}

double european_value(const Market& m, const Contract& c) {
  const double s = m.volatility * std::sqrt(c.years);
  const double d = (std::log(m.price / c.strike) + m.rate * c.years) / s + s / 2;
  return m.price * normal_cdf(d) - c.strike * std::exp(-m.rate * c.years) * normal_cdf(d - s);
}

double barrier_value(const Market& m, const Contract& c) {
  const double power = 2 * m.rate / (m.volatility * m.volatility) - 1;
  // By reflection: the paths that touch the barrier are worth a call on the mirrored price.
  const Market mirrored{c.barrier * c.barrier / m.price, m.rate, m.volatility};
  return european_value(m, c) - std::pow(c.barrier / m.price, power) * european_value(mirrored, c);
}

// --- The simulation ------------------------------------------------------------------------------

struct Estimate {
  double value, half_width;  // of the 95 % interval
};

Estimate estimate(const Moments& moments, long paths, double discount) {
  const auto n = static_cast<double>(paths);
  const double mean = moments.sum / n;
  const double variance = (moments.squares / n - mean * mean) * n / (n - 1);
  return {discount * mean, discount * 1.96 * std::sqrt(variance / n)};
}

struct Result {
  long paths;
  std::array<Estimate, 3> options;
  double seconds;

  bool has_same_bits(const Result& other) const {
    using Bits = std::array<std::uint64_t, sizeof options / sizeof(std::uint64_t)>;
    return paths == other.paths &&
           std::bit_cast<Bits>(options) == std::bit_cast<Bits>(other.options);
  }
};

Result simulate(const Market& market, const Contract& contract, double half_width,
                const apalis::GroupOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const std::size_t count = 64;
  apalis::GroupHandler<Stream> streams{
      options, std::in_place, count, [](std::size_t i) { return Stream{seed_of_stream(2024, i)}; }};
  const double discount = std::exp(-market.rate * contract.years);
  Payoffs total;
  Result result{};
  do {  // the streams go on where they were
    for (const Payoffs& part : streams.map(&Stream::simulate, market, contract, 500L))
      total.add(part);  // in the order of the streams: floating-point sums depend on it
    result.options = {estimate(total.european, total.paths, discount),
                      estimate(total.asian, total.paths, discount),
                      estimate(total.barrier, total.paths, discount)};
  } while (result.options[0].half_width > half_width);
  result.paths = total.paths;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

int main(int argc, char** argv) {
  const double cents = argc > 1 ? std::atof(argv[1]) : 10;
  if (!(cents > 0)) {
    std::fprintf(stderr, "usage: %s [CENTS]\n", argv[0]);
    return 2;
  }
  const Market market{.price = 100, .rate = 0.05, .volatility = 0.3};
  const Contract contract{.strike = 100, .barrier = 90, .years = 1, .dates = 52};

  const Result serial =
      simulate(market, contract, cents / 100, {.backend = apalis::Backend::serial});
  std::printf("A year's options on a share at %.0f, strike %.0f, %ld paths of %d weeks\n\n",
              market.price, contract.strike, serial.paths, contract.dates);

  const std::array names{"European call", "Asian call", "call, out below 90"};
  const std::array exact{european_value(market, contract), std::nan(""),
                         barrier_value(market, contract)};
  std::printf("%-20s %9s %11s %9s\n", "", "simulated", "95 %", "exact");
  bool right = true;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto [value, half_width] = serial.options[i];
    std::printf("%-20s %9.4f   +- %.4f ", names[i], value, half_width);
    if (std::isnan(exact[i])) {
      std::puts("  unknown");
    } else {
      std::printf("%9.4f\n", exact[i]);
      right = right && std::abs(value - exact[i]) < 2.5 * half_width;  // 5 standard deviations
    }
  }

  std::printf("\n%-20s %9.3f s\n", "serial", serial.seconds);
  std::vector<std::size_t> counts{1, 2, 3};
  if (apalis::cpu_count() > 3) counts.push_back(static_cast<std::size_t>(apalis::cpu_count()));
  bool same = true;
  for (const std::size_t workers : counts) {
    const Result result = simulate(market, contract, cents / 100, {.workers = workers});
    const bool as_serial = result.has_same_bits(serial);
    same = same && as_serial;
    std::printf("%2zu worker%-11s %9.3f s   speed-up %5.2f   %s\n", workers, workers > 1 ? "s" : "",
                result.seconds, serial.seconds / result.seconds,
                as_serial ? "the same bits" : "OTHER BITS");
  }
  if (!right) std::puts("the simulation MISSES the exact values");
  return right && same ? 0 : 1;
}
