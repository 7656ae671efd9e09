// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which types can cross to another process at all.
//
//   static_assert(sendable<std::map<int, std::vector<Point>>>);
//   static_assert(!sendable<std::vector<int*>>);
//   // Culprit<std::vector<int*>> is int*: what the refusal names

#include <concepts>
#include <type_traits>

#include <apalis/detail/core/signature.hpp>
#include <apalis/detail/wire/archive.hpp>
#include <apalis/detail/wire/bytes_copyable.hpp>
#include <apalis/detail/wire/std_types.hpp>
#include <apalis/view.hpp>

namespace apalis::detail::wire {

template <class T>
inline constexpr bool is_result_view = false;
template <class T>
inline constexpr bool is_result_view<View<T>> = true;

/// How cereal loads an element: where it stays, elsewhere first, or into memory of its own.
enum class Loaded { in_place, moved, by_pointer };

/// For the std types whose cereal functions accept any element: the types that must cross in turn.
template <class T>
struct Elements {
  static constexpr bool known = false;
};
template <Loaded how, class... T>
struct ElementsLoaded {
  static constexpr bool known = true;
  static constexpr Loaded loaded = how;
  using type = TypeList<T...>;
};
template <class... T>
struct ElementsAre : ElementsLoaded<Loaded::in_place, T...> {};
template <class... T>
struct MovedElementsAre : ElementsLoaded<Loaded::moved, T...> {};
template <class T>
struct PointsTo : ElementsLoaded<Loaded::by_pointer, std::remove_const_t<T>> {};

template <class T, std::size_t n>
struct Elements<std::array<T, n>> : ElementsAre<T> {};
template <class T, class A>
struct Elements<std::vector<T, A>> : MovedElementsAre<T> {};
template <class T, class A>
struct Elements<std::deque<T, A>> : ElementsAre<T> {};
template <class T, class A>
struct Elements<std::list<T, A>> : ElementsAre<T> {};
template <class T, class A>
struct Elements<std::forward_list<T, A>> : ElementsAre<T> {};
template <class T, class C, class A>
struct Elements<std::set<T, C, A>> : MovedElementsAre<T> {};
template <class T, class C, class A>
struct Elements<std::multiset<T, C, A>> : MovedElementsAre<T> {};
template <class T, class H, class E, class A>
struct Elements<std::unordered_set<T, H, E, A>> : MovedElementsAre<T> {};
template <class T, class H, class E, class A>
struct Elements<std::unordered_multiset<T, H, E, A>> : MovedElementsAre<T> {};
template <class K, class T, class C, class A>
struct Elements<std::map<K, T, C, A>> : MovedElementsAre<K, T> {};
template <class K, class T, class C, class A>
struct Elements<std::multimap<K, T, C, A>> : MovedElementsAre<K, T> {};
template <class K, class T, class H, class E, class A>
struct Elements<std::unordered_map<K, T, H, E, A>> : MovedElementsAre<K, T> {};
template <class K, class T, class H, class E, class A>
struct Elements<std::unordered_multimap<K, T, H, E, A>> : MovedElementsAre<K, T> {};
template <class T, class C>
struct Elements<std::queue<T, C>> : ElementsAre<T> {};
template <class T, class C, class L>
struct Elements<std::priority_queue<T, C, L>> : MovedElementsAre<T> {};
template <class T, class C>
struct Elements<std::stack<T, C>> : ElementsAre<T> {};
template <class T, class U>
struct Elements<std::pair<T, U>> : ElementsAre<std::remove_const_t<T>, std::remove_const_t<U>> {};
template <class... T>
struct Elements<std::tuple<T...>> : ElementsAre<T...> {};
template <class T>
struct Elements<std::optional<T>> : ElementsAre<T> {};
template <class... T>
struct Elements<std::variant<T...>> : ElementsAre<T...> {};
template <class T>
struct Elements<std::unique_ptr<T>> : PointsTo<T> {};
template <class T>
struct Elements<std::shared_ptr<T>> : PointsTo<T> {};
template <class T>
struct Elements<std::weak_ptr<T>> : PointsTo<T> {};

template <class T>
concept has_load_and_construct = cereal::traits::has_load_and_construct<T, InputArchive>::value;

/// cereal can save T and make a new one of it.
template <class T>
concept cereal_both_ways = cereal::traits::is_output_serializable<T, OutputArchive>::value &&
    (has_load_and_construct<T> || (cereal::traits::is_input_serializable<T, InputArchive>::value &&
                                   std::default_initializable<T>));

template <class T>
consteval bool is_sendable();

// Containers make an element before they load it, pointers may leave that to load_and_construct,
// or, for polymorphic types, to what CEREAL_REGISTER_TYPE knows at run time.
template <class T, Loaded loaded>
consteval bool is_sendable_element() {
  if constexpr (loaded == Loaded::by_pointer) {
    return std::is_polymorphic_v<T> || is_sendable<T>();
  } else {
    return is_sendable<T>() && std::default_initializable<T> &&
           (loaded != Loaded::moved || std::move_constructible<T>);
  }
}

template <Loaded loaded, class List>
inline constexpr bool are_sendable_elements = false;
template <Loaded loaded, class... T>
inline constexpr bool are_sendable_elements<loaded, TypeList<T...>> =
    (is_sendable_element<T, loaded>() && ...);  // NOLINT(misc-redundant-expression): of one type

template <class T>
consteval bool is_sendable() {
  if constexpr (!std::is_object_v<T> || std::is_const_v<T> || std::is_volatile_v<T>) {
    return false;
  } else if constexpr (is_bytes_copyable<T>()) {
    return true;
  } else if constexpr (std::is_scalar_v<T> || std::is_array_v<T> || std::is_abstract_v<T>) {
    return false;
  } else if constexpr (is_result_view<T>) {
    return is_bytes_copyable<typename T::value_type>();
  } else if constexpr (Elements<T>::known) {
    return are_sendable_elements<Elements<T>::loaded, typename Elements<T>::type>;
  } else {
    return cereal_both_ways<T>;
  }
}

/// T can cross: as its bytes, or by cereal functions that are its own and its elements'.
template <class T>
concept sendable = is_sendable<T>();

/// A value of type T can be made from the bytes of another.
template <class T>
concept sendable_value = sendable<T> && std::move_constructible<T>;

/// The type in T that keeps it from crossing, T itself where that is not an element of it.
template <class T>
struct CulpritOf {
  using type = T;
};
template <class T>
using Culprit = typename CulpritOf<T>::type;

template <class T, Loaded loaded, class List>
struct FirstCulprit {
  using type = T;
};
template <class T, Loaded loaded, class First, class... Rest>
struct FirstCulprit<T, loaded, TypeList<First, Rest...>>
    : std::conditional_t<is_sendable_element<First, loaded>(),
                         FirstCulprit<T, loaded, TypeList<Rest...>>, CulpritOf<First>> {};

template <class T>
  requires(Elements<T>::known)
struct CulpritOf<T> : FirstCulprit<T, Elements<T>::loaded, typename Elements<T>::type> {};

// A field of an aggregate that would cross as its bytes but for that field.
template <class List>
struct FirstBadField {
  using type = void;
};
template <class First, class... Rest>
struct FirstBadField<TypeList<First, Rest...>>
    : std::conditional_t<is_bytes_copyable<First>(), FirstBadField<TypeList<Rest...>>,
                         std::type_identity<First>> {};

}  // namespace apalis::detail::wire
