// SPDX-License-Identifier: BSL-1.0
// A child that writes anything anywhere in its slice, between any two steps of its parent: the parent
// comes to results and errors, and stays within the slice and within bounds of memory and time.
// What the child names and holds of the parent's blocks is the parent's alone once it has ended.
//
// Input: steps of the child and of the parent in any order, each a byte and what it asks for.
#include <cstddef>
#include <cstdint>

#include "blocks.hpp"
#include "errors.hpp"
#include "input.hpp"
#include "parent.hpp"
#include "scripted_child.hpp"
#include "slice_memory.hpp"

using namespace apalis::fuzz;

namespace {

enum class Step : std::uint8_t {
  call,
  drain,
  take,
  look,
  cancel,
  abandon,
  mark,
  report,
  lend,
  drop_lent,
  count
};

void step(Step what, Parent& parent, Input& script) {
  switch (what) {
    case Step::call: {
      const auto type = script.number<std::uint8_t>();
      return parent.call(type, script.take(script.number<std::uint8_t>()));
    }
    case Step::drain:
      return parent.drain();
    case Step::take:
      return parent.take();
    case Step::look:
      return parent.look();
    case Step::cancel:
      return parent.cancel_early(script.number<std::uint8_t>());
    case Step::abandon:
      return parent.abandon(script.number<std::uint8_t>());
    case Step::mark:
      return parent.mark(script.number<std::uint32_t>());
    case Step::report:
      return parent.report_failures();
    case Step::lend:
      return parent.lend(script.number<std::uint8_t>());
    case Step::drop_lent:
      return parent.drop_lent(script.number<std::uint8_t>());
    case Step::count:
      return;
  }
}

void play(Input& script, SliceMemory& memory) {
  Child child{memory};
  Parent parent{memory.view()};
  constexpr auto steps = static_cast<unsigned>(Step::count);
  constexpr auto acts = static_cast<unsigned>(Child::Act::count);
  // Ends with the first child that is found out, unless the script has another one take its place.
  while (!script.at_end()) {
    const auto next = script.number<std::uint8_t>() % (steps + acts + 2);
    if (next < steps) {
      step(static_cast<Step>(next), parent, script);
    } else if (next < steps + acts) {
      child.act(static_cast<Child::Act>(next - steps), script);
    } else if (next == steps + acts) {
      parent.let_retire();
    } else {
      parent.restart();
    }
  }
  parent.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  register_exceptions();
  static SliceMemory memory;
  memory.clear();
  Input script{data, size};
  play(script, memory);
  Blocks::here().require_untouched();
  return 0;
}
