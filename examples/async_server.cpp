// SPDX-License-Identifier: BSL-1.0
//
// A server with one thread and epoll, which answers requests from a group of workers: its loop
// never waits for one of them, and a request that crashes takes no other down.
//
//   async_server           tests itself
//   async_server PORT      serves, for: printf '1 prime 1000000007\n2 crash\n' | nc -N 127.0.0.1 PORT

#include "async_server.hpp"

#include <sys/epoll.h>

#include <array>
#include <functional>
#include <memory>

class Fd {
 public:
  explicit Fd(int fd, const char* what) : fd_(fd) {
    if (fd < 0) throw_errno(what);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Calls what waits for a descriptor when it is ready.
class Loop {
 public:
  using Callback = std::function<void(std::uint32_t events)>;

  void watch(int fd, std::uint32_t events, Callback callback) {
    callbacks_[fd] = std::make_shared<Callback>(std::move(callback));
    control(EPOLL_CTL_ADD, fd, events);
  }
  void change(int fd, std::uint32_t events) { control(EPOLL_CTL_MOD, fd, events); }
  void forget(int fd) {
    control(EPOLL_CTL_DEL, fd, 0);
    callbacks_.erase(fd);
  }

  void run_once() {
    std::array<epoll_event, 64> events;
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (count < 0 && errno != EINTR) throw_errno("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto at = callbacks_.find(event.data.fd);
      if (at == callbacks_.end()) continue;  // forgotten a moment ago
      const auto callback = at->second;      // which may forget itself
      (*callback)(event.events);
    }
  }

 private:
  void control(int operation, int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), operation, fd, &event) != 0) throw_errno("epoll_ctl");
  }

  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"};
  std::map<int, std::shared_ptr<Callback>> callbacks_;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Loop& loop, Pool& pool, Fd socket)
      : loop_(loop), pool_(pool), socket_(std::move(socket)) {}

  void open() {
    loop_.watch(socket_.get(), EPOLLIN, [self = shared_from_this()](std::uint32_t events) {
      if ((events & (EPOLLHUP | EPOLLERR)) != 0) return self->close();
      if ((events & EPOLLIN) != 0) self->read();
      self->write();
    });
  }

 private:
  static constexpr std::size_t most_unread = 1 << 16, longest_line = 1000;

  void read() {
    char piece[4096];
    const auto n = ::recv(socket_.get(), piece, sizeof piece, 0);
    if (n == 0) ended_ = true;
    if (n > 0) input_.append(piece, static_cast<std::size_t>(n));
    for (std::size_t end; (end = input_.find('\n')) != std::string::npos;) {
      ++unanswered_;
      // The token may go: the coroutine runs on, and catches what is thrown.
      (void)apalis::start(reply(shared_from_this(), input_.substr(0, end)));
      input_.erase(0, end + 1);
    }
    if (input_.size() > longest_line) ended_ = true;
  }

  /// Goes on inside apalis::poll().
  static apalis::Coroutine<> reply(std::shared_ptr<Connection> self, std::string line) {
    const Request request = parsed(line);
    const std::string text = co_await self->pool_.answer(request.what);
    self->output_ += request.number + ' ' + text + '\n';
    --self->unanswered_;
    self->write();
  }

  void write() {
    if (!open_) return;
    const auto n = ::send(socket_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (n > 0) output_.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN) return close();
    if (ended_ && unanswered_ == 0 && output_.empty()) return close();
    // One who does not read his replies may ask no more.
    const std::uint32_t reading = !ended_ && output_.size() < most_unread ? EPOLLIN : 0U;
    loop_.change(socket_.get(), reading | (output_.empty() ? 0U : EPOLLOUT));
  }

  void close() {
    if (std::exchange(open_, false)) loop_.forget(socket_.get());
  }

  Loop& loop_;
  Pool& pool_;
  Fd socket_;
  std::string input_, output_;
  int unanswered_ = 0;
  bool open_ = true;
  bool ended_ = false;  // the client asks no more
};

class Server {
 public:
  Server(Loop& loop, Pool& pool, std::uint16_t port) : loop_(loop), pool_(pool) {
    const int yes = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    const sockaddr_in address = loopback(port);
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw_errno("bind");
    if (::listen(listener_.get(), SOMAXCONN) != 0) throw_errno("listen");
    loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
  }

  std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw_errno("getsockname");
    return ntohs(address.sin_port);
  }

 private:
  void accept() {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) std::make_shared<Connection>(loop_, pool_, Fd{fd, "accept"})->open();
  }

  Loop& loop_;
  Pool& pool_;
  Fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"};
};

int main(int argc, char** argv) try {
  const bool tests = argc < 2;
  // Processes first: a child made later would have the sockets, too.
  Pool pool{static_cast<std::size_t>(std::max(2, apalis::cpu_count()))};
  std::vector<apalis::Handler<Client>> clients(tests ? 3 : 0);

  Loop loop;
  loop.watch(apalis::notify_fd(), EPOLLIN, [](std::uint32_t) { apalis::poll(); });
  Server server{loop, pool, static_cast<std::uint16_t>(tests ? 0 : std::atoi(argv[1]))};
  std::printf("serving on 127.0.0.1:%d\n", server.port());
  std::fflush(stdout);
  while (!tests) loop.run_once();

  auto wrong = apalis::start(test(clients, server.port()));
  while (!wrong.ready()) loop.run_once();
  std::printf("%u workers were replaced, %d replies were wrong\n", pool.replaced(), wrong.get());
  return wrong.get() == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
