// SPDX-License-Identifier: BSL-1.0
#include "ping_pong.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace apalis::bench {

PingPong::PingPong() : places_(new (shared_memory(places * sizeof(Lines))) Lines[places]{}) {
  const auto [read_end, write_end] = make_pipe();
  child_ = checked(fork(), "fork");
  if (child_ == 0) {
    die_with_parent();
    close(write_end);
    echo(places_, read_end);
  }
  close(read_end);
  wake_fd_ = write_end;
}

PingPong::~PingPong() {
  end_child(child_);
  close(wake_fd_);
  munmap(places_, places * sizeof(Lines));
}

void PingPong::echo(Lines* pairs, int wake_fd) noexcept {
  for (std::uint8_t place; read(wake_fd, &place, 1) == 1;) {
    Lines& lines = pairs[place];
    std::uint32_t last = asleep;
    do {
      std::uint32_t stamp;
      while ((stamp = lines.ping.load(std::memory_order_acquire)) == last) pause_core();
      lines.pong.store(last = stamp, std::memory_order_release);
    } while (last != asleep);
  }
  _exit(0);
}

void PingPong::wake() {
  place_ = static_cast<std::uint8_t>((place_ + 1) % places);
  checked(write(wake_fd_, &place_, 1), "write");
  // Until the kernel has found the woken process a core of its own, which may take a time slice.
  for (const Ticks give_up = now() + ticks_in(std::chrono::milliseconds(20)); now() < give_up;) {
    if (timed(16, [this] {
          for (int i = 0; i < 16; ++i) round_trip();
        }) < busy_ping_pong)
      break;
  }
}

void PingPong::sleep() {
  round_trip(asleep);
}

Side PingPong::side() {
  return {.sample = [this] { return timed(1, [this] { round_trip(); }); },
          .begin = [this] { wake(); },
          .end = [this] { sleep(); }};
}

double ping_pong_now() {
  using namespace std::chrono_literals;
  PingPong ping_pong;
  const Effort look{.rounds = 9, .block = 2ms, .warm_up = 1ms, .quick = true};
  return interleave(look, ping_pong.side())[0].median;
}

}  // namespace apalis::bench
