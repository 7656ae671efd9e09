// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where calls find their object: the one that lives here or, of many, the one that they name.

#include <apalis/detail/wire/objects.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace apalis::detail::actor {

/// The entry that an encoded call starts with.
inline const wire::Entry& called_entry(std::span<const std::byte> message) noexcept {
  const wire::Entry* entry = nullptr;
  std::memcpy(&entry, message.data(), sizeof entry);
  return *entry;
}

/// Ends a message to a residence of many. At its end, for offsets count from its start.
inline void address(wire::Buffer& message, std::uint32_t index) {
  message.append(&index, sizeof index);
}

/// **Owns** nothing: the object's life is its maker's affair.
/// **Threads:** one at a time.
class Residence {
 public:
  explicit Residence(bool of_many) noexcept : of_many_(of_many) {}

  /// The object (a wire::Objects, of many) moves in.
  void settle(void* object) noexcept { object_ = object; }
  /// And out again; null if none lives here.
  [[nodiscard]] void* vacate() noexcept { return std::exchange(object_, nullptr); }

  /// Runs an encoded call, and lets out what it throws.
  void invoke(std::span<const std::byte> message, wire::Buffer& result) const {
    void* object = object_;
    if (of_many_) {
      constexpr auto index_bytes = sizeof(std::uint32_t);
      std::uint32_t index = 0;
      std::memcpy(&index, message.data() + message.size() - index_bytes, index_bytes);
      message = message.first(message.size() - index_bytes);
      if (index != wire::all_objects) object = static_cast<wire::Objects*>(object_)->at(index);
    }
    wire::Reader reader{message};
    wire::read_entry(reader)->invoke(object, reader, result);
  }

 private:
  void* object_ = nullptr;
  bool of_many_;
};

}  // namespace apalis::detail::actor
