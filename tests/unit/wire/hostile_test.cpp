// SPDX-License-Identifier: BSL-1.0
// A worker that went wrong may write anything. Whatever it is, decoding comes to a value or an
// Error, and asks for no more memory than the bytes could have meant. Run under the sanitizers.
#include <algorithm>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/error.hpp>
#include <apalis/register_exception.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <regex>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "support/catch.hpp"

namespace {

std::atomic<std::size_t> largest_request{0};

void* allocate(std::size_t n) noexcept {
  std::size_t before = largest_request.load();
  while (before < n && !largest_request.compare_exchange_weak(before, n)) {
  }
  return std::malloc(n == 0 ? 1 : n);
}

}  // namespace

// The whole program's, to see how much is asked for. Inlined, g++ would take free() for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t n) {
  if (void* const memory = allocate(n)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return allocate(n);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}

namespace hostile_cases {

struct Point {
  double x = 0, y = 0;
};
struct Record {
  std::string name;
  std::vector<Point> points;
  std::map<int, std::string> notes;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, points, notes);
  }
};
class Constructed {
 public:
  explicit Constructed(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  [[nodiscard]] std::size_t size() const { return parts_.size(); }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(parts_);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<Constructed>& construct) {
    std::vector<std::string> parts;
    archive(parts);
    construct(std::move(parts));
  }

 private:
  std::vector<std::string> parts_;
};
struct Registered : std::exception {
  Record record;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(record);
  }
};
struct ByText : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Subject {
  std::string word(int x) {
    if (x < 0) throw std::out_of_range("negative");
    return std::string(static_cast<std::size_t>(x), 'w');
  }
};

}  // namespace hostile_cases

using namespace apalis::detail::wire;
using namespace hostile_cases;

namespace {

constexpr std::size_t most_bytes = 1024;
constexpr std::size_t most_memory = std::size_t{1} << 20;

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t n) {
  return static_cast<std::size_t>(random() % n);
}

using Bytes = std::vector<std::byte>;

Bytes noise(Random& random) {
  Bytes bytes(below(random, 200));
  // Small numbers make counts that come true.
  const std::uint64_t mask = below(random, 2) == 0 ? 0xff : 0x07;
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & mask);
  return bytes;
}

void mutate(Bytes& bytes, Random& random) {
  constexpr std::uint64_t numbers[] = {0,          1,
                                       0x7f,       0xff,
                                       0xffff,     0x7fffffff,
                                       0xffffffff, std::uint64_t{1} << 40,
                                       ~0ULL,      std::uint64_t{1} << 63,
                                       ~0ULL / 2,  ~0ULL / sizeof(Point) + 2};
  for (std::size_t i = below(random, 4) + 1; i > 0; --i) {
    const std::size_t at = below(random, bytes.size() + 1);
    switch (below(random, 6)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<std::byte>(random());
        break;
      case 2:
        if (at < bytes.size()) bytes[at] = std::byte{0xff};
        break;
      case 3: {
        const std::uint64_t number = numbers[below(random, std::size(numbers))];
        if (bytes.size() - at >= sizeof number) std::memcpy(&bytes[at], &number, sizeof number);
        break;
      }
      case 4: {
        const std::size_t n = std::min(below(random, 16), bytes.size() - at);
        bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    bytes.begin() + static_cast<std::ptrdiff_t>(at + n));
        break;
      }
      default: {
        const Bytes more = noise(random);
        const std::size_t n = std::min({below(random, 16), more.size(), most_bytes - bytes.size()});
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), more.begin(),
                     more.begin() + static_cast<std::ptrdiff_t>(n));
      }
    }
  }
}

/// Feeds `decode` with `count` strings of bytes: noise, and seeds that were tampered with. It
/// returns whether it came to what is allowed.
template <class Decode>
void attack(const std::vector<Buffer>& seeds, std::size_t count, Decode&& decode) {
  Random random(20240229);
  for (std::size_t i = 0; i < count; ++i) {
    Bytes bytes;
    if (below(random, 4) == 0) {
      bytes = noise(random);
    } else {
      const Buffer& seed = seeds[below(random, seeds.size())];
      bytes.assign(seed.data(), seed.data() + seed.size());
      mutate(bytes, random);
    }
    // On the heap, and at the end of it, so that AddressSanitizer sees the first byte beyond.
    auto exact = std::make_unique<std::byte[]>(bytes.size());
    if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
    Reader reader({exact.get(), bytes.size()});
    largest_request = 0;
    const bool fine = decode(reader);
    const std::size_t asked = largest_request;
    if (!fine || asked > most_memory) {
      CAPTURE(i, bytes.size(), asked);
      REQUIRE(fine);
      REQUIRE(asked <= most_memory);
    }
  }
}

template <class T>
Buffer encoded(const T& value) {
  Buffer buffer;
  encode(buffer, value);
  return buffer;
}

template <class T>
void attack_values(std::vector<T> values, std::size_t count) {
  std::vector<Buffer> seeds;
  for (const T& value : values) seeds.push_back(encoded(value));
  std::size_t decoded = 0;
  std::size_t refused = 0;
  attack(seeds, count, [&](Reader& reader) {
    try {
      const T value = decode<T>(reader);
      ++decoded;
      return true;
    } catch (const apalis::Error&) {
      ++refused;
      return true;
    } catch (...) {
      return false;
    }
  });
  CHECK(decoded + refused == count);
  CHECK(decoded > 0);
}

template <class E>
void add_thrown(std::vector<Buffer>& seeds, const E& e) {
  Buffer buffer;
  try {
    try {
      throw std::out_of_range("cause");
    } catch (...) {
      std::throw_with_nested(e);
    }
  } catch (...) {
    encode_current_exception(buffer, "where");
  }
  seeds.push_back(std::move(buffer));
  Buffer plain;
  try {
    throw e;
  } catch (...) {
    encode_current_exception(plain, "");
  }
  seeds.push_back(std::move(plain));
}

/// Looks at everything that it says.
std::size_t examined(const std::exception_ptr& error) {
  std::size_t sum = 0;
  try {
    std::rethrow_exception(error);
  } catch (const std::filesystem::filesystem_error& e) {
    sum += e.path1().string().size() + e.path2().string().size() + e.code().message().size();
  } catch (const std::system_error& e) {
    sum += e.code().message().size();
  } catch (const std::exception& e) {
    sum += std::strlen(e.what());
  } catch (...) {
    sum += 1;
  }
  try {
    std::rethrow_exception(error);
  } catch (const apalis::RemoteError& e) {
    sum += e.type_name().size() + e.message().size() + e.where().size();
    for (const auto& cause : e.causes()) sum += cause.type.size() + cause.message.size();
  } catch (...) {
    sum += 1;
  }
  return sum;
}

}  // namespace

TEST_CASE("hostile values", "[hostile]") {
  constexpr std::size_t each = 8'000;
  attack_values<std::string>({"", "text", std::string(300, 'x')}, each);
  attack_values<std::vector<Point>>({{}, std::vector<Point>(20)}, each);
  attack_values<std::vector<bool>>({{true, false, true}}, each);
  attack_values<std::vector<std::string>>({{"a", "b", std::string(300, 'c')}}, each);
  attack_values<std::vector<std::vector<std::vector<int>>>>({{{{1, 2}, {}}, {{3}}}}, each);
  attack_values<std::deque<std::u16string>>({{u"abc", u"d"}}, each);
  attack_values<std::map<std::string, std::vector<int>>>({{{"a", {1}}, {"b", {2, 3}}}}, each);
  attack_values<std::unordered_map<int, std::set<int>>>({{{1, {1, 2}}, {2, {}}}}, each);
  attack_values<std::optional<std::string>>({std::nullopt, "x"}, each);
  attack_values<std::variant<int, std::string, Record>>({1, "x", Record{"n", {{}}, {}}}, each);
  attack_values<std::tuple<bool, std::string, std::optional<int>>>({{true, "x", 5}}, each);
  attack_values<std::array<std::string, 3>>({{"a", "b", "c"}}, each);
  attack_values<std::deque<std::array<double, 512>>>({{}, {{1, 2, 3}}}, each);
  attack_values<std::map<int, std::vector<std::u32string>>>({{{1, {U"ab"}}}}, each);
  attack_values<Record>({{"name", {{1, 2}, {3, 4}}, {{1, "one"}}}}, each);
  const auto shared = std::make_shared<std::string>("shared");
  attack_values<std::vector<std::shared_ptr<std::string>>>({{shared, nullptr, shared}}, each);
  attack_values<Constructed>({Constructed({"a", "b"})}, each);
}

TEST_CASE("hostile replies of a batch", "[hostile]") {
  std::vector<Buffer> seeds;
  for (int failing = 0; failing < 3; ++failing) {
    Buffer message;
    begin_batch(message, 3);
    for (int i = 0; i < 3; ++i) {
      Buffer call;
      encode_call<Subject>(call, &Subject::word, i == failing ? -1 : i);
      append_to_batch(message, call.bytes());
    }
    Reader reader(message.bytes());
    Subject subject;
    Buffer reply;
    read_entry(reader)->invoke(&subject, reader, reply);
    seeds.push_back(std::move(reply));
  }
  std::size_t sum = 0;
  attack(seeds, 30'000, [&](Reader& reader) {
    Reader again = reader;
    try {
      std::vector<std::string> values;
      (void)decode_batch_values(again, 3, values);
    } catch (const apalis::Error&) {
      ++sum;
    }
    try {
      for (const auto& outcome : decode_batch<std::string>(reader, 3, 1))
        sum += outcome ? outcome.value().size() : examined(outcome.error());
      return true;
    } catch (const apalis::Error&) {
      return true;
    } catch (...) {
      return false;
    }
  });
  attack(seeds, 10'000, [&](Reader& reader) {
    std::vector<Point> values;
    try {
      (void)decode_batch_values(reader, 3, values);
    } catch (const apalis::Error&) {
      ++sum;
    }
    return values.size() <= 3;
  });
  CHECK(sum > 0);
}

TEST_CASE("hostile exceptions", "[hostile]") {
  apalis::register_exception<Registered>();
  apalis::register_exception<ByText>();
  std::vector<Buffer> seeds;
  add_thrown(seeds, std::runtime_error("runtime"));
  add_thrown(seeds, std::bad_alloc());
  add_thrown(seeds, std::system_error(ENOENT, std::generic_category(), "opening"));
  add_thrown(seeds, std::filesystem::filesystem_error(
                        "moving", "/a", "/b", std::make_error_code(std::errc::file_exists)));
  add_thrown(seeds, std::future_error(std::future_errc::no_state));
  add_thrown(seeds, std::regex_error(std::regex_constants::error_brace));
  add_thrown(seeds, apalis::WorkerDied("died", {.pid = 1, .signal = 9, .call = "c", .hint = "h"}));
  add_thrown(seeds, ByText("text"));
  Registered registered;
  registered.record = {"name", {{1, 2}}, {{1, "one"}}};
  add_thrown(seeds, registered);
  std::size_t sum = 0;
  attack(seeds, 60'000, [&](Reader& reader) {
    const std::exception_ptr error = decode_exception(reader, 4711);
    if (error == nullptr) return false;
    sum += examined(error);
    return true;
  });
  CHECK(sum > 0);
}
