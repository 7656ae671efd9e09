// SPDX-License-Identifier: BSL-1.0
#include "host.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apalis/apalis.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "leak_check.hpp"

namespace {

struct Nothing {
  int zero() { return 0; }
};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

bool readable(int descriptor, int within_ms) {
  pollfd ready{descriptor, POLLIN, 0};
  int found = 0;
  do found = ::poll(&ready, 1, within_ms);
  while (found < 0 && errno == EINTR);
  return found == 1;
}

}  // namespace

// The library keeps a reservation and a pipe from its first handler on, and what notify_fd() is:
// they belong to the baseline.
void apalis_test_warm_up() {
  apalis::Handler<Nothing> h;
  h.call(&Nothing::zero).get();
  (void)apalis::notify_fd();
}

Watched::Watched(pid_t pid) : descriptor_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {
  if (descriptor_ < 0) fail("pidfd_open");
}

Watched::~Watched() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool Watched::ends(int within_ms) const {
  return readable(descriptor_, within_ms);
}

void Watched::signal(int number) const {
  ::syscall(SYS_pidfd_send_signal, descriptor_, number, nullptr, 0);
}

void Host::Side::write_bytes(const void* data, std::size_t n) const {
  if (::write(out_, data, n) != static_cast<ssize_t>(n)) fail("telling the test");
}

void Host::Side::wait_for_test() {
  char go = 0;
  if (::read(in_, &go, 1) != 1) ::_exit(98);
}

Host::Host(const std::function<int(Side&)>& body) {
  int up[2];
  int down[2];
  if (::pipe2(up, O_CLOEXEC) != 0 || ::pipe2(down, O_CLOEXEC) != 0) fail("pipe2");
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    ::close(up[0]);
    ::close(down[1]);
    int status = 99;
    try {
      Side side(up[1], down[0]);
      status = body(side);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "host: %s\n", e.what());
    } catch (...) {
      std::fprintf(stderr, "host: unknown exception\n");
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  ::close(up[1]);
  ::close(down[0]);
  from_host_ = up[0];
  to_host_ = down[1];
}

Host::~Host() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    reap();
  }
  ::close(from_host_);
  ::close(to_host_);
}

void Host::go_on() {
  if (::write(to_host_, "g", 1) != 1) fail("letting the host go on");
}

void Host::kill() {
  ::kill(pid_, SIGKILL);
  reap();
}

int Host::status() {
  if (!Watched(pid_).ends()) {
    kill();
    throw std::runtime_error("the host hangs");
  }
  const int status = reap();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int Host::reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

void Host::read_bytes(void* data, std::size_t n) const {
  if (!readable(from_host_, patience_ms)) throw std::runtime_error("the host says nothing");
  if (::read(from_host_, data, n) != static_cast<ssize_t>(n))
    throw std::runtime_error("the host ended without a word");
}

std::size_t open_descriptors() {
  std::size_t n = 0;
  for (int descriptor = 0; descriptor < 4096; ++descriptor)
    n += ::fcntl(descriptor, F_GETFD) >= 0 ? 1U : 0U;
  return n;
}

std::vector<pid_t> children() {
  std::istringstream list(read_file("/proc/thread-self/children"));
  return {std::istream_iterator<pid_t>(list), {}};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

ScratchFile::ScratchFile() : path_("/tmp/apalis-test-XXXXXX") {
  const int descriptor = ::mkostemp(path_.data(), O_CLOEXEC);
  if (descriptor < 0) fail("mkostemp");
  ::close(descriptor);
}

ScratchFile::~ScratchFile() {
  ::unlink(path_.c_str());
}
