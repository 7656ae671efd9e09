// SPDX-License-Identifier: BSL-1.0
// Large parts of a message that stay out of its Buffer: written, and read from wherever they come.
#include <apalis/detail/wire/codec.hpp>
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace apalis::detail::wire;

namespace {

/// Gives the attachments of a Buffer in chunks of a few elements.
class Source final : public AttachmentReader {
 public:
  explicit Source(const Buffer& message) {
    if (message.attachments() == nullptr) return;
    for (const auto& part : message.attachments()->parts) {
      bytes_.insert(bytes_.end(), part.bytes.begin(), part.bytes.end());
      stride_ = part.stride;
    }
  }
  std::size_t remaining() const noexcept override { return bytes_.size() - at_; }
  void read(std::size_t n, apalis::detail::FunctionRef<void(std::span<const std::byte>)> use) override {
    while (n > 0) {
      const auto size = std::min(n, 1000 * stride_);
      use(std::span(bytes_).subspan(at_, size));
      at_ += size;
      n -= size;
    }
  }
  std::span<const std::byte> view(std::size_t n) override {
    at_ += n;
    return std::span(bytes_).subspan(at_ - n, n);
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t stride_ = 1;
  std::size_t at_ = 0;
};

std::vector<double> numbers(std::size_t n) {
  std::vector<double> v(n);
  std::iota(v.begin(), v.end(), 0.5);
  return v;
}

template <class T>
T through(const Buffer& message) {
  Source source{message};
  Reader reader{message.bytes(), &source};
  T value = decode<T>(reader);
  CHECK(reader.remaining() == 0);
  CHECK(source.remaining() == 0);
  return value;
}

}  // namespace

TEST_CASE("only a Buffer that may, attaches, and only what is large", "[attachments]") {
  const auto xs = numbers(Buffer::least_attached / sizeof(double));
  Buffer plain;
  encode(plain, xs);
  CHECK(plain.attachments() == nullptr);
  CHECK(plain.size() > Buffer::least_attached);

  Buffer attaching{true};
  encode(attaching, numbers(Buffer::least_attached / sizeof(double) - 1));
  encode(attaching, std::string(Buffer::least_attached - 1, 'x'));
  CHECK(attaching.attachments() == nullptr);
  encode(attaching, xs);
  REQUIRE(attaching.attachments() != nullptr);
  CHECK(attaching.attachments()->size == xs.size() * sizeof(double));

  attaching.clear();
  CHECK(attaching.attachments() == nullptr);
  attaching.allow_attachments(false);
  encode(attaching, xs);
  CHECK(attaching.attachments() == nullptr);
}

TEST_CASE("attached values are borrowed, and come back whole", "[attachments]") {
  const auto xs = numbers(100'000);
  const std::string text(50'000, 't');
  Buffer message{true};
  SECTION("a vector") {
    encode(message, xs);
    CHECK(message.attachments()->parts.front().bytes.data() ==
          reinterpret_cast<const std::byte*>(xs.data()));
    CHECK((through<std::vector<double>>(message) == xs));
  }
  SECTION("a string") {
    encode(message, text);
    CHECK((through<std::string>(message) == text));
  }
  SECTION("a span, as a vector too") {
    encode(message, std::span<const double>(xs));
    CHECK((through<std::vector<double>>(message) == xs));
  }
  SECTION("a view") {
    encode(message, apalis::View<double>(xs));
    const auto view = through<apalis::View<double>>(message);
    CHECK(std::equal(view.begin(), view.end(), xs.begin(), xs.end()));
    CHECK(view.data() != xs.data());
  }
  CHECK(message.size() == 9);
}

TEST_CASE("a value that ends before its message moves into it", "[attachments]") {
  auto xs = numbers(100'000);
  const double* const where = xs.data();
  Buffer message{true};
  encode_moved(message, std::move(xs));
  CHECK(message.attachments()->parts.front().bytes.data() ==
        reinterpret_cast<const std::byte*>(where));
  const Buffer moved = std::move(message);
  CHECK((through<std::vector<double>>(moved) == numbers(100'000)));
  // NOLINTNEXTLINE(bugprone-use-after-move): what is left is defined
  CHECK(message.attachments() == nullptr);
}

TEST_CASE("several attachments are read in order", "[attachments]") {
  const auto xs = numbers(20'000);
  const std::string text(30'000, 't');
  Buffer message{true};
  encode(message, xs);
  encode(message, 7);
  encode(message, text);
  Source source{message};
  Reader reader{message.bytes(), &source};
  CHECK((decode<std::vector<double>>(reader) == xs));
  CHECK(decode<int>(reader) == 7);
  CHECK((decode<std::string>(reader) == text));
}

TEST_CASE("an announced attachment that is not there is malformed", "[attachments]") {
  const auto xs = numbers(20'000);
  Buffer message{true};
  encode(message, xs);
  SECTION("none at all") {
    Reader reader{message.bytes()};
    CHECK_THROWS_AS((void)decode<std::vector<double>>(reader), Malformed);
  }
  SECTION("fewer bytes than that") {
    Buffer fewer{true};
    const auto ys = numbers(19'999);
    encode(fewer, ys);
    Source source{fewer};
    Reader reader{message.bytes(), &source};
    CHECK_THROWS_AS((void)decode<std::vector<double>>(reader), Malformed);
  }
  SECTION("where no large part belongs") {
    Source source{message};
    Reader reader{message.bytes(), &source};
    CHECK_THROWS_AS((void)decode<std::vector<std::string>>(reader), Malformed);
  }
}
