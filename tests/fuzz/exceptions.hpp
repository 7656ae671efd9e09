// SPDX-License-Identifier: BSL-1.0
#pragma once

// A program's own exceptions.

#include <exception>
#include <stdexcept>
#include <utility>

#include "values.hpp"

namespace apalis::fuzz {

struct Registered : std::exception {
  Record record;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(record);
  }
};

struct ByText : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace apalis::fuzz
