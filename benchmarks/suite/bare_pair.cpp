// SPDX-License-Identifier: BSL-1.0
#include "bare_pair.hpp"

#include <unistd.h>

#include "raw_calls.hpp"
#include "stopwatch.hpp"
#include "task_kernel.hpp"

namespace apalis::bench {

BarePair::BarePair() {
  const auto [done_read, done_write] = make_pipe();
  for (Process& process : processes_) {
    const auto [read_end, write_end] = make_pipe();
    process = {checked(fork(), "fork"), write_end};
    if (process.pid == 0) {
      die_with_parent();
      serve(read_end, done_write);
    }
    close(read_end);
  }
  close(done_write);
  done_ = done_read;
}

BarePair::~BarePair() {
  for (const Process& process : processes_) {
    end_child(process.pid);
    close(process.orders);
  }
  close(done_);
}

void BarePair::serve(int orders, int done) noexcept {
  for (Order order; read(orders, &order, sizeof order) == sizeof order;) {
    for (; order.tasks > 0; --order.tasks) keep(run_kernel(order.steps));
    checked(write(done, "", 1), "write");
  }
  _exit(0);
}

void BarePair::run(std::uint64_t tasks, std::uint64_t steps) {
  const Order order{tasks, steps};
  for (const Process& process : processes_) {
    checked(write(process.orders, &order, sizeof order), "write");
  }
  for (std::size_t finished = 0; finished < processes_.size(); ++finished) {
    char byte;
    checked(read(done_, &byte, 1), "read");
  }
}

}  // namespace apalis::bench
