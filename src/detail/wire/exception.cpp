// SPDX-License-Identifier: BSL-1.0
#include <cxxabi.h>

#include <algorithm>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/remote_exception.hpp>
#include <apalis/detail/wire/standard_exceptions.hpp>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace apalis::detail::wire {
namespace {

using Origin = RemoteError::Origin;

constexpr std::size_t most_causes = 64;

constinit std::atomic<const ExceptionType*> registry{nullptr};

// --- Names ---------------------------------------------------------------------------------------

std::string readable(const std::type_info& type) {
  const std::unique_ptr<char, void (*)(void*)> name{
      abi::__cxa_demangle(type.name(), nullptr, nullptr, nullptr), &std::free};
  return name ? name.get() : type.name();
}

/// The type that std::throw_with_nested was given, where it was used: libstdc++ and libc++ wrap it.
std::string without_nesting(std::string name) {
  for (const std::string_view wrapper : {"std::_Nested_exception<", "std::__nested<"}) {
    if (!name.starts_with(wrapper) || !name.ends_with('>')) continue;
    name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
    while (name.ends_with(' ')) name.pop_back();
  }
  return name;
}

struct Description {
  std::string type;
  std::string message;
  std::exception_ptr cause;
};

/// What can be said of any exception.
Description describe(const std::exception_ptr& error) {
  Description result;
  try {
    std::rethrow_exception(error);
  } catch (const std::nested_exception& e) {
    result.cause = e.nested_ptr();
    result.type = without_nesting(readable(typeid(e)));
    if (const auto* standard = dynamic_cast<const std::exception*>(&e))
      result.message = standard->what();
  } catch (const std::exception& e) {
    result.type = readable(typeid(e));
    result.message = e.what();
    if (const auto* nested = dynamic_cast<const std::nested_exception*>(&e))
      result.cause = nested->nested_ptr();
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    result.type = type != nullptr ? readable(*type) : "unknown";
  }
  // One that was rethrown here on its way from a worker of ours is known by its own words.
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& e) {
    result.type = e.type_name();
    result.message = e.message();
  } catch (...) {
  }
  return result;
}

// --- Encoding ------------------------------------------------------------------------------------

void append_text(Buffer& buffer, std::string_view text) {
  buffer.append_size(text.size());
  buffer.append(text.data(), text.size());
}

std::string read_text(Reader& reader) {
  const auto bytes = reader.take(reader.read_count(1));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The known type whose name this is. The name, not the type_info: that of a nested exception is
/// its wrapper's.
const ExceptionType* find(std::string_view name) {
  for (const ExceptionType* type = registry.load(std::memory_order_acquire); type != nullptr;
       type = type->next)
    if (readable(*type->type) == name) return type;
  for (const ExceptionType& type : standard_exceptions())
    if (readable(*type.type) == name) return &type;
  return nullptr;
}

enum class Form : unsigned char { known, unknown };

}  // namespace

void register_exception_type(ExceptionType& type) {
  type.next = registry.load(std::memory_order_relaxed);
  while (!registry.compare_exchange_weak(type.next, &type, std::memory_order_release)) {
  }
}

// form | type | message | where | count of causes | each: type, message | what the type itself
// needs
void encode_current_exception(Buffer& buffer, std::string_view where) {
  const auto error = std::current_exception();
  auto [name, message, cause] = describe(error);
  const ExceptionType* type = find(name);
  const void* exception = type != nullptr ? type->match(error) : nullptr;

  const auto start = buffer.size();
  *buffer.grow(1) = static_cast<std::byte>(exception != nullptr ? Form::known : Form::unknown);
  append_text(buffer, name);
  append_text(buffer, message);
  append_text(buffer, where);
  std::vector<Description> causes;
  for (; cause != nullptr && causes.size() < most_causes; cause = causes.back().cause)
    causes.push_back(describe(cause));
  buffer.append_size(causes.size());
  for (const Description& each : causes) {
    append_text(buffer, each.type);
    append_text(buffer, each.message);
  }
  if (exception == nullptr) return;
  try {
    type->encode(buffer, exception);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {  // a user's own save threw: the exception still crosses, as Error
    buffer.data()[start] = static_cast<std::byte>(Form::unknown);
  }
}

std::exception_ptr decode_exception(Reader& reader, pid_t worker) noexcept {
  try {
    Origin origin;
    origin.worker_pid = worker;
    std::byte form{};
    reader.read(&form, 1);
    origin.type = read_text(reader);
    origin.message = read_text(reader);
    origin.where = read_text(reader);
    const auto causes = std::min(reader.read_count(2), most_causes);
    for (std::size_t i = 0; i < causes; ++i) {
      auto type = read_text(reader);
      origin.causes.push_back({std::move(type), read_text(reader)});
    }
    const ExceptionType* type =
        form == static_cast<std::byte>(Form::known) ? find(origin.type) : nullptr;
    if (type != nullptr) return type->make(reader, std::move(origin));
    const auto text = origin.message.empty() ? origin.type + " was thrown" : origin.message;
    if (origin.message.empty()) origin.message = text;
    return std::make_exception_ptr(RemoteException<Error>(std::move(origin), text));
  } catch (...) {
    return std::make_exception_ptr(
        Error("apalis: a worker reported an exception in malformed bytes"));
  }
}

}  // namespace apalis::detail::wire
