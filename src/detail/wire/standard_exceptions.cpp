// SPDX-License-Identifier: BSL-1.0
#include <any>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/standard_exceptions.hpp>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <string>
#include <system_error>
#include <typeinfo>
#include <variant>

namespace apalis::detail::wire {
namespace {

using Origin = RemoteError::Origin;

template <class E, class... Args>
std::exception_ptr made(Origin origin, Args&&... args) {
  return std::make_exception_ptr(
      RemoteException<E>(std::move(origin), std::forward<Args>(args)...));
}

/// Rebuilt from its message.
template <class E>
constexpr ExceptionType by_message() {
  return {&typeid(E), [](Buffer&, const void*) {},
          [](Reader&, Origin origin) {
            const std::string message = origin.message;
            return made<E>(std::move(origin), message);
          },
          &match_exception<E>};
}

/// Rebuilt from nothing: what() is overridden.
template <class E>
constexpr ExceptionType by_default() {
  return {&typeid(E), [](Buffer&, const void*) {},
          [](Reader&, Origin origin) { return made<E>(std::move(origin)); }, &match_exception<E>};
}

/// Error codes cross by their value and a number for the category: an address would let a worker
/// choose which object's virtual functions run here.
enum class Category : unsigned char { generic, system, iostream, future, other };

void encode_code(Buffer& buffer, const std::error_code& code) {
  auto category = Category::other;
  if (code.category() == std::generic_category()) category = Category::generic;
  if (code.category() == std::system_category()) category = Category::system;
  if (code.category() == std::iostream_category()) category = Category::iostream;
  if (code.category() == std::future_category()) category = Category::future;
  encode(buffer, category);
  encode(buffer, code.value());
}

std::error_code decode_code(Reader& reader) {
  const auto category = decode<Category>(reader);
  const int value = decode<int>(reader);
  switch (category) {
    case Category::system:
      return {value, std::system_category()};
    case Category::iostream:
      return {value, std::iostream_category()};
    case Category::future:
      return {value, std::future_category()};
    case Category::generic:
    case Category::other:  // a category of the user's: its numbers are kept, its words are in
                           // what()
      break;
  }
  return {value, std::generic_category()};
}

constexpr ExceptionType system_error_type{
    &typeid(std::system_error),
    [](Buffer& buffer, const void* e) {
      encode_code(buffer, static_cast<const std::system_error*>(e)->code());
    },
    [](Reader& reader, Origin origin) {
      return made<std::system_error>(std::move(origin), decode_code(reader));
    },
    &match_exception<std::system_error>};

constexpr ExceptionType ios_failure_type{
    &typeid(std::ios_base::failure),
    [](Buffer& buffer, const void* e) {
      encode_code(buffer, static_cast<const std::ios_base::failure*>(e)->code());
    },
    [](Reader& reader, Origin origin) {
      return made<std::ios_base::failure>(std::move(origin), "", decode_code(reader));
    },
    &match_exception<std::ios_base::failure>};

constexpr ExceptionType filesystem_error_type{
    &typeid(std::filesystem::filesystem_error),
    [](Buffer& buffer, const void* exception) {
      const auto& e = *static_cast<const std::filesystem::filesystem_error*>(exception);
      encode_code(buffer, e.code());
      encode(buffer, e.path1().string());
      encode(buffer, e.path2().string());
    },
    [](Reader& reader, Origin origin) {
      const auto code = decode_code(reader);
      const std::filesystem::path first = decode<std::string>(reader);
      const std::filesystem::path second = decode<std::string>(reader);
      return made<std::filesystem::filesystem_error>(std::move(origin), "", first, second, code);
    },
    &match_exception<std::filesystem::filesystem_error>};

constexpr ExceptionType future_error_type{
    &typeid(std::future_error),
    [](Buffer& buffer, const void* e) {
      encode(buffer, static_cast<const std::future_error*>(e)->code().value());
    },
    [](Reader& reader, Origin origin) {
      return made<std::future_error>(std::move(origin),
                                     static_cast<std::future_errc>(decode<int>(reader)));
    },
    &match_exception<std::future_error>};

constexpr ExceptionType regex_error_type{
    &typeid(std::regex_error),
    [](Buffer& buffer, const void* e) {
      encode(buffer, static_cast<int>(static_cast<const std::regex_error*>(e)->code()));
    },
    [](Reader& reader, Origin origin) {
      return made<std::regex_error>(
          std::move(origin), static_cast<std::regex_constants::error_type>(decode<int>(reader)));
    },
    &match_exception<std::regex_error>};

constexpr ExceptionType our_system_error_type{
    &typeid(SystemError),
    [](Buffer& buffer, const void* e) {
      encode(buffer, static_cast<const SystemError*>(e)->code());
    },
    [](Reader& reader, Origin origin) {
      const std::string message = origin.message;
      return made<SystemError>(std::move(origin), message, decode<int>(reader));
    },
    &match_exception<SystemError>};

constexpr ExceptionType worker_died_type{
    &typeid(WorkerDied),
    [](Buffer& buffer, const void* exception) {
      const auto& e = *static_cast<const WorkerDied*>(exception);
      encode(buffer, e.pid());
      encode(buffer, e.signal());
      encode(buffer, e.exit_status());
      encode(buffer, e.call());
      encode(buffer, e.hint());
    },
    [](Reader& reader, Origin origin) {
      WorkerDied::Cause cause;
      cause.pid = decode<pid_t>(reader);
      cause.signal = decode<int>(reader);
      cause.exit_status = decode<int>(reader);
      cause.call = decode<std::string>(reader);
      cause.hint = decode<std::string>(reader);
      const std::string message = origin.message;
      return made<WorkerDied>(std::move(origin), message, std::move(cause));
    },
    &match_exception<WorkerDied>};

const ExceptionType types[] = {
    by_message<std::runtime_error>(),
    by_message<std::invalid_argument>(),
    by_message<std::out_of_range>(),
    by_message<std::logic_error>(),
    by_message<std::domain_error>(),
    by_message<std::length_error>(),
    by_message<std::range_error>(),
    by_message<std::overflow_error>(),
    by_message<std::underflow_error>(),
    system_error_type,
    ios_failure_type,
    filesystem_error_type,
    future_error_type,
    regex_error_type,
    by_default<std::exception>(),
    by_default<std::bad_alloc>(),
    by_default<std::bad_array_new_length>(),
    by_default<std::bad_cast>(),
    by_default<std::bad_any_cast>(),
    by_default<std::bad_typeid>(),
    by_default<std::bad_exception>(),
    by_default<std::bad_function_call>(),
    by_default<std::bad_weak_ptr>(),
    by_default<std::bad_optional_access>(),
    by_default<std::bad_variant_access>(),
    by_message<Error>(),
    by_message<Cancelled>(),
    by_message<TimedOut>(),
    our_system_error_type,
    worker_died_type,
};

}  // namespace

std::span<const ExceptionType> standard_exceptions() noexcept {
  return types;
}

}  // namespace apalis::detail::wire
