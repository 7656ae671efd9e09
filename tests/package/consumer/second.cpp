// SPDX-License-Identifier: BSL-1.0
#include "consumer.hpp"

int greet_often(apalis::Handler<Greeter>& greeter, int times) {
  for (int i = 0; i < times; ++i) greeter.post(&Greeter::greet, std::to_string(i));
  return greeter.get(&Greeter::greeted).get();
}
