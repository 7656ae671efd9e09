// SPDX-License-Identifier: BSL-1.0
//
// What async_server and async_server_asio have in common: the pool that answers requests, and the
// clients that test it. A request is a line, "7 prime 1000000007"; its reply is "7 yes". Replies
// come in any order: the number says what they answer.

#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

/// Lives in the workers: may compute for long, throw, never end, or crash.
struct Calculator {
  static bool is_prime(long n) {
    for (long d = 2; d * d <= n; ++d)
      if (n % d == 0) return false;
    return n > 1;
  }
  static long fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

  std::string answer(const std::string& request) const {
    std::istringstream in(request);
    std::string what;
    long n = 0;
    if (in >> what >> n && what == "prime") return is_prime(n) ? "yes" : "no";
    if (in && what == "fib") return std::to_string(fib(n));
    if (what == "crash") std::abort();
    throw std::invalid_argument("I know prime N, fib N, crash; what is '" + request + "'?");
  }
};

struct Request {
  std::string number, what;
};

inline Request parsed(const std::string& line) {
  const std::size_t space = std::min(line.find(' '), line.size());
  return {line.substr(0, space), line.substr(std::min(space + 1, line.size()))};
}

/// A Calculator in each worker; a request goes to the one with the least to do.
class Pool {
 public:
  explicit Pool(std::size_t workers)
      : calculators_({.workers = workers,
                      .restart = {.max = 1'000'000, .backoff = std::chrono::milliseconds{0}},
                      .timeout = std::chrono::milliseconds{300}},
                     std::in_place, workers),
        busy_(workers) {}

  /// What to say to this request; throws nothing.
  apalis::Coroutine<std::string> answer(std::string request) {
    const auto least = std::min_element(busy_.begin(), busy_.end());
    if (request.size() > longest) co_return "error: too long";
    if (*least >= most_busy) co_return "error: too many requests";
    const auto i = static_cast<std::size_t>(least - busy_.begin());
    ++busy_[i];
    std::string reply;
    try {
      reply = co_await calculators_[i].call<&Calculator::answer>(request);
    } catch (const std::exception& error) {  // it threw, crashed, or took too long
      reply = std::string("error: ") + error.what();
    }
    --busy_[i];
    co_return reply;
  }

  unsigned replaced() const { return calculators_.restarts(); }

 private:
  // call() never waits for room: a worker's buffer has 256 KiB.
  static constexpr std::size_t longest = 100;
  static constexpr int most_busy = 1000;

  apalis::GroupHandler<Calculator> calculators_;
  std::vector<int> busy_;  // how many requests each has to answer
};

// --- The test ------------------------------------------------------------------------------------

[[noreturn]] inline void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// Has a process of its own, so it may wait as long as it likes.
struct Client {
  /// Sends it all at once, and gives the replies as they came.
  std::vector<std::string> ask(std::uint16_t port, const std::string& requests) const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) throw_errno("socket");
    const sockaddr_in address = loopback(port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw_errno("connect");
    for (std::size_t sent = 0; sent < requests.size();) {
      const auto n = ::send(fd, requests.data() + sent, requests.size() - sent, MSG_NOSIGNAL);
      if (n < 0) throw_errno("send");
      sent += static_cast<std::size_t>(n);
    }
    ::shutdown(fd, SHUT_WR);
    std::string text;
    char piece[4096];
    for (ssize_t n; (n = ::recv(fd, piece, sizeof piece, 0)) != 0;) {
      if (n < 0) throw_errno("recv");
      text.append(piece, static_cast<std::size_t>(n));
    }
    ::close(fd);
    std::vector<std::string> replies;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) replies.push_back(line);
    return replies;
  }
};

struct Question {
  std::string request, reply;  // what it begins with
};

inline std::vector<Question> questions() {
  std::vector<Question> all{{"fib 27", "196418"}, {"crash", "error: apalis: worker"}};
  for (int i = 0; i < 100; ++i) all.push_back({"prime 1000000007", "yes"});
  all.push_back({"fib 90", "error: "});  // would take years
  all.push_back({"sing", "error: I know"});
  for (int i = 0; i < 100; ++i) all.push_back({"prime 1000000011", "no"});
  return all;
}

/// Several clients at once, each with all the questions. Gives how many replies were wrong.
inline apalis::Coroutine<int> test(std::vector<apalis::Handler<Client>>& clients,
                                   std::uint16_t port) {
  const std::vector<Question> asked = questions();
  std::string requests;
  for (std::size_t i = 0; i < asked.size(); ++i)
    requests += std::to_string(i) + ' ' + asked[i].request + '\n';
  std::vector<apalis::Token<std::vector<std::string>>> talks;
  for (auto& client : clients) talks.push_back(client.call(&Client::ask, port, requests));

  int wrong = 0;
  for (auto& talk : talks) {
    const std::vector<std::string>& replies = co_await talk;
    std::map<std::size_t, std::string> by_number;
    std::size_t early = 0, highest = 0;
    for (const std::string& line : replies) {
      const std::size_t space = line.find(' '), number = std::stoul(line);
      by_number[number] = line.substr(space + 1);
      if (number < highest) ++early;
      highest = std::max(number, highest);
    }
    for (std::size_t i = 0; i < asked.size(); ++i) {
      if (by_number[i].starts_with(asked[i].reply)) continue;
      std::printf("%zu %s: '%s'\n", i, asked[i].request.c_str(), by_number[i].c_str());
      ++wrong;
    }
    std::printf("%zu replies, of which %zu were overtaken\n", replies.size(), early);
    if (replies.size() != asked.size()) ++wrong;
    if (&talk == &talks.front())
      for (const std::size_t i : {0U, 1U, 2U, 102U, 103U})
        std::printf("  %-18s %.200s\n", asked[i].request.c_str(), by_number[i].c_str());
  }
  co_return wrong;
}
