// SPDX-License-Identifier: BSL-1.0
#pragma once

// What smart pointers keep on their way, whichever of cereal's headers are there too.

#include <apalis/detail/wire/codec.hpp>
#include <cereal/cereal.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "round_trip.hpp"
#include "support/catch.hpp"

// Of one file: each includes something else.
namespace {  // NOLINT(google-build-namespaces)

struct Ring : std::enable_shared_from_this<Ring> {
  Ring() = default;
  int n = 0;
  std::weak_ptr<Ring> next;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(n, next);
  }
};

/// No default constructor. Counted, to see that what is made is destroyed once.
class Made : public std::enable_shared_from_this<Made> {
 public:
  explicit Made(int n) : n_(n) { ++alive; }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  ~Made() { --alive; }

  template <class Archive>
  void save(Archive& archive) const {
    archive(n_, self);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Made>& construct) {
    int n = 0;
    archive(n);
    if (n == never_made) return;
    construct(n);
    construct->seen = construct->weak_from_this();
    archive(construct->self);
    if (n == refused) throw std::runtime_error("refused");
  }

  static constexpr int never_made = -1;
  static constexpr int refused = -2;
  static inline int alive = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

  std::weak_ptr<Made> self;
  std::weak_ptr<Made> seen;
  [[nodiscard]] int n() const { return n_; }

 private:
  int n_;
};

struct CountingDelete {
  static inline int deleted = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
  template <class T>
  void operator()(T* object) const {
    ++deleted;
    delete object;
  }
};

/// cereal's functions for any archive, found by the argument.
struct Wrapped {
  int n = 0;
};
template <class Archive>
void save(Archive& archive, const std::shared_ptr<Wrapped>& pointer) {
  archive(pointer ? pointer->n + 1 : 0);
}
template <class Archive>
void load(Archive& archive, std::shared_ptr<Wrapped>& pointer) {
  int n = 0;
  archive(n);
  pointer = std::make_shared<Wrapped>(Wrapped{n});
}

struct Holder {
  std::shared_ptr<Wrapped> wrapped;
  std::unique_ptr<int, CountingDelete> counted;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(wrapped, counted);
  }
};

void check_pointers() {
  using apalis::test::round_trip;

  SECTION("null") {
    CHECK(round_trip(std::unique_ptr<int>()) == nullptr);
    CHECK(round_trip(std::shared_ptr<const int>()) == nullptr);
    CHECK(round_trip(std::weak_ptr<int>()).expired());
  }
  SECTION("one object of several pointers") {
    const auto text = std::make_shared<std::string>("text");
    const auto [first, second, weak] =
        round_trip(std::tuple<std::shared_ptr<std::string>, std::shared_ptr<const std::string>,
                              std::weak_ptr<std::string>>(text, text, text));
    CHECK(*first == "text");
    CHECK(first == second);
    CHECK(weak.lock() == first);
  }
  SECTION("a ring, which knows itself") {
    auto ring = std::make_shared<Ring>();
    ring->n = 7;
    ring->next = ring;
    const auto copy = round_trip(ring);
    CHECK(copy->n == 7);
    CHECK(copy->next.lock() == copy);
    CHECK(copy->shared_from_this() == copy);
    CHECK(copy.use_count() == 1);
  }
  SECTION("shared objects without a default constructor") {
    {
      auto made = std::make_shared<Made>(5);
      made->self = made;
      auto copy = round_trip(made);
      CHECK(copy->n() == 5);
      CHECK(copy->self.lock() == copy);
      CHECK(copy->shared_from_this() == copy);
      CHECK(copy->seen.lock() == copy);
      CHECK(copy.use_count() == 1);
      CHECK(round_trip(std::shared_ptr<const Made>(made))->n() == 5);
    }
    CHECK(Made::alive == 0);
  }
  SECTION("unique objects without a default constructor") {
    CHECK(round_trip(std::make_unique<Made>(6))->n() == 6);
    CHECK(round_trip(std::unique_ptr<const Made>(new Made(6)))->n() == 6);
    CHECK(Made::alive == 0);
  }
  SECTION("what its functions don't make, or refuse behind that") {
    using apalis::detail::wire::Malformed;
    CHECK_THROWS_AS(round_trip(std::make_shared<Made>(Made::never_made)), Malformed);
    CHECK_THROWS_AS(round_trip(std::make_unique<Made>(Made::never_made)), Malformed);
    CHECK_THROWS_AS(round_trip(std::make_shared<Made>(Made::refused)), std::runtime_error);
    CHECK_THROWS_AS(round_trip(std::make_unique<Made>(Made::refused)), std::runtime_error);
    CHECK(Made::alive == 0);
  }
  SECTION("deleters, and functions of the user's own") {
    CountingDelete::deleted = 0;
    Holder holder;
    holder.wrapped = std::make_shared<Wrapped>(Wrapped{1});
    holder.counted.reset(new int(3));
    {
      const Holder copy = round_trip(holder);
      CHECK(copy.wrapped->n == 2);
      CHECK(*copy.counted == 3);
    }
    CHECK(CountingDelete::deleted == 1);
  }
}

}  // namespace
