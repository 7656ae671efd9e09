// SPDX-License-Identifier: BSL-1.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/error.hpp>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/in_child.hpp"
#include "unit/refusing.hpp"

namespace sys = apalis::detail::sys;
using apalis::SystemError;
using apalis::test::expect;
using apalis::test::fine;
using apalis::test::in_child;
using apalis::test::Refusing;
using Catch::Matchers::ContainsSubstring;
using sys::page_size;
using sys::SharedMemory;

namespace {

constexpr const char* segfault = "killed by signal 11";

/// The descriptor of the memfd of that name, which SharedMemory keeps to itself.
int descriptor_of(const std::string& name) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir("/proc/self/fd"), ::closedir};
  while (const dirent* entry = ::readdir(folder.get())) {
    std::array<char, 256> target{};
    const std::string path = std::string{"/proc/self/fd/"} + entry->d_name;
    if (::readlink(path.c_str(), target.data(), target.size() - 1) > 0 &&
        std::string{target.data()}.find("memfd:" + name + " ") != std::string::npos)
      return std::stoi(entry->d_name);
  }
  return -1;
}

/// Which pages of a shared mapping have been given memory and written, one character each. The
/// constructor tries the kernel out on the first page.
std::string pages(const void* start, std::size_t count) {
  std::vector<unsigned char> resident(count);
  if (::mincore(const_cast<void*>(start), count * page_size, resident.data()) != 0)
    return "mincore failed";
  std::string text;
  for (const unsigned char page : resident) text += (page & 1U) != 0 ? 'x' : '.';
  return text;
}

/// How many pages of memory the memfd of that name takes, written or not.
long pages_of(const std::string& name) {
  struct stat status {};
  if (::fstat(descriptor_of(name), &status) != 0) return -1;
  return static_cast<long>(status.st_blocks) * 512 / static_cast<long>(page_size);
}

bool is_zero(const std::byte* data, std::size_t size) {
  return std::all_of(data, data + size, [](std::byte b) { return b == std::byte{0}; });
}

int code_of(auto action) {
  try {
    action();
  } catch (const SystemError& error) {
    return error.code();
  }
  return 0;
}

std::byte touch(const std::byte* address) {
  return *static_cast<const volatile std::byte*>(address);
}

}  // namespace

TEST_CASE("shared memory starts sparse and zeroed", "[memory]") {
  const SharedMemory memory{"apalis-sparse", std::size_t{1} << 30};
  CHECK(memory.size() == std::size_t{1} << 30);
  CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % page_size == 0);
  CHECK(pages_of("apalis-sparse") <= 1);
  memory.back(0, 2 * page_size);
  CHECK(is_zero(memory.data(), 2 * page_size));
}

TEST_CASE("shared memory is sealed against resizing", "[memory]") {
  const SharedMemory memory{"apalis-sealed", 4 * page_size};
  const int fd = descriptor_of("apalis-sealed");
  REQUIRE(fd >= 0);
  CHECK(::ftruncate(fd, 0) == -1);
  CHECK(errno == EPERM);
  CHECK(::ftruncate(fd, 8 * page_size) == -1);
  CHECK(errno == EPERM);
  // Writing behind the end would grow it.
  CHECK(::pwrite(fd, "x", 1, 4 * page_size) == -1);
  CHECK(errno == EPERM);
  CHECK(::fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  CHECK(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
  CHECK(errno == EPERM);
  CHECK(::fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("shared memory goes with its owner", "[memory]") {
  CHECK(descriptor_of("apalis-gone") == -1);
  {
    const SharedMemory memory{"apalis-gone", page_size};
    CHECK(descriptor_of("apalis-gone") >= 0);
  }
  CHECK(descriptor_of("apalis-gone") == -1);
}

TEST_CASE("a fork sees the same memory", "[memory]") {
  const SharedMemory memory{"apalis-fork", page_size};
  memory.back(0, page_size);
  std::memcpy(memory.data(), "from the parent", 16);
  CHECK(in_child([&] {
          expect(std::memcmp(memory.data(), "from the parent", 16) == 0, "the parent's bytes");
          std::memcpy(memory.data(), "from the child ", 16);
        }) == fine);
  CHECK(std::memcmp(memory.data(), "from the child ", 16) == 0);
}

TEST_CASE("back() gives pages to its range alone", "[memory]") {
  const SharedMemory memory{"apalis-back", 8 * page_size};
  const auto* const second = memory.data() + page_size;
  memory.back(2 * page_size, 3 * page_size);
  CHECK(pages(second, 7) == ".xxx...");
  memory.back(4 * page_size, 2 * page_size);  // where some are there already
  CHECK(pages(second, 7) == ".xxxx..");
}

TEST_CASE("back() keeps what is there", "[memory]") {
  const SharedMemory memory{"apalis-keep", 2 * page_size};
  memory.back(0, page_size);
  std::memcpy(memory.data(), "content", 8);
  memory.back(0, 2 * page_size);
  CHECK(std::memcmp(memory.data(), "content", 8) == 0);
}

TEST_CASE("back() works where the kernel can't populate", "[memory]") {
  const SharedMemory memory{"apalis-old", 4 * page_size};
  const auto before = pages_of("apalis-old");
  const Refusing old_kernel(sys::Call::back, EINVAL, 0, 1);  // Linux before 5.14
  memory.back(page_size, 2 * page_size);
  CHECK(pages_of("apalis-old") == before + 2);
  CHECK(is_zero(memory.data(), 4 * page_size));
}

TEST_CASE("full memory is a SystemError with advice, and not the end", "[memory]") {
  const SharedMemory memory{"apalis-full", 4 * page_size};
  for (const int code : {ENOMEM, ENOSPC, EINVAL}) {
    const Refusing full(sys::Call::back, code);
    CHECK(code_of([&] { memory.back(page_size, page_size); }) == code);
    CHECK(sys::back_here(memory.data() + page_size, page_size) == code);
    CHECK_THROWS_WITH(memory.back(page_size, page_size), ContainsSubstring("memory limit"));
  }
  CHECK(pages(memory.data() + page_size, 3) == "...");
  memory.back(page_size, page_size);
  CHECK(pages(memory.data() + page_size, 3) == "x..");
}

TEST_CASE("back_here() reports what would have been a SIGBUS", "[memory]") {
  const sys::Fd file{::memfd_create("apalis-short", MFD_CLOEXEC)};
  REQUIRE(file);
  REQUIRE(::ftruncate(file.get(), page_size) == 0);
  void* const start =
      ::mmap(nullptr, 2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  REQUIRE(start != MAP_FAILED);
  CHECK(sys::back_here(start, page_size) == 0);
  // Behind the end of the file. Linux before 5.14 knows nothing of this and says EINVAL.
  const int code = sys::back_here(static_cast<std::byte*>(start) + page_size, page_size);
  CHECK((code == ENOMEM || code == EINVAL));
  ::munmap(start, 2 * page_size);
}

TEST_CASE("whether pages can be backed on demand is what the kernel says", "[memory]") {
  const SharedMemory memory{"apalis-demand", 2 * page_size};
  const bool possible = sys::back_here(memory.data(), page_size) == 0;
  CHECK(memory.backs_on_demand() == possible);
}

TEST_CASE("discard() gives memory back and leaves zeros", "[memory]") {
  const SharedMemory memory{"apalis-discard", 4 * page_size};
  memory.back(0, 4 * page_size);
  std::memset(memory.data(), 'x', 4 * page_size);
  REQUIRE(sys::discard(memory.data() + page_size, 2 * page_size));
  CHECK(pages(memory.data(), 4) == "x..x");
  CHECK(is_zero(memory.data() + page_size, 2 * page_size));
  CHECK(memory.data()[0] == std::byte{'x'});
  CHECK(memory.data()[3 * page_size] == std::byte{'x'});
}

TEST_CASE("a refused discard() leaves the bytes", "[memory]") {
  const SharedMemory memory{"apalis-undiscarded", page_size};
  memory.back(0, page_size);
  memory.data()[7] = std::byte{'x'};
  {
    const Refusing refusing(sys::Call::discard, EOPNOTSUPP);
    CHECK_FALSE(sys::discard(memory.data(), page_size));
  }
  CHECK(memory.data()[7] == std::byte{'x'});
  CHECK_FALSE(sys::discard(memory.data() + 1, page_size));  // the kernel's own refusal
}

TEST_CASE("hide() makes a range inaccessible in this process only", "[memory]") {
  const SharedMemory memory{"apalis-hide", 3 * page_size};
  memory.back(0, 3 * page_size);
  const auto hidden_and_touched = [&](std::size_t offset) {
    return in_child([&] {
      expect(sys::hide(memory.data() + page_size, page_size), "hide() failed");
      (void)touch(memory.data() + offset);
    });
  };
  CHECK(hidden_and_touched(0) == fine);
  CHECK(hidden_and_touched(page_size - 1) == fine);
  CHECK(hidden_and_touched(page_size) == segfault);
  CHECK(hidden_and_touched(2 * page_size - 1) == segfault);
  CHECK(hidden_and_touched(2 * page_size) == fine);
  CHECK(is_zero(memory.data(), 3 * page_size));
}

TEST_CASE("a refused hide() leaves the range visible", "[memory]") {
  const SharedMemory memory{"apalis-unhidden", page_size};
  memory.back(0, page_size);
  {
    const Refusing refusing(sys::Call::hide, ENOMEM);
    CHECK_FALSE(sys::hide(memory.data(), page_size));
  }
  CHECK(touch(memory.data()) == std::byte{0});
  CHECK_FALSE(sys::hide(memory.data() + 1, page_size));  // the kernel's own refusal
}

TEST_CASE("shared memory that can't be made is a SystemError, and leaves nothing", "[memory]") {
  const auto make = [] { const SharedMemory memory{"apalis-refused", page_size}; };
  for (const auto call :
       {sys::Call::memfd_create, sys::Call::ftruncate, sys::Call::seal, sys::Call::mmap}) {
    const Refusing refusing(call, EMFILE);
    CAPTURE(static_cast<int>(call));
    CHECK(code_of(make) == EMFILE);
    CHECK(descriptor_of("apalis-refused") == -1);
  }
  CHECK(code_of(make) == 0);
}

TEST_CASE("more addresses than there are is a SystemError", "[memory]") {
  CHECK(code_of([] { const SharedMemory memory{"apalis-huge", std::size_t{1} << 48}; }) == ENOMEM);
  CHECK(descriptor_of("apalis-huge") == -1);
}

TEST_CASE("no descriptor left is a SystemError with advice", "[memory]") {
  CHECK(in_child([] {
          rlimit before{};
          ::getrlimit(RLIMIT_NOFILE, &before);
          const rlimit few{3, before.rlim_max};
          expect(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit failed");
          for (int fd = 3; fd < 64; ++fd) ::close(fd);
          try {
            const SharedMemory memory{"apalis-fds", page_size};
          } catch (const SystemError& error) {
            ::setrlimit(RLIMIT_NOFILE, &before);  // a sanitizer needs some to look at objects
            expect(error.code() == EMFILE, error.what());
            expect(std::string{error.what()}.find("ulimit -n") != std::string::npos, error.what());
            return;
          }
          expect(false, "it was made without a descriptor");
        }) == fine);
}

TEST_CASE("a limit on file sizes is a SystemError with advice, not a signal", "[memory]") {
  CHECK(in_child([] {
          const rlimit small{1 << 20, 1 << 20};
          expect(::setrlimit(RLIMIT_FSIZE, &small) == 0, "setrlimit failed");
          try {
            const SharedMemory memory{"apalis-fsize", std::size_t{1} << 30};
          } catch (const SystemError& error) {
            expect(error.code() == EFBIG, error.what());
            expect(std::string{error.what()}.find("ulimit -f") != std::string::npos, error.what());
            return;
          }
        }) == fine);
}
