// SPDX-License-Identifier: BSL-1.0

// The tests' main(): Catch2's, and after each case a look for what it left behind.

#define CATCH_CONFIG_RUNNER
#include "catch.hpp"
#include "leak_check.hpp"

#include <algorithm>
#include <iostream>
#include <string>

namespace {

int leaking_cases = 0;

#if APALIS_TEST_CATCH == 3
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

class LeakListener : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;

  void testRunStarting(const Catch::TestRunInfo& info) override {
    ListenerBase::testRunStarting(info);
    if (apalis_test_warm_up != nullptr) apalis_test_warm_up();
    before_ = apalis::test::Holdings::now();
  }

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    ListenerBase::testCaseStarting(info);
    name_ = info.name;
  }

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    ListenerBase::testCaseEnded(stats);
    const auto after = apalis::test::Holdings::now();
    const auto changes = after.changes_since(before_);
    if (changes.empty()) return;
    // Catch2 takes no failure once a case has ended: the exit status tells, and standard error.
    ++leaking_cases;
    std::cout.flush();
    std::cerr << "LEAK: the test case \"" << name_ << "\" left something behind:\n";
    for (const auto& change : changes) std::cerr << "  " << change << '\n';
    std::cerr.flush();
    after.end_children_since(before_);
    before_ = apalis::test::Holdings::now();
  }

 private:
  apalis::test::Holdings before_;
  std::string name_;
};

CATCH_REGISTER_LISTENER(LeakListener)

}  // namespace

// ThreadSanitizer's runtime asks for these.
extern "C" {

// Tests kill workers by signals, at any time. The runtime's own account of such an end waits for
// locks of its own that the victim may have held.
const char* __tsan_default_options() {
  return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0";
}

// An exception that threads share, such as a worker's death, is destroyed by whoever drops it last.
// Its count is in the C++ library, which is not instrumented: that its atomics order the others'
// looks before the end goes unseen.
const char* __tsan_default_suppressions() {
  return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}
}

int main(int argc, char** argv) {
  Catch::Session session;
  if (const int refused = session.applyCommandLine(argc, argv); refused != 0) return refused;
#if APALIS_TEST_CATCH == 2
  // As version 3 does: a name that matches no case is a failure, not a success of nothing.
  auto& config = session.configData();
  config.warnings =
      static_cast<Catch::WarnAbout::What>(config.warnings | Catch::WarnAbout::NoTests);
#endif
  const int result = session.run();
  if (leaking_cases == 0) return result;
  std::cerr << leaking_cases << " leaking test case" << (leaking_cases == 1 ? "" : "s") << '\n';
  return std::max(result, 1);
}
