// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <apalis/apalis.hpp>
#include <string>

struct Greeter {
  std::string greeting = "Hello";
  int greeted = 0;

  std::string greet(const std::string& name) {
    ++greeted;
    return greeting + ", " + name + "!";
  }
};

// Defined in second.cpp: handlers cross translation units, and both include everything.
int greet_often(apalis::Handler<Greeter>& greeter, int times);
