// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <iostream>

#include "consumer.hpp"

int main() {
  apalis::Handler<Greeter> greeter;
  if (greeter.pid() == ::getpid()) {
    std::cerr << "the object is not in a process of its own\n";
    return 1;
  }
  const std::string answer = greeter.call(&Greeter::greet, "world").get();
  const int greeted = greet_often(greeter, 10);
  std::cout << answer << ' ' << greeted << '\n';
  return answer == "Hello, world!" && greeted == 11 ? 0 : 1;
}
