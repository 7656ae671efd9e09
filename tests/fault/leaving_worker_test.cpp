// SPDX-License-Identifier: BSL-1.0
// A link whose worker ends by itself when it was idle: whoever forked it, and what becomes of what
// comes later.
#include <apalis/backend/backend.hpp>
#include <apalis/detail/actor/makers.hpp>
#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/actor/result_state.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/error.hpp>
#include <apalis/fork_server.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "host.hpp"
#include "support/catch.hpp"

namespace actor = apalis::detail::actor;
namespace wire = apalis::detail::wire;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

struct Number {
  explicit Number(int n) : value(n) {}
  int read() const { return value; }
  int value;
};

void speak(void* object, wire::Reader& /*arguments*/, wire::Buffer& /*result*/) {
  throw std::domain_error("the last words of " +
                          std::to_string(static_cast<const Number*>(object)->value));
}
constexpr wire::Entry speak_entry{&speak, "speak"};

using ReadState = std::unique_ptr<actor::ReplyState<int>, actor::Abandon>;

ReadState read(actor::Link& link) {
  wire::Buffer message;
  wire::encode_call_v<Number, &Number::read>(message);
  ReadState state{new actor::ReplyState<int>};
  wire::Reader reader{message.bytes()};
  state->entry = wire::read_entry(reader);
  state->attach(link);
  link.submit(message, *state);
  (void)link.wait(*state, actor::no_deadline);
  return state;
}

}  // namespace

TEST_CASE("a worker leaves when it is idle, whoever forked it", "[leaving]") {
  const bool by_server = GENERATE(false, true);
  CAPTURE(by_server);
  Host host([by_server](Host::Side&) {
    if (by_server) apalis::ForkServer::start();
    std::vector<std::string> errors;
    std::vector<apalis::WorkerExit> exits;
    apalis::Options options;
    options.on_error = [&](const std::exception_ptr& error) {
      errors.push_back(actor::describe(error));
    };
    options.on_worker_exit = [&](const apalis::WorkerExit& exit) { exits.push_back(exit); };
    const int number = 42;
    actor::InPlaceMaker<Number, const int&> maker{number};
    maker.idle_limit = 30ms;
    maker.last_words = &speak_entry;
    actor::Link* const link = apalis::detail::backend::open_link(options, maker);
    const Watched worker(link->pid());
    expect(read(*link)->value() == 42, "its object lives");
    expect(!link->has_left(), "it is there");
    expect(worker.ends(), "it ends");
    expect(link->leaves(), "and has said so");
    const auto late = read(*link);  // noticed only now
    expect(late->error() != nullptr && link->has_left(), "what comes later comes back");
    expect(!link->alive(), "it is gone");
    expect(errors.size() == 1 && errors[0].find("the last words of 42") != std::string::npos,
           "its last words are told");
    expect(exits.size() == 1 && exits[0].expected && exits[0].status == 0, "it ended in peace");
    try {
      (void)read(*link)->value();
      expect(false, "nobody is there");
    } catch (const apalis::WorkerDied& died) {
      expect(died.call().empty(), "no call has begun");
    }
    link->shut(false, actor::at_once);
    expect(errors.size() == 1, "nothing else is told");
    link->release();
    if (by_server) apalis::ForkServer::stop();
    return 0;
  });
  CHECK(host.status() == 0);
}
