// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where calls find their object: the one that lives here or, of many, the one that they name.

#include <apalis/detail/actor/link.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/objects.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
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

/// What runs before the object is made, in this order; each may be null, and empty.
struct StartHooks {
  const std::function<void()>* prepare = nullptr;   // the backend's
  const std::function<void()>* on_start = nullptr;  // of Options
};

/// **Owns** nothing: the object's life is its maker's affair.
/// **Threads:** one at a time.
class Residence {
 public:
  explicit Residence(bool of_many) noexcept : of_many_(of_many) {}

  /// Runs the hooks and has the object made. False if one of them threw: then `error` is the
  /// encoded exception.
  [[nodiscard]] bool move_in(Maker& maker, const StartHooks& hooks, wire::Buffer& error);
  /// The same in this very process: null, or the exception as it would have arrived from another.
  [[nodiscard]] std::exception_ptr move_in_here(Maker& maker, const StartHooks& hooks);

  /// Runs an encoded call. False if it threw: then `result` is the encoded exception.
  [[nodiscard]] bool run(std::span<const std::byte> message, wire::Buffer& result,
                         wire::AttachmentReader* attachments = nullptr) const {
    result.clear();
    try {
      invoke(message, result, attachments);
      return true;
    } catch (...) {
      result.clear();
      result.allow_attachments(false);
      wire::encode_current_exception(result, called_entry(message).name);
      return false;
    }
  }

  /// The object (a wire::Objects, of many) moves out; null if none lives here.
  [[nodiscard]] void* vacate() noexcept { return std::exchange(object_, nullptr); }

 private:
  /// Lets out what the call throws.
  void invoke(std::span<const std::byte> message, wire::Buffer& result,
              wire::AttachmentReader* attachments) const {
    void* object = object_;
    if (of_many_) {
      constexpr auto index_bytes = sizeof(std::uint32_t);
      std::uint32_t index = 0;
      std::memcpy(&index, message.data() + message.size() - index_bytes, index_bytes);
      message = message.first(message.size() - index_bytes);
      if (index != wire::all_objects) object = static_cast<wire::Objects*>(object_)->at(index);
    }
    wire::Reader reader{message, attachments};
    wire::read_entry(reader)->invoke(object, reader, result);
  }

  void* object_ = nullptr;
  bool of_many_;
};

/// Residence::run() where the object may not have been made, for that reason.
[[nodiscard]] bool run_here(const Residence& residence,
                            const std::exception_ptr& construction_error,
                            std::span<const std::byte> message, wire::Buffer& result);

}  // namespace apalis::detail::actor
