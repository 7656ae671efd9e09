// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/standard_exceptions.hpp>

#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <system_error>
#include <typeinfo>
#include <variant>

namespace apalis::detail::wire {
namespace {

/// For types whose only state is what().
template <class E>
struct MessageCodec {
  static E decode(Reader&, [[maybe_unused]] const std::string& what) {
    if constexpr (std::is_constructible_v<E, const std::string&>) {
      return E(what);
    } else {
      return E();
    }
  }
};

// Categories are told apart by address, so only those that everyone has can cross.
bool encode_code(Buffer& buffer, const std::error_code& code) {
  const std::error_category* const known[] = {&std::generic_category(), &std::system_category(),
                                              &std::iostream_category(), &std::future_category()};
  for (std::size_t i = 0; i < std::size(known); ++i) {
    if (code.category() == *known[i]) {
      wire::encode(buffer, static_cast<std::uint8_t>(i));
      wire::encode(buffer, code.value());
      return true;
    }
  }
  return false;
}

std::error_code decode_code(Reader& payload) {
  const auto category = wire::decode<std::uint8_t>(payload);
  const int value = wire::decode<int>(payload);
  switch (category) {
    case 0:
      return {value, std::generic_category()};
    case 1:
      return {value, std::system_category()};
    case 2:
      return {value, std::iostream_category()};
    case 3:
      return {value, std::future_category()};
    default:
      throw Malformed("malformed exception: it names an error category that does not exist");
  }
}

struct SystemErrorCodec {
  static bool encode(Buffer& buffer, const std::system_error& e) {
    return encode_code(buffer, e.code());
  }
  static std::system_error decode(Reader& payload, const std::string&) {
    return std::system_error(decode_code(payload));
  }
};

struct IosFailureCodec {
  static bool encode(Buffer& buffer, const std::ios_base::failure& e) {
    return encode_code(buffer, e.code());
  }
  static std::ios_base::failure decode(Reader& payload, const std::string& what) {
    return std::ios_base::failure(what, decode_code(payload));
  }
};

struct FilesystemErrorCodec {
  static bool encode(Buffer& buffer, const std::filesystem::filesystem_error& e) {
    wire::encode(buffer, e.path1().native());
    wire::encode(buffer, e.path2().native());
    return encode_code(buffer, e.code());
  }
  static std::filesystem::filesystem_error decode(Reader& payload, const std::string& what) {
    const std::filesystem::path path1 = wire::decode<std::string>(payload);
    const std::filesystem::path path2 = wire::decode<std::string>(payload);
    return {what, path1, path2, decode_code(payload)};
  }
};

struct FutureErrorCodec {
  static bool encode(Buffer& buffer, const std::future_error& e) {
    wire::encode(buffer, e.code().value());
    return e.code().category() == std::future_category();
  }
  static std::future_error decode(Reader& payload, const std::string&) {
    return std::future_error(static_cast<std::future_errc>(wire::decode<int>(payload)));
  }
};

struct RegexErrorCodec {
  static bool encode(Buffer& buffer, const std::regex_error& e) {
    wire::encode(buffer, static_cast<int>(e.code()));
    return true;
  }
  static std::regex_error decode(Reader& payload, const std::string&) {
    // As an int until it is known to be one of the enumerators: no other value may be loaded as
    // one, and the constructor looks the code's message up.
    const int code = wire::decode<int>(payload);
    if (code < std::regex_constants::error_collate || code > std::regex_constants::error_stack)
      throw Malformed("malformed exception: it names a regex error that does not exist");
    return std::regex_error(static_cast<std::regex_constants::error_type>(code));
  }
};

struct ApalisSystemErrorCodec {
  static bool encode(Buffer& buffer, const SystemError& e) {
    wire::encode(buffer, e.code());
    return true;
  }
  static SystemError decode(Reader& payload, const std::string& what) {
    return {what, wire::decode<int>(payload)};
  }
};

struct WorkerDiedCodec {
  static bool encode(Buffer& buffer, const WorkerDied& e) {
    wire::encode(buffer, e.pid());
    wire::encode(buffer, e.signal());
    wire::encode(buffer, e.exit_status());
    wire::encode(buffer, e.call());
    wire::encode(buffer, e.hint());
    wire::encode(buffer, e.stack());
    return true;
  }
  static WorkerDied decode(Reader& payload, const std::string& what) {
    WorkerDied::Cause cause;
    cause.pid = wire::decode<pid_t>(payload);
    cause.signal = wire::decode<int>(payload);
    cause.exit_status = wire::decode<int>(payload);
    cause.call = wire::decode<std::string>(payload);
    cause.hint = wire::decode<std::string>(payload);
    cause.stack = wire::decode<std::vector<std::string>>(payload);
    return {what, std::move(cause)};
  }
};

struct BarrierBrokenCodec {
  static bool encode(Buffer& buffer, const BarrierBroken& e) {
    wire::encode(buffer, e.pid());
    return true;
  }
  static BarrierBroken decode(Reader& payload, const std::string& what) {
    return {what, wire::decode<pid_t>(payload)};
  }
};

template <class E>
ExceptionKind by_message() {
  return make_exception_kind<E, MessageCodec<E>>();
}

}  // namespace

std::span<const ExceptionKind> standard_exception_kinds() {
  static const ExceptionKind kinds[] = {
      by_message<std::exception>(),
      by_message<std::logic_error>(),
      by_message<std::invalid_argument>(),
      by_message<std::domain_error>(),
      by_message<std::length_error>(),
      by_message<std::out_of_range>(),
      by_message<std::runtime_error>(),
      by_message<std::range_error>(),
      by_message<std::overflow_error>(),
      by_message<std::underflow_error>(),
      by_message<std::bad_alloc>(),
      by_message<std::bad_array_new_length>(),
      by_message<std::bad_cast>(),
      by_message<std::bad_typeid>(),
      by_message<std::bad_exception>(),
      by_message<std::bad_function_call>(),
      by_message<std::bad_weak_ptr>(),
      by_message<std::bad_optional_access>(),
      by_message<std::bad_variant_access>(),
      by_message<std::bad_any_cast>(),
      make_exception_kind<std::system_error, SystemErrorCodec>(),
      make_exception_kind<std::ios_base::failure, IosFailureCodec>(),
      make_exception_kind<std::filesystem::filesystem_error, FilesystemErrorCodec>(),
      make_exception_kind<std::future_error, FutureErrorCodec>(),
      make_exception_kind<std::regex_error, RegexErrorCodec>(),
      by_message<Error>(),
      by_message<Cancelled>(),
      by_message<TimedOut>(),
      make_exception_kind<SystemError, ApalisSystemErrorCodec>(),
      make_exception_kind<WorkerDied, WorkerDiedCodec>(),
      make_exception_kind<BarrierBroken, BarrierBrokenCodec>(),
  };
  return kinds;
}

}  // namespace apalis::detail::wire
