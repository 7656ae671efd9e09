// SPDX-License-Identifier: BSL-1.0
//
// Looking into an object that works in another process: get, set, copy, and copy with an edit.
// A greenhouse is simulated; its controls are turned between, and "what if" is asked of copies.

#include <apalis/apalis.hpp>
#include <cstdio>
#include <vector>

struct Greenhouse {
  double outside = 6;  // degrees Celsius
  double inside = 6;
  double target = 18;
  double heating = 0;         // kWh so far
  std::vector<double> hours;  // inside, at each full hour

  void run(int count) {
    for (int hour = 0; hour < count; ++hour) {
      for (int minute = 0; minute < 60; ++minute) {
        const bool heats = inside < target;
        heating += heats ? 12.0 / 60 : 0;
        inside += (heats ? 0.15 : 0) - 0.004 * (inside - outside);
      }
      hours.push_back(inside);
    }
  }

  // Only copy() needs this: a whole object crosses by cereal. (Without the vector it would cross
  // without any code.)
  template <class Archive>
  void serialize(Archive& archive) {
    archive(outside, inside, target, heating, hours);
  }
};

int main() {
  apalis::Handler<Greenhouse> house;

  // A mild day, then a cold night with the target turned down. One-way calls, in this order.
  house.post(&Greenhouse::run, 12);
  house.set(&Greenhouse::outside, -8.0);
  house.set(&Greenhouse::target, 14.0);
  house.post(&Greenhouse::run, 12);

  // get() is a call like any other: behind what was sent before, it sees the result of it.
  const double inside = house.get(&Greenhouse::inside).get();
  const double heating = house.get(&Greenhouse::heating).get();
  std::printf("after 24 hours: %.1f C inside, %.1f kWh of heat\n", inside, heating);

  // A copy is an ordinary object, here, in this process.
  const Greenhouse now = house.copy().get();
  std::printf("at sunset %.1f C, at midnight %.1f C\n\n", now.hours[11], now.hours[17]);

  // copy(edit, arguments...) edits the copy over there first. The original does not notice.
  std::vector<double> targets{12, 15, 18, 21};
  std::vector<apalis::Token<Greenhouse>> what_if;
  what_if.reserve(targets.size());
  for (const double target : targets) {
    what_if.push_back(house.copy(
        [](Greenhouse& copy, double wanted) {
          copy.target = wanted;
          copy.run(24);
        },
        target));
  }
  std::puts("the next 24 hours, if the target were ...");
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Greenhouse& then = what_if[i].get();
    std::printf("  %2.0f C: %4.1f C inside, %5.1f kWh more\n", targets[i], then.inside,
                then.heating - heating);
  }

  // A copy can also move into a process of its own, carried by the fork.
  apalis::Handler<Greenhouse> twin{now};
  twin.post(&Greenhouse::run, 24);
  std::printf("its twin, after another day: %.1f C and %.1f kWh\n",
              twin.get(&Greenhouse::inside).get(), twin.get(&Greenhouse::heating).get());

  const bool unchanged = house.get(&Greenhouse::heating).get() == heating;
  std::printf("the original is %s\n", unchanged ? "as it was" : "CHANGED");
  return unchanged ? 0 : 1;
}
