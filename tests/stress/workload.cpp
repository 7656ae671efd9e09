// SPDX-License-Identifier: BSL-1.0
#include "workload.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "settings.hpp"

namespace stress {
namespace {

std::uint64_t digest_of_results(const std::vector<std::uint64_t>& results) {
  std::uint64_t d = results.size();
  for (auto r : results) d = mixed(d, r);
  return d;
}

// What Ledger::refuse throws for x, as a number.
std::uint64_t refusal_of(std::uint64_t x) {
  return digest_of(std::to_string(x)) + x % 2;
}

}  // namespace

Driver::Driver(std::vector<apalis::Handler<Ledger>>& handlers, std::size_t lane,
               std::mt19937_64 random, Findings& findings)
    : handlers_(handlers),
      models_(handlers.size()),
      lane_(lane),
      random_(random),
      findings_(findings) {}

void Driver::run(std::uint64_t calls) {
  for (std::uint64_t i = 0; i < calls; ++i) {
    if (i % 5000 == 0) window_ = std::size_t{1} << (random_() % 14);
    step();
    while (pending_.size() >= window_) settle_one();
  }
  std::shuffle(pending_.begin(), pending_.end(), random_);
  while (!pending_.empty()) settle_one();
  findings_.calls += calls;
}

bool Driver::agrees(std::size_t handler, const Ledger& object) const {
  return object.lanes.at(lane_) == models_.at(handler).lanes.at(lane_);
}

std::string Driver::random_text() {
  std::string text(random_size(random_), static_cast<char>('a' + random_() % 26));
  if (!text.empty()) text[random_() % text.size()] = '!';
  return text;
}

std::vector<std::uint32_t> Driver::random_numbers() {
  std::vector<std::uint32_t> numbers(random_size(random_) / 4);
  auto x = static_cast<std::uint32_t>(random_());
  for (auto& n : numbers) n = x += 7;
  return numbers;
}

void Driver::step() {
  const std::size_t which = random_() % handlers_.size();
  auto& h = handlers_[which];
  auto& model = models_[which];
  const std::uint64_t x = random_();
  const std::size_t slot = random_() % Ledger::shelf_size;
  const auto dice = random_() % 1000;
  if (dice < 300) {
    keep({h.call<&Ledger::mix>(lane_, x), model.mix(lane_, x)});
  } else if (dice < 450) {
    keep({h.call(&Ledger::mix, lane_, x), model.mix(lane_, x)});
  } else if (dice < 550) {
    h.post<&Ledger::mix>(lane_, x);
    model.mix(lane_, x);
  } else if (dice < 650) {
    const std::string text = random_text();
    auto t = h.call(&Ledger::append, lane_, slot, text);
    keep({std::move(t), model.append(lane_, slot, text)});
  } else if (dice < 720) {
    std::string text = random_text();
    auto t = h.call(&Ledger::put, lane_, slot, text);
    keep({std::move(t), digest_of(model.put(lane_, slot, std::move(text)))});
  } else if (dice < 760) {
    keep({h.call(&Ledger::peek, lane_, slot), digest_of(model.peek(lane_, slot))});
  } else if (dice < 820) {
    const auto numbers = random_numbers();
    auto t = h.call<&Ledger::sum>(lane_, numbers);
    keep({std::move(t), model.sum(lane_, numbers)});
  } else if (dice < 860) {
    const std::string text = random_text();
    auto t = h.call([](Ledger& l, std::size_t lane, std::string_view s) { return l.view(lane, s); },
                    lane_, text);
    keep({std::move(t), model.view(lane_, text)});
  } else if (dice < 900) {
    const auto first = static_cast<std::uint32_t>(x);
    const std::size_t n = random_size(random_);
    auto t = h.call(&Ledger::range, lane_, first, n);
    keep({std::move(t), digest_of(model.range(lane_, first, n))});
  } else if (dice < 930) {
    auto t = h.call(&Ledger::refuse, lane_, x);
    model.mix(lane_, x);
    keep({std::move(t), refusal_of(x), Pending::End::exception});
  } else if (dice < 945) {
    h.post(&Ledger::refuse, lane_, x);
    model.mix(lane_, x);
    ++findings_.refused_posts;
  } else if (dice < 970) {
    const std::string text = random_text();
    auto t = h.call(&Ledger::echo, text);
    if (random_() % 2 == 0) t.cancel();
    keep({std::move(t), digest_of(text), Pending::End::value_or_cancelled});
  } else if (dice < 985) {
    const std::string text = random_text();
    model.lanes.at(lane_).shelf.at(slot) = text;
    h.post([](Ledger& l, std::size_t lane, std::size_t s,
              std::string t) { l.lanes.at(lane).shelf.at(s) = std::move(t); },
           lane_, slot, text);
  } else if (dice < 995) {
    batch(which);
  } else if (dice < 999) {
    keep({h.call([](const Ledger& l, std::size_t lane) { return l.lanes.at(lane).digest; }, lane_),
          model.lanes.at(lane_).digest});
  } else {
    drain(which);
  }
}

void Driver::batch(std::size_t which) {
  std::vector<apalis::Call<Ledger, std::uint64_t>> calls;
  std::vector<std::uint64_t> expected;
  for (std::size_t n = random_() % 60; n > 0; --n) {
    const std::uint64_t x = random_();
    if (x % 5 != 0) {
      calls.push_back(handlers_[which].prepare(&Ledger::mix, lane_, x));
      expected.push_back(models_[which].mix(lane_, x));
    } else {
      const auto numbers = random_numbers();
      calls.push_back(handlers_[which].prepare(&Ledger::sum, lane_, numbers));
      expected.push_back(models_[which].sum(lane_, numbers));
    }
  }
  keep({handlers_[which].multiple_run(calls), digest_of_results(expected)});
}

void Driver::drain(std::size_t which) {
  try {
    handlers_[which].drain();
  } catch (const apalis::PostError& e) {
    findings_.told_posts += e.count();
  }
}

void Driver::keep(Pending pending) {
  if (random_() % 10 == 0) return;  // dropped
  pending_.push_back(std::move(pending));
}

void Driver::settle_one() {
  const std::size_t i = random_() % pending_.size();
  std::swap(pending_[i], pending_.back());
  check(pending_.back());
  pending_.pop_back();
}

void Driver::check(Pending& pending) {
  const bool by_rvalue = random_() % 2 == 0;
  bool right = false;
  try {
    const std::uint64_t digest = std::visit(
        [&](auto& token) {
          const auto digest_any = [](const auto& result) -> std::uint64_t {
            if constexpr (std::is_same_v<std::decay_t<decltype(result)>,
                                         std::vector<std::uint64_t>>)
              return digest_of_results(result);
            else
              return digest_of(result);
          };
          return by_rvalue ? digest_any(std::move(token).get()) : digest_any(token.get());
        },
        pending.token);
    right = pending.end != Pending::End::exception && digest == pending.digest;
  } catch (const std::out_of_range& e) {
    right = pending.end == Pending::End::exception && digest_of(e.what()) == pending.digest;
  } catch (const apalis::Cancelled&) {
    right = pending.end == Pending::End::value_or_cancelled;
  } catch (const apalis::Error&) {
    right = false;
  } catch (const std::runtime_error& e) {
    right = pending.end == Pending::End::exception && digest_of(e.what()) + 1 == pending.digest;
  }
  if (!right) ++findings_.wrong;
}

}  // namespace stress
