// SPDX-License-Identifier: BSL-1.0
#pragma once

// Threads of the test's own, such as a program has that lends them to workers.
//
//   ThreadPool pool{2};
//   pool.submit(job);      // its end, and that of all others, is waited for by the destructor

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis::test {

/// **Threads:** any may submit; the destructor is for one.
class ThreadPool {
 public:
  explicit ThreadPool(std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }

  void submit(std::function<void()> job) {
    {
      const std::lock_guard lock{mutex_};
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }

  /// What `ask` says on one of the threads.
  template <class F>
  [[nodiscard]] std::invoke_result_t<F> ask(F ask) {
    std::packaged_task<std::invoke_result_t<F>()> task{std::move(ask)};
    auto answer = task.get_future();
    submit([&task] { task(); });
    return answer.get();
  }

  /// Forgets what no thread has taken up.
  std::size_t drop_waiting() {
    std::deque<std::function<void()>> dropped;
    const std::lock_guard lock{mutex_};
    dropped.swap(jobs_);
    return dropped.size();
  }

 private:
  void work(const std::stop_token& stop) {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock{mutex_};
        if (!changed_.wait(lock, stop, [this] { return !jobs_.empty(); })) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::jthread> threads_;  // end before the rest does
};

}  // namespace apalis::test
