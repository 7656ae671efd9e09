// SPDX-License-Identifier: BSL-1.0
#include <fmt/core.h>

#include <apalis/detail/actor/post_failures.hpp>
#include <apalis/detail/wire/exception.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/error.hpp>
#include <cstdio>
#include <cstring>

namespace apalis::detail::actor {

void PostFailures::note(std::span<const std::byte> bytes) {
  told_ = true;
  if (bytes_ != nullptr || decoded_ != nullptr) return;
  bytes_ = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
  std::memcpy(bytes_.get(), bytes.data(), bytes.size());
  size_ = bytes.size();
  unreported_ = true;
}

void PostFailures::note_lost(const std::exception_ptr& error) {
  ++lost_;
  if (bytes_ != nullptr || decoded_ != nullptr) return;
  decoded_ = error;
  unreported_ = true;
}

std::exception_ptr PostFailures::first(pid_t worker) {
  if (decoded_ == nullptr && bytes_ != nullptr) {
    wire::Reader reader{{bytes_.get(), size_}};
    decoded_ = wire::decode_exception(reader, worker);
  }
  return decoded_;
}

std::exception_ptr PostFailures::report(pid_t worker) {
  unreported_ = false;
  return first(worker);
}

std::exception_ptr PostFailures::take(std::uint64_t count, pid_t worker, std::string_view name) {
  const auto error = first(worker);
  count += lost_;
  *this = PostFailures{};
  if (count == 0 && error == nullptr) return nullptr;
  return std::make_exception_ptr(
      PostError(fmt::format("apalis: {} one-way call{} of '{}' failed; the first: {}", count,
                            count == 1 ? "" : "s", name, describe(error)),
                count, error));
}

std::string describe(const std::exception_ptr& error) {
  if (error == nullptr) return "unknown";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

void report_lost(const std::function<void(std::exception_ptr)>& hook,
                 const std::exception_ptr& error) noexcept {
  try {
    if (hook) {
      hook(error);
    } else {
      fmt::print(stderr, "{}\n", describe(error));
    }
  } catch (...) {  // stderr is closed, or the hook broke its promise: there is no third way
  }
}

}  // namespace apalis::detail::actor
