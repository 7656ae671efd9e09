// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/mapped_file.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <cerrno>
#include <cstdlib>

namespace apalis::detail::sys {
namespace {

constexpr auto disk_advice =
    "see the free space of that directory (df), or choose another in ShareOptions::directory";

bool refused(Call call) noexcept {
  errno = injected_fault(call);
  return errno != 0;
}

Fd open_nameless(const std::string& directory) {
  if (!refused(Call::file)) {
    if (Fd file{::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)}) return file;
    if (errno == EOPNOTSUPP || errno == EISDIR) {  // file systems that can't, kernels before 3.11
      std::string path = directory + "/apalis-XXXXXX";
      if (Fd file{::mkostemp(path.data(), O_CLOEXEC)}) {
        ::unlink(path.c_str());
        return file;
      }
    }
  }
  throw_errno(errno, "cannot make a file in '" + directory + "'", disk_advice);
}

void write_all(const Fd& file, std::span<const std::byte> bytes) {
  constexpr std::size_t most_at_once = std::size_t{1} << 30;
  while (!bytes.empty()) {
    const auto written =
        refused(Call::file)
            ? -1
            : ::write(file.get(), bytes.data(), std::min(bytes.size(), most_at_once));
    if (written < 0 && errno != EINTR)
      throw_errno(errno, fmt::format("cannot write {} bytes more to a file", bytes.size()),
                  disk_advice);
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

struct stat status_of(const Fd& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_errno(errno, "cannot ask for a file's size");
  return status;
}

}  // namespace

MappedFile::MappedFile(Fd file, std::size_t size) : file_(std::move(file)), size_(size) {
  map(file_);
}

void MappedFile::map(const Fd& file) {
  if (size_ == 0) return;
  void* const at = refused(Call::mmap)
                       ? MAP_FAILED
                       : ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) throw_errno(errno, "cannot map a file", "see ulimit -v");
  data_ = static_cast<const std::byte*>(at);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::shared_ptr<const MappedFile> MappedFile::make(const std::string& directory,
                                                   std::span<const std::byte> bytes) {
  // Past this limit the kernel would not say EFBIG but send SIGXFSZ.
  rlimit largest{};
  if (::getrlimit(RLIMIT_FSIZE, &largest) == 0 && largest.rlim_cur < bytes.size())
    throw_errno(EFBIG, "cannot make a file for a shared value", "see ulimit -f");
  Fd file = open_nameless(directory);
  write_all(file, bytes);
  const auto status = status_of(file);
  const std::shared_ptr<MappedFile> made{new MappedFile(std::move(file), bytes.size())};
  made->place_ = {::getpid(), made->file_.get(), bytes.size(), status.st_dev, status.st_ino};
  return made;
}

std::shared_ptr<const MappedFile> MappedFile::of_process(const Place& place) {
  const auto path = fmt::format("/proc/{}/fd/{}", place.process, place.fd);
  const Fd file{refused(Call::file) ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file)
    throw_errno(errno, "cannot open the file behind a Ref, " + path,
                "workers that read shared files need /proc and their parent's user");
  const auto status = status_of(file);
  if (status.st_dev != place.device || status.st_ino != place.inode ||
      static_cast<std::uint64_t>(status.st_size) < place.size)
    throw_errno(ENOENT, "the file behind a Ref is gone");
  const std::shared_ptr<MappedFile> mapped{new MappedFile(Fd{}, 0)};
  mapped->size_ = place.size;
  mapped->map(file);
  mapped->place_ = place;
  return mapped;
}

}  // namespace apalis::detail::sys
