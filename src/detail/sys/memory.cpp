// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <apalis/detail/sys/fault.hpp>
#include <apalis/detail/sys/memory.hpp>
#include <apalis/detail/sys/system_error.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstdint>

namespace apalis::detail::sys {
namespace ipc = boost::interprocess;

namespace {

#ifndef MADV_POPULATE_WRITE
constexpr int MADV_POPULATE_WRITE = 23;  // Linux 5.14; the headers may be older than the kernel
#endif

constexpr auto memory_advice =
    "shared memory is full: free memory, or raise the container's memory limit";

/// What Boost.Interprocess asks of something to be mapped.
struct Mappable {
  int fd;
  [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const noexcept {
    return ipc::ipcdetail::mapping_handle_from_file_handle(fd);
  }
};

int fault_or(Call call, int result) noexcept {
  if (const int code = injected_fault(call); code != 0) {
    errno = code;
    return -1;
  }
  return result;
}

}  // namespace

struct SharedMemory::Mapping {
  ipc::mapped_region region;
};

SharedMemory::SharedMemory(const char* name, std::size_t size) : size_(size) {
  if (::sysconf(_SC_PAGESIZE) != static_cast<long>(page_size))
    throw SystemError("apalis: this kernel's pages are not 4096 bytes, which is not supported",
                      ENOTSUP);
  if (fault_or(Call::memfd_create, 0) == 0)
    fd_ = Fd{::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd_) throw_errno(errno, "cannot create shared memory", "see ulimit -n");
  // Past this limit the kernel would not say EFBIG but send SIGXFSZ.
  rlimit largest{};
  if (::getrlimit(RLIMIT_FSIZE, &largest) == 0 && largest.rlim_cur < size)
    throw_errno(EFBIG, "cannot size shared memory", "see ulimit -f");
  if (fault_or(Call::ftruncate, 0) != 0 || ::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
    throw_errno(errno, "cannot size shared memory", "see ulimit -f");
  // Nobody can shrink it under a mapping any more, so no access can meet a missing page that way.
  if (fault_or(Call::seal, 0) != 0 ||
      ::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    throw_errno(errno, "cannot seal shared memory");
  if (fault_or(Call::mmap, 0) != 0)
    throw_errno(errno, "cannot map shared memory", "see ulimit -v");
  try {
    mapping_ = std::make_unique<Mapping>(Mapping{
        ipc::mapped_region{Mappable{fd_.get()}, ipc::read_write, 0, size, nullptr, MAP_NORESERVE}});
  } catch (const ipc::interprocess_exception& e) {
    throw_errno(e.get_native_error(), "cannot map shared memory", "see ulimit -v");
  }
  data_ = static_cast<std::byte*>(mapping_->region.get_address());
  // A core dump of any process that maps it would give pages to the whole reservation.
  ::madvise(data_, size_, MADV_DONTDUMP);
  on_demand_ = fault_or(Call::populate, 0) == 0 &&
               ::madvise(data_, page_size, MADV_POPULATE_WRITE) == 0;
}

SharedMemory::~SharedMemory() = default;

void SharedMemory::back(std::size_t offset, std::size_t size) const {
  int code = back_here(data_ + offset, size);
  if (code == EINVAL && injected_fault(Call::back) == 0) {
    code = ::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(size)) == 0
               ? 0
               : errno;
  }
  if (code != 0) throw_errno(code, "cannot back shared memory with pages", memory_advice);
}

int back_here(void* start, std::size_t size) noexcept {
  if (const int code = injected_fault(Call::back); code != 0) return code;
  for (;;) {
    if (::madvise(start, size, MADV_POPULATE_WRITE) == 0) return 0;
    if (errno == EFAULT) return ENOMEM;  // where a plain access would have raised SIGBUS
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
}

void require_pages(void* start, std::size_t size) {
  if (const int code = back_here(start, size); code != 0 && code != EINVAL)
    throw_errno(code, "cannot back shared memory with pages", memory_advice);
}

bool discard(void* start, std::size_t size) noexcept {
  return fault_or(Call::discard, 0) == 0 && ::madvise(start, size, MADV_REMOVE) == 0;
}

bool hide(void* start, std::size_t size) noexcept {
  return fault_or(Call::hide, 0) == 0 && ::mprotect(start, size, PROT_NONE) == 0;
}

bool show(void* start, std::size_t size) noexcept {
  return fault_or(Call::show, 0) == 0 && ::mprotect(start, size, PROT_READ | PROT_WRITE) == 0;
}

void prefer_huge_pages(void* start, std::size_t size) noexcept {
  constexpr std::size_t least = std::size_t{4} << 20;
  if (size < least) return;
  auto* const begin = static_cast<std::byte*>(start);
  const auto into = reinterpret_cast<std::uintptr_t>(begin) % page_size;
  std::byte* const first = into == 0 ? begin : begin + (page_size - into);
  ::madvise(first, (size - static_cast<std::size_t>(first - begin)) / page_size * page_size,
            MADV_HUGEPAGE);
}

}  // namespace apalis::detail::sys
