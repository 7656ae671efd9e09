// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/exception.hpp>

#include <cxxabi.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <typeinfo>
#include <vector>

#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/exception_kind.hpp>
#include <apalis/detail/wire/standard_exceptions.hpp>
#include <apalis/error.hpp>

// On the wire: [count], and for each exception of the chain, outermost first:
// [kind's id, 0 if it has none][kind's mangled name][type][message][where][pid][size][payload].

namespace apalis::detail::wire {
namespace {

// A chain may be as long as a program makes it; nobody reads beyond this.
constexpr std::size_t longest_chain = 64;

std::atomic<const ExceptionNode*> registered{nullptr};

// ---- Kinds --------------------------------------------------------------------------------------

struct FoundKind {
  const ExceptionKind* kind = nullptr;
  std::uint64_t id = 0;
};

bool stands_for(const ExceptionKind& kind, const std::type_info& type) {
  return type == *kind.types[0] || type == *kind.types[1] || type == *kind.types[2];
}

FoundKind find_kind(const std::type_info& type) {
  std::uint64_t id = 0;
  for (const ExceptionKind& kind : standard_exception_kinds()) {
    ++id;
    if (stands_for(kind, type)) return {&kind, id};
  }
  for (auto* node = registered.load(std::memory_order_acquire); node; node = node->next)
    if (stands_for(node->kind, type)) return {&node->kind, id + node->id};
  return {};
}

const ExceptionKind* find_kind(std::uint64_t id, const std::string& mangled_name) {
  const auto standard = standard_exception_kinds();
  const ExceptionKind* kind = nullptr;
  if (id >= 1 && id <= standard.size()) {
    kind = &standard[static_cast<std::size_t>(id) - 1];
  } else {
    for (auto* node = registered.load(std::memory_order_acquire); node; node = node->next)
      if (standard.size() + node->id == id) kind = &node->kind;
  }
  // What a child registered for itself has an id that may mean another type here.
  return kind && mangled_name == kind->types[0]->name() ? kind : nullptr;
}

bool starts_with(const char* text, std::string_view prefix) {
  return std::string_view(text).starts_with(prefix);
}

/// The type that the program threw where the standard library threw one derived from it in its
/// place: throw_with_nested's wrapper of E and nested_exception, or a library-internal class.
const std::type_info& thrown_type(const std::type_info& dynamic_type) {
  const std::type_info* type = &dynamic_type;
  const bool is_wrapper = starts_with(type->name(), "St17_Nested_exceptionI") ||
                          starts_with(type->name(), "NSt3__18__nestedI");
  if (is_wrapper)
    if (auto* wrapper = dynamic_cast<const abi::__vmi_class_type_info*>(type))
      if (wrapper->__base_count > 0) type = wrapper->__base_info[0].__base_type;
  for (const std::type_info* base = type; !find_kind(*base).kind;) {
    const bool is_standard = starts_with(base->name(), "St") || starts_with(base->name(), "NSt");
    auto* derived = dynamic_cast<const abi::__si_class_type_info*>(base);
    if (!is_standard || !derived) return *type;
    base = derived->__base_type;
    if (find_kind(*base).kind) return *base;
  }
  return *type;
}

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  std::string name = demangled ? demangled.get() : type.name();
  constexpr std::string_view abi_tag = "__cxx11::";
  for (std::size_t at; (at = name.find(abi_tag)) != std::string::npos;)
    name.erase(at, abi_tag.size());
  return name;
}

// ---- Encoding -----------------------------------------------------------------------------------

struct Record {
  std::uint64_t id = 0;
  std::string mangled_name;
  RemoteError::Origin origin;
};

/// Runs `look` on the exception being handled if it is a T.
template <class T, class Look>
bool look_at_current(Look look) {
  try {
    throw;
  } catch (const T& exception) {
    look(exception);
    return true;
  } catch (...) {
    return false;
  }
}

/// What can be said of any exception. The pointers hold while it is being handled.
struct Looks {
  std::string message;
  const RemoteError* remote = nullptr;
  const std::nested_exception* nesting = nullptr;
};

Looks look_at_current_exception() {
  Looks looks;
  // Throwing again costs a microsecond, so the common case looks only once.
  if (look_at_current<std::exception>([&](const std::exception& e) {
        looks.message = e.what();
        looks.remote = dynamic_cast<const RemoteError*>(&e);
        looks.nesting = dynamic_cast<const std::nested_exception*>(&e);
      }))
    return looks;
  look_at_current<RemoteError>([&](const RemoteError& e) {
    looks.remote = &e;
    looks.message = e.message();
  });
  look_at_current<std::nested_exception>(
      [&](const std::nested_exception& e) { looks.nesting = &e; });
  look_at_current<std::string>([&](const std::string& text) { looks.message = text; }) ||
      look_at_current<const char*>([&](const char* text) { looks.message = text ? text : ""; }) ||
      look_at_current<int>([&](int number) { looks.message = std::to_string(number); });
  return looks;
}

/// Appends the exception being handled and returns the one nested in it.
std::exception_ptr encode_one(Buffer& buffer, std::string_view where) {
  FoundKind found;
  RemoteError::Origin origin;
  const Looks looks = look_at_current_exception();
  origin.type = "an exception that is not of C++";
  if (const std::type_info* dynamic_type = abi::__cxa_current_exception_type()) {
    const std::type_info& type = thrown_type(*dynamic_type);
    found = find_kind(type);
    origin.type = readable_name(type);
  }
  origin.message = looks.message;
  origin.where = where;
  if (looks.remote != nullptr) {
    // It came from a worker of this worker: what is known of its origin stays.
    origin.type = looks.remote->type_name();
    origin.where = looks.remote->where();
    origin.worker_pid = looks.remote->worker_pid();
  }

  const std::size_t start = buffer.size();
  const auto encode_head = [&] {
    encode(buffer, found.id);
    encode(buffer, std::string(found.kind ? found.kind->types[0]->name() : ""));
    encode(buffer, origin.type);
    encode(buffer, origin.message);
    encode(buffer, origin.where);
    encode(buffer, origin.worker_pid);
    encode(buffer, std::uint64_t{0});
  };
  encode_head();
  const std::size_t payload = buffer.size();
  bool encoded = true;
  try {
    if (found.kind && found.kind->encode) encoded = found.kind->encode(buffer);
  } catch (...) {
    encoded = false;  // the type's own function failed: its name and message still arrive
  }
  if (!encoded) {
    buffer.truncate(start);
    found = {};
    encode_head();
  } else {
    const std::uint64_t size = buffer.size() - payload;
    std::memcpy(buffer.data() + payload - sizeof size, &size, sizeof size);
  }

  return looks.nesting ? looks.nesting->nested_ptr() : nullptr;
}

// ---- Decoding -----------------------------------------------------------------------------------

struct DecodedRecord {
  const ExceptionKind* kind;
  RemoteError::Origin origin;
  Reader payload;
};

DecodedRecord decode_record(Reader& reader, pid_t worker) {
  DecodedRecord record{nullptr, {}, reader};
  const auto id = decode<std::uint64_t>(reader);
  const auto mangled_name = decode<std::string>(reader);
  record.kind = find_kind(id, mangled_name);
  record.origin.type = decode<std::string>(reader);
  record.origin.message = decode<std::string>(reader);
  record.origin.where = decode<std::string>(reader);
  const auto pid = decode<pid_t>(reader);
  record.origin.worker_pid = pid > 0 ? pid : worker;
  const auto size = decode<std::uint64_t>(reader);
  record.payload = reader.part(static_cast<std::size_t>(size));
  return record;
}

/// An Error with the original's words, or, where it had none, with some about it.
std::string words_for(const RemoteError::Origin& origin) {
  if (!origin.message.empty()) return origin.message;
  return "an exception of type " + origin.type + " was thrown in the worker";
}

class RemoteFallback : public Error, public RemoteError {
 public:
  explicit RemoteFallback(Origin origin)
      : Error(words_for(origin)), RemoteError(std::move(origin)) {}
};
class RemoteFallbackNested : public RemoteFallback, public std::nested_exception {
 public:
  using RemoteFallback::RemoteFallback;
};

std::exception_ptr make_exception(DecodedRecord record, const std::exception_ptr& nested) {
  if (record.kind)
    return record.kind->decode(record.payload, std::move(record.origin), nested);
  if (!nested) return std::make_exception_ptr(RemoteFallback(std::move(record.origin)));
  try {
    std::rethrow_exception(nested);
  } catch (...) {
    return std::make_exception_ptr(RemoteFallbackNested(std::move(record.origin)));
  }
}

std::exception_ptr decode_chain(Reader& reader, pid_t worker) {
  const std::size_t count = reader.read_count(1);
  if (count == 0 || count > longest_chain)
    throw Malformed("malformed exception: it came as a chain of " + std::to_string(count));
  std::vector<DecodedRecord> chain;
  for (std::size_t i = 0; i < count; ++i) chain.push_back(decode_record(reader, worker));

  std::exception_ptr exception;
  std::vector<RemoteError::Cause> causes;
  for (; !chain.empty(); chain.pop_back()) {
    DecodedRecord& record = chain.back();
    record.origin.causes = causes;
    causes.insert(causes.begin(), {record.origin.type, record.origin.message});
    exception = make_exception(std::move(record), exception);
  }
  return exception;
}

}  // namespace

void add_exception_kind(ExceptionNode& node) noexcept {
  const ExceptionNode* last = registered.load(std::memory_order_acquire);
  do {
    node.next = last;
    node.id = last ? last->id + 1 : 1;
  } while (!registered.compare_exchange_weak(last, &node, std::memory_order_acq_rel));
}

void encode_current_exception(Buffer& buffer, std::string_view where) {
  const std::size_t start = buffer.size();
  std::uint8_t count = 1;  // as append_size writes it: longest_chain is below 255
  encode(buffer, count);
  std::exception_ptr nested = encode_one(buffer, where);
  while (nested && count < longest_chain) {
    ++count;
    try {
      std::rethrow_exception(nested);
    } catch (...) {
      nested = encode_one(buffer, where);
    }
  }
  std::memcpy(buffer.data() + start, &count, sizeof count);
}

std::exception_ptr decode_exception(Reader& reader, pid_t worker) noexcept {
  try {
    return decode_chain(reader, worker);
  } catch (const Malformed&) {
    return std::current_exception();
  } catch (const std::bad_alloc&) {
    return std::current_exception();
  } catch (const std::exception& e) {
    // A registered type's own function refused the bytes.
    return std::make_exception_ptr(Malformed(std::string("malformed exception: ") + e.what()));
  } catch (...) {
    return std::make_exception_ptr(Malformed("malformed exception: a type's function refused it"));
  }
}

}  // namespace apalis::detail::wire
