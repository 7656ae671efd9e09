// SPDX-License-Identifier: BSL-1.0
// Random operations of random sizes, in random order, against a serial model.
#include <apalis/apalis.hpp>
#include <cstddef>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "workload.hpp"
#include "ledger.hpp"
#include "settings.hpp"
#include "support/catch.hpp"

using apalis::Handler;

namespace {

// `threads` drivers on `handlers` handlers, and then a look at every object.
void against_the_model(apalis::Backend backend, std::size_t handlers, std::size_t threads,
                       std::uint64_t calls, std::uint64_t purpose) {
  CAPTURE(stress::seed(), handlers, threads, calls);
  apalis::Options options;
  options.backend = backend;
  std::vector<Handler<Ledger>> workers;
  for (std::size_t i = 0; i < handlers; ++i) workers.emplace_back(options, std::in_place);

  stress::Findings findings;
  std::vector<stress::Driver> drivers;
  for (std::size_t t = 0; t < threads; ++t)
    drivers.emplace_back(workers, t, stress::random_for(purpose * 100 + t), findings);
  std::vector<std::string> failures(threads);
  std::vector<std::thread> running;
  for (std::size_t t = 0; t < threads; ++t)
    running.emplace_back([&, t] {
      try {
        drivers[t].run(calls / threads);
      } catch (const std::exception& e) {
        failures[t] = e.what();
      }
    });
  for (auto& thread : running) thread.join();
  for (const auto& failure : failures) CHECK(failure == "");

  for (std::size_t i = 0; i < handlers; ++i) {
    try {
      workers[i].drain();
    } catch (const apalis::PostError& e) {
      findings.told_posts += e.count();
    }
    Ledger object;
    object.lanes = workers[i].get(&Ledger::lanes).get();
    for (const auto& driver : drivers) CHECK(driver.agrees(i, object));
  }
  CHECK(findings.wrong == 0);
  CHECK(findings.told_posts == findings.refused_posts);
}

}  // namespace

TEST_CASE("one thread and one handler agree with the model", "[stress]") {
  against_the_model(apalis::Backend::processes, 1, 1, stress::calls(0.25), 1);
}

TEST_CASE("one thread and several handlers agree with the model", "[stress]") {
  against_the_model(apalis::Backend::processes, 3, 1, stress::calls(0.25), 2);
}

TEST_CASE("several threads and one handler agree with the model", "[stress]") {
  against_the_model(apalis::Backend::processes, 1, 4, stress::calls(0.2), 3);
}

TEST_CASE("several threads and several handlers agree with the model", "[stress]") {
  against_the_model(apalis::Backend::processes, 3, 4, stress::calls(0.2), 4);
}

TEST_CASE("the serial backend agrees with the model", "[stress]") {
  against_the_model(apalis::Backend::serial, 2, 1, stress::calls(0.05), 5);
  against_the_model(apalis::Backend::serial, 2, 4, stress::calls(0.05), 6);
}
