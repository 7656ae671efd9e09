// SPDX-License-Identifier: BSL-1.0
//
// The server of async_server.cpp with Asio (standalone) in place of epoll.
//
//   async_server_asio           tests itself
//   async_server_asio PORT      serves, for: printf '1 fib 30\n2 crash\n' | nc -N 127.0.0.1 PORT

#include <asio.hpp>
#include <memory>

#include "async_server.hpp"

/// Runs apalis::poll() in Asio's loop whenever there is something to do.
class Poller {
 public:
  explicit Poller(asio::io_context& context) : notified_(context, ::dup(apalis::notify_fd())) {
    wait();
  }

 private:
  void wait() {
    notified_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this](const std::error_code& error) {
                           if (error) return;
                           apalis::poll();
                           wait();
                         });
  }

  asio::posix::stream_descriptor notified_;  // a duplicate, since Asio closes it
};

/// Lives as long as something is to be read or answered.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::ip::tcp::socket socket, Pool& pool) : socket_(std::move(socket)), pool_(pool) {}

  void read() {
    // One who does not read his replies may ask no more.
    if (output_.size() > most_unread) return;
    asio::async_read_until(
        socket_, asio::dynamic_buffer(input_, 4096), '\n',
        [self = shared_from_this()](const std::error_code& error, std::size_t size) {
          self->reading_ = false;
          if (error) {
            self->ended_ = true;
            return;
          }
          // The token may go: the coroutine runs on, and catches what is thrown.
          (void)apalis::start(reply(self, self->input_.substr(0, size - 1)));
          self->input_.erase(0, size);
          self->read();
        });
    reading_ = true;
  }

 private:
  static constexpr std::size_t most_unread = 1 << 16;

  /// Goes on inside apalis::poll().
  static apalis::Coroutine<> reply(std::shared_ptr<Connection> self, std::string line) {
    const Request request = parsed(line);
    const std::string text = co_await self->pool_.answer(request.what);
    self->output_ += request.number + ' ' + text + '\n';
    if (self->sending_.empty()) self->write();
  }

  void write() {
    sending_.swap(output_);
    asio::async_write(socket_, asio::buffer(sending_),
                      [self = shared_from_this()](const std::error_code& error, std::size_t) {
                        self->sending_.clear();
                        if (error) return;
                        if (!self->output_.empty()) self->write();
                        if (!self->reading_ && !self->ended_) self->read();
                      });
  }

  asio::ip::tcp::socket socket_;
  Pool& pool_;
  std::string input_, output_, sending_;
  bool reading_ = false;
  bool ended_ = false;  // the client asks no more
};

class Server {
 public:
  Server(asio::io_context& context, Pool& pool, std::uint16_t port)
      : acceptor_(context, {asio::ip::address_v4::loopback(), port}), pool_(pool) {
    accept();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept([this](const std::error_code& error, asio::ip::tcp::socket socket) {
      if (!error) std::make_shared<Connection>(std::move(socket), pool_)->read();
      if (error != asio::error::operation_aborted) accept();
    });
  }

  asio::ip::tcp::acceptor acceptor_;
  Pool& pool_;
};

int main(int argc, char** argv) try {
  const bool tests = argc < 2;
  // Processes first: a child made later would have the sockets, too.
  Pool pool{static_cast<std::size_t>(std::max(2, apalis::cpu_count()))};
  std::vector<apalis::Handler<Client>> clients(tests ? 3 : 0);

  asio::io_context context{1};
  const Poller poller{context};
  const Server server{context, pool, static_cast<std::uint16_t>(tests ? 0 : std::atoi(argv[1]))};
  std::printf("serving on 127.0.0.1:%d\n", server.port());
  std::fflush(stdout);
  if (!tests) context.run();

  auto wrong = apalis::start(test(clients, server.port()));
  while (!wrong.ready()) context.run_one();
  std::printf("%u workers were replaced, %d replies were wrong\n", pool.replaced(), wrong.get());
  return wrong.get() == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
