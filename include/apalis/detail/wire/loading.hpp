// SPDX-License-Identifier: BSL-1.0
#pragma once

// What an archive must not believe while it loads: cereal trusts the bytes that it reads, and ours
// may come from a worker that went wrong.
//
//   StackGuard stack;        stack.check();                  // in every value that holds others
//   SharedTypes types;       types.expect<T>();              // before a std::shared_ptr<T>
//   least_bytes_each<C>()    // of the elements that a container makes before it loads them

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <list>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

/// cereal's, around the pointers to polymorphic types.
namespace cereal::memory_detail {
template <class T>
struct PtrWrapper;
}

namespace apalis::detail::wire {

/// Values may hold values of their own type, so bytes say how deep the loading recurses: a byte a
/// level. **Throws** Malformed before the thread's stack is used up.
class StackGuard {
 public:
  StackGuard() noexcept : start_(here()), floor_(start_ > unasked ? start_ - unasked : 0) {}

  void check() {
    if (here() < floor_) [[unlikely]]
      ask();
  }

 private:
  // Nearly nothing goes deeper than this, which is there in any case.
  static constexpr std::uintptr_t unasked = std::uintptr_t{16} * 1024;

  static std::uintptr_t here() noexcept {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  }
  void ask();

  std::uintptr_t start_;
  std::uintptr_t floor_;
};

/// The types of the objects that several pointers share: the bytes name them by a number alone, and
/// might name one of another type. **Throws** Malformed where they do.
class SharedTypes {
 public:
  SharedTypes() noexcept = default;
  SharedTypes(const SharedTypes&) = delete;
  SharedTypes& operator=(const SharedTypes&) = delete;
  ~SharedTypes() {
    if (types_ != nullptr) [[unlikely]]
      clear();
  }

  template <class T>
  void expect() noexcept {
    expected_ = &typeid(T);
  }
  void add(std::uint32_t id);
  void check(std::uint32_t id) const;

 private:
  struct Map;  // kept out of the header: to compile it would cost every user
  void clear() noexcept;

  const std::type_info* expected_ = &typeid(void);
  Map* types_ = nullptr;  // null until there is one; owned
};

/// What the next shared object has to be where a T is loaded; void for other types.
template <class T>
struct SharedPointee {
  using type = void;
};
template <class T>
struct SharedPointee<std::shared_ptr<T>> {
  using type = std::remove_const_t<T>;
};
template <class T>
struct SharedPointee<cereal::memory_detail::PtrWrapper<std::shared_ptr<T>&>> {
  using type = std::remove_const_t<T>;
};

/// How many bytes a T takes in an archive at least: 0 where that is its own functions' choice.
template <class T>
struct LeastBytes {
  static constexpr std::size_t value = std::is_arithmetic_v<T> || std::is_enum_v<T> ? sizeof(T) : 0;
};
template <class T, std::size_t n>
struct LeastBytes<std::array<T, n>> {
  static constexpr std::size_t value = n * LeastBytes<T>::value;
};
template <class T, class U>
struct LeastBytes<std::pair<T, U>> {
  static constexpr std::size_t value = LeastBytes<T>::value + LeastBytes<U>::value;
};
template <class... T>
struct LeastBytes<std::tuple<T...>> {
  static constexpr std::size_t value = (LeastBytes<T>::value + ... + 0);
};

/// The elements of the containers that take memory for all of them before the first is loaded.
template <class C>
struct MadeAtOnce {
  using type = void;
};
template <class T>
struct ElementIs {
  using type = T;
};
template <class T, class A>
struct MadeAtOnce<std::vector<T, A>> : ElementIs<T> {};
template <class T, class A>
struct MadeAtOnce<std::deque<T, A>> : ElementIs<T> {};
template <class T, class A>
struct MadeAtOnce<std::list<T, A>> : ElementIs<T> {};
template <class T, class A>
struct MadeAtOnce<std::forward_list<T, A>> : ElementIs<T> {};
template <class T, class Traits, class A>
struct MadeAtOnce<std::basic_string<T, Traits, A>> : ElementIs<T> {};
template <class T, class H, class E, class A>
struct MadeAtOnce<std::unordered_set<T, H, E, A>> : ElementIs<T> {};
template <class T, class H, class E, class A>
struct MadeAtOnce<std::unordered_multiset<T, H, E, A>> : ElementIs<T> {};
template <class K, class T, class H, class E, class A>
struct MadeAtOnce<std::unordered_map<K, T, H, E, A>> : ElementIs<std::pair<K, T>> {};
template <class K, class T, class H, class E, class A>
struct MadeAtOnce<std::unordered_multimap<K, T, H, E, A>> : ElementIs<std::pair<K, T>> {};

}  // namespace apalis::detail::wire
