// SPDX-License-Identifier: BSL-1.0
//
// Many objects: results as they come (apalis::wait), then all in order (apalis::get).
// The primes below 50 million, in 16 segments, each in a process of its own.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <cstdio>
#include <vector>

struct Tally {  // crosses as it is: an aggregate of numbers needs no code
  long first, last, primes;
};

/// One segment of the sieve of Eratosthenes. It keeps its sieve between calls: that is what an
/// object in a process is for.
class Segment {
 public:
  Segment(long first, long last)
      : first_(first), composite_(static_cast<std::size_t>(last - first)) {}

  Tally sieve() {
    const long last = first_ + static_cast<long>(composite_.size());
    for (long i = first_; i < 2; ++i) at(i) = true;
    for (long p = 2; p * p < last; ++p) {
      if (!is_prime(p)) continue;
      for (long m = std::max(p * p, (first_ + p - 1) / p * p); m < last; m += p) at(m) = true;
    }
    return {first_, last, std::count(composite_.begin(), composite_.end(), false)};
  }

  /// The widest gap between neighbouring primes of this segment. Needs sieve() before.
  long widest_gap() const {
    long widest = 0;
    std::size_t previous = composite_.size();
    for (std::size_t i = 0; i < composite_.size(); ++i) {
      if (composite_[i]) continue;
      if (previous < i) widest = std::max(widest, static_cast<long>(i - previous));
      previous = i;
    }
    return widest;
  }

 private:
  static bool is_prime(long p) {
    for (long d = 2; d * d <= p; ++d)
      if (p % d == 0) return false;
    return true;
  }
  std::vector<bool>::reference at(long number) {
    return composite_[static_cast<std::size_t>(number - first_)];
  }

  long first_;
  std::vector<bool> composite_;
};

int main() {
  const long limit = 50'000'000, count = 16;
  std::printf("%ld objects on %d cores\n", count, apalis::cpu_count());

  std::vector<apalis::Handler<Segment>> segments;
  std::vector<apalis::Token<Tally>> tokens;
  for (long i = 0; i < count; ++i) {
    segments.emplace_back(std::in_place, limit / count * i, limit / count * (i + 1));
    tokens.push_back(segments.back().call(&Segment::sieve));
  }

  // As they come, whichever it is.
  long primes = 0, done = 0;
  while (!tokens.empty()) {
    const auto [ready, pending] = apalis::wait(tokens, {.count = 1});
    for (const std::size_t i : ready) {
      const Tally tally = tokens[i].get();
      primes += tally.primes;
      std::printf("[%2ld/%ld] %8ld to %9ld: %ld primes\n", ++done, count, tally.first,
                  tally.last - 1, tally.primes);
    }
    std::vector<apalis::Token<Tally>> rest;
    rest.reserve(pending.size());
    for (const std::size_t i : pending) rest.push_back(std::move(tokens[i]));
    tokens = std::move(rest);
  }

  // All at once, in order.
  std::vector<apalis::Token<long>> asked;
  asked.reserve(segments.size());
  for (auto& segment : segments) asked.push_back(segment.call(&Segment::widest_gap));
  const std::vector<long> gaps = apalis::get(std::move(asked));
  const auto widest = std::max_element(gaps.begin(), gaps.end());

  std::printf("%ld primes below %ld (3001134 is right)\n", primes, limit);
  std::printf("the widest gap is %ld (220 is right), in segment %ld\n", *widest,
              widest - gaps.begin() + 1);
  return primes == 3'001'134 && *widest == 220 ? 0 : 1;
}
