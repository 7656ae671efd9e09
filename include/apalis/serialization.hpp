// SPDX-License-Identifier: BSL-1.0
#pragma once

// Other ways for the arguments and results of a TaskGroup's runs to become bytes than the library's
// own, which is cereal's binary in a form that knows about spans, large vectors and shared data.
//
//   #include <apalis/task_group.hpp>
//   group.run(apalis::serialization<apalis::Json>, render, user, 80);
//
// A Format is any class with
//
//   template <class... T> static std::string save(const T&... values);
//   template <class... T> static std::tuple<T...> load(const std::string& text);

#include <cereal/archives/binary.hpp>
#include <cereal/archives/json.hpp>
#include <cereal/archives/portable_binary.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#include <sstream>
#include <string>
#include <tuple>

namespace apalis {

/// What a pair of cereal's archives makes. Types need cereal functions and a default constructor.
template <class OutputArchive, class InputArchive>
struct CerealFormat {
  template <class... T>
  static std::string save(const T&... values) {
    std::ostringstream stream;
    {
      OutputArchive archive(stream);
      archive(values...);
    }  // which completes what it wrote
    return stream.str();
  }
  template <class... T>
  static std::tuple<T...> load(const std::string& text) {
    std::tuple<T...> values;
    std::istringstream stream(text);
    InputArchive archive(stream);
    std::apply([&](T&... value) { archive(value...); }, values);
    return values;
  }
};

/// cereal's own binary archive.
using Binary = CerealFormat<cereal::BinaryOutputArchive, cereal::BinaryInputArchive>;
/// The same bytes on machines of either byte order.
using PortableBinary =
    CerealFormat<cereal::PortableBinaryOutputArchive, cereal::PortableBinaryInputArchive>;
/// Text that people can read: slow, and large.
using Json = CerealFormat<cereal::JSONOutputArchive, cereal::JSONInputArchive>;

}  // namespace apalis
