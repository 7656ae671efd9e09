// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <apalis/detail/sys/terminal.hpp>
#include <cerrno>
#include <cstdlib>

namespace apalis::detail::sys {

bool can_redraw(int fd) noexcept {
  if (::isatty(fd) == 0) return false;
  const char* const kind = std::getenv("TERM");
  return kind == nullptr || std::string_view(kind) != "dumb";
}

int terminal_columns(int fd) noexcept {
  constexpr int usual = 80;
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : usual;
}

bool write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const auto written = ::write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
      if (::poll(&entry, 1, -1) < 0 && errno != EINTR) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace apalis::detail::sys
