// SPDX-License-Identifier: BSL-1.0
//
// Many objects in a few processes: a bank, whose accounts live with one worker a core.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

struct Account {
  long number;
  long cents;

  long deposit(long amount) { return cents += amount; }
  long withdraw(long amount) {
    if (amount > cents)
      throw std::domain_error("account " + std::to_string(number) + " has only " +
                              std::to_string(cents));
    return cents -= amount;
  }
  long add_interest(double rate) { return cents += std::lround(rate * static_cast<double>(cents)); }
};

void check(bool holds, const char* what) {
  if (!holds) throw std::logic_error(std::string("not so: ") + what);
}

void print(const char* what, const std::vector<long>& values) {
  std::printf("%-22s", what);
  for (const long value : values) std::printf("%8ld", value);
  std::puts("");
}

void small_bank() {
  // Account i is made where it will live: with worker i mod workers().
  apalis::GroupHandler<Account> bank{std::in_place, 6, [](std::size_t i) {
                                       return Account{static_cast<long>(i), 1000};
                                     }};
  std::printf("%zu accounts in %zu processes\n", bank.size(), bank.workers());

  // One object, as with a Handler.
  apalis::Token<long> balance = bank[2].call(&Account::deposit, 500);
  check(balance.get() == 1500, "a deposit");

  // Every object: the same argument for all, or one for each.
  print("with 2 % interest", bank.map(&Account::add_interest, 0.02));
  const std::vector<long> salaries{100, 200, 300, 400, 500, 600};
  print("with salaries", bank.map(&Account::deposit, apalis::each(salaries)));

  // Some of them: different methods with one result type, one message for each worker.
  std::vector transfer{bank[5].prepare(&Account::withdraw, 600),
                       bank[0].prepare(&Account::deposit, 600)};
  print("after a transfer", bank.run(transfer));
  check(bank[0].get(&Account::cents).get() == 1720, "a transfer");

  // A call that throws leaves the others alone.
  transfer = {bank[1].prepare(&Account::withdraw, 9999), bank[3].prepare(&Account::withdraw, 400)};
  try {
    bank.run(transfer);
    check(false, "there was not enough money");
  } catch (const apalis::BatchError& error) {
    const auto& outcomes = error.outcomes<long>();
    std::printf("%s\nthe other has %ld left\n", error.what(), outcomes[1].value());
    check(outcomes[1].value() == 1020, "the second withdrawal");
  }

  // The same without an exception: run() gives what each call came to.
  std::vector<apalis::Call<Account, long>> fees;
  for (auto account : bank) fees.push_back(account.prepare(&Account::withdraw, 1200));
  long unpaid = 0;
  for (const apalis::Outcome<long>& outcome : bank.run(fees, apalis::collect))
    unpaid += outcome ? 0 : 1;
  std::printf("%ld accounts can't pay the fee\n", unpaid);
  check(unpaid == 2, "two of them are poor");
}

/// What these processes do not share with anyone, in bytes.
double private_bytes(const std::vector<pid_t>& pids) {
  double kib = 0;
  for (const pid_t pid : pids) {
    std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps_rollup");
    for (std::string line; std::getline(smaps, line);)
      if (line.starts_with("Private_")) kib += std::stod(line.substr(line.find(':') + 1));
  }
  return kib * 1024;
}

void large_bank() {
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const std::size_t count = 1'000'000;
  auto make = [](std::size_t i) { return Account{static_cast<long>(i), static_cast<long>(i % 7)}; };

  apalis::GroupHandler<Account> few{std::in_place, static_cast<std::size_t>(apalis::cpu_count()),
                                    make};
  few.drain();
  const double without = private_bytes(few.pids());

  auto start = Clock::now();
  apalis::GroupHandler<Account> many{std::in_place, count, make};
  many.drain();
  const Milliseconds making = Clock::now() - start;
  const double bytes = (private_bytes(many.pids()) - without) / static_cast<double>(count);

  start = Clock::now();
  const std::vector<long> balances = many.map<&Account::deposit>(1L);
  const Milliseconds mapping = Clock::now() - start;
  const long total = std::accumulate(balances.begin(), balances.end(), 0L);

  std::printf("a million accounts: made in %.0f ms, %.0f bytes each (%zu of them the account)\n",
              making.count(), bytes, sizeof(Account));
  std::printf("a deposit to each: %.1f ms, %ld cents in all\n", mapping.count(), total);
  check(total == 3'999'997, "the sum of a million balances");
}

int main() {
  small_bank();
  large_bank();
}
