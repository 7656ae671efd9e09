// SPDX-License-Identifier: BSL-1.0
#pragma once

// The smart pointers in our archives: what <cereal/types/memory.hpp> does, without the half of cereal
// that it includes for polymorphic types.
//
//   archive(std::make_shared<const Tree>(…));     // crosses once, however many point to it
//   archive(std::unique_ptr<Base>(…));            // polymorphic: <cereal/types/polymorphic.hpp>
//
// A user may include that header too, before this one or behind it. Its functions then fit as well,
// and of two that fit equally the more constrained is called: this one's for our archives.

#include <cereal/cereal.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <apalis/detail/wire/archive.hpp>
#include <apalis/detail/wire/refusal.hpp>

/// What lets load_and_construct() make an object in raw memory, in place of cereal's own class and
/// with all that cereal uses of it: only a class of this name may make a cereal::construct.
template <class T>
struct cereal::memory_detail::LoadAndConstructLoadWrapper<apalis::InputArchive, T> {
  explicit LoadAndConstructLoadWrapper(T* memory) : construct(memory) {}
  /// Calls made() as soon as there is an object.
  template <class F>
  LoadAndConstructLoadWrapper(T* memory, F&& made) : construct(memory, std::forward<F>(made)) {}

  void CEREAL_SERIALIZE_FUNCTION_NAME(apalis::InputArchive& archive) {
    cereal::detail::Construct<T, apalis::InputArchive>::load_andor_construct(archive, construct);
  }

  cereal::construct<T> construct;
};

namespace apalis::detail::wire {

/// Loads an object into raw memory. **Throws** cereal::Exception where its functions made none.
template <class T, class F>
void load_and_construct(InputArchive& archive, T* memory, F made) {
  cereal::memory_detail::LoadAndConstructLoadWrapper<InputArchive, T> wrapper(memory, made);
  archive(wrapper);
  (void)wrapper.construct.ptr();
}

/// **Owns** memory for a T, and the T once it is made.
template <class T>
class Place {
 public:
  Place() noexcept {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (made_) std::destroy_at(get());
  }

  [[nodiscard]] T* get() noexcept { return reinterpret_cast<T*>(bytes_); }
  void set_made() noexcept { made_ = true; }

 private:
  alignas(T) std::byte bytes_[sizeof(T)];
  bool made_ = false;
};

/// What a std::shared_ptr does where it is made of an object, for an object made later than it.
template <class T>
void enable_shared_from_this(const std::shared_ptr<T>& object) {
  if constexpr (cereal::traits::has_shared_from_this<T>::value) {
    using Base = typename cereal::traits::get_shared_from_this_base<T>::type;
    using Enabler = std::enable_shared_from_this<Base>;
    static_assert(std::is_standard_layout_v<Enabler> &&
                      sizeof(Enabler) == sizeof(std::weak_ptr<Base>),
                  "a std::weak_ptr is its first and only member");
    *reinterpret_cast<std::weak_ptr<Base>*>(static_cast<Enabler*>(object.get())) = object;
  }
}

// Registered before they are loaded: a part may point to the whole.
template <class T>
std::shared_ptr<T> load_shared(InputArchive& archive, std::uint32_t id) {
  if constexpr (cereal::traits::has_load_and_construct<T, InputArchive>::value) {
    const auto place = std::make_shared<Place<T>>();
    std::shared_ptr<T> pointer(place, place->get());
    archive.registerSharedPointer(id, pointer);
    wire::load_and_construct(archive, place->get(), [&] {
      place->set_made();
      wire::enable_shared_from_this(pointer);
    });
    return pointer;
  } else {
    std::shared_ptr<T> pointer(cereal::detail::Construct<T, InputArchive>::load_andor_construct());
    archive.registerSharedPointer(id, pointer);
    archive(*pointer);
    return pointer;
  }
}

/// Gives a T to a pointer that will delete it.
template <class T, class D>
void load_unique(InputArchive& archive, std::unique_ptr<T, D>& pointer) {
  using Value = std::remove_const_t<T>;
  if constexpr (cereal::traits::has_load_and_construct<T, InputArchive>::value) {
    struct Memory {
      alignas(T) std::byte bytes[sizeof(T)];
    };
    auto memory = std::make_unique_for_overwrite<Memory>();
    auto* const object = reinterpret_cast<Value*>(memory->bytes);
    std::unique_ptr<Value, void (*)(Value*)> made(nullptr, [](Value* v) { std::destroy_at(v); });
    wire::load_and_construct(archive, object, [&] { made.reset(object); });
    (void)made.release();
    (void)memory.release();
    pointer.reset(object);
  } else {
    std::unique_ptr<Value, D> object(
        cereal::detail::Construct<Value, InputArchive>::load_andor_construct());
    archive(*object);
    pointer = std::move(object);
  }
}

template <class Archive, class T>
concept saves_pointee = std::same_as<Archive, OutputArchive> && !std::is_polymorphic_v<T>;
template <class Archive, class T>
concept loads_pointee = std::same_as<Archive, InputArchive> && !std::is_polymorphic_v<T>;

template <class T>
inline constexpr bool is_polymorphic_pointer = false;
template <class T, class D>
inline constexpr bool is_polymorphic_pointer<std::unique_ptr<T, D>> = std::is_polymorphic_v<T>;
template <class T>
inline constexpr bool is_polymorphic_pointer<std::shared_ptr<T>> = std::is_polymorphic_v<T>;
template <class T>
inline constexpr bool is_polymorphic_pointer<std::weak_ptr<T>> = std::is_polymorphic_v<T>;

}  // namespace apalis::detail::wire

namespace cereal {

template <class Archive, class T>
  requires apalis::detail::wire::saves_pointee<Archive, T>
void CEREAL_SAVE_FUNCTION_NAME(Archive& archive, const std::shared_ptr<T>& pointer) {
  const std::uint32_t id = archive.registerSharedPointer(pointer);
  archive.write(&id, sizeof id);
  if ((id & detail::msb_32bit) != 0) archive(*pointer);
}

template <class Archive, class T>
  requires apalis::detail::wire::loads_pointee<Archive, T>
void CEREAL_LOAD_FUNCTION_NAME(Archive& archive, std::shared_ptr<T>& pointer) {
  std::uint32_t id;
  archive.read(&id, sizeof id);
  if ((id & detail::msb_32bit) != 0) {
    pointer = apalis::detail::wire::load_shared<std::remove_const_t<T>>(archive, id);
  } else {
    pointer = std::static_pointer_cast<T>(archive.getSharedPointer(id));
  }
}

template <class Archive, class T>
  requires apalis::detail::wire::saves_pointee<Archive, T>
void CEREAL_SAVE_FUNCTION_NAME(Archive& archive, const std::weak_ptr<T>& pointer) {
  const std::shared_ptr<T> locked = pointer.lock();
  archive(locked);
}

template <class Archive, class T>
  requires apalis::detail::wire::loads_pointee<Archive, T>
void CEREAL_LOAD_FUNCTION_NAME(Archive& archive, std::weak_ptr<T>& pointer) {
  std::shared_ptr<T> locked;
  archive(locked);
  pointer = locked;
}

template <class Archive, class T, class D>
  requires apalis::detail::wire::saves_pointee<Archive, T>
void CEREAL_SAVE_FUNCTION_NAME(Archive& archive, const std::unique_ptr<T, D>& pointer) {
  const std::uint8_t some = pointer ? 1 : 0;
  archive.write(&some, sizeof some);
  if (pointer) archive(*pointer);
}

template <class Archive, class T, class D>
  requires apalis::detail::wire::loads_pointee<Archive, T>
void CEREAL_LOAD_FUNCTION_NAME(Archive& archive, std::unique_ptr<T, D>& pointer) {
  std::uint8_t some;
  archive.read(&some, sizeof some);
  if (some != 0) {
    apalis::detail::wire::load_unique(archive, pointer);
  } else {
    pointer.reset();
  }
}

// Called where cereal's own, which fit better, are not there.
template <class Archive, class Pointer>
  requires(std::same_as<Archive, apalis::OutputArchive> &&
           apalis::detail::wire::is_polymorphic_pointer<Pointer>)
void CEREAL_SAVE_FUNCTION_NAME(Archive&, const Pointer&) {
  apalis::detail::wire::say(apalis::detail::wire::Refused<
      apalis::detail::wire::PolymorphicWithoutCereal<Pointer>>{});
}
template <class Archive, class Pointer>
  requires(std::same_as<Archive, apalis::InputArchive> &&
           apalis::detail::wire::is_polymorphic_pointer<Pointer>)
void CEREAL_LOAD_FUNCTION_NAME(Archive&, Pointer&) {
  apalis::detail::wire::say(apalis::detail::wire::Refused<
      apalis::detail::wire::PolymorphicWithoutCereal<Pointer>>{});
}

}  // namespace cereal
