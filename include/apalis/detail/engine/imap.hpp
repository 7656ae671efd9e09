// SPDX-License-Identifier: BSL-1.0
#pragma once

// A map whose results are a range, made while it is read.

#include <apalis/detail/engine/map_plan.hpp>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace apalis::detail::engine {

/// An lvalue range is referred to, an rvalue owned.
template <class Range>
using Kept = std::conditional_t<std::is_lvalue_reference_v<Range>, Range, std::decay_t<Range>>;

/// An input range of the results, read once.
///
/// **Owns** the callable, the arguments and an rvalue range; keeps the engine's workers alive.
/// **Threads:** one at a time.
/// **Blocks:** begin() and ++ until there is a result.
/// **Throws** as map().
template <class S, class F, class Range, class Factory, class... Args>
class Imap {
  using Plan = decltype(plan_map<S>(std::declval<EngineCore&>(), std::declval<F&>(),
                                    std::declval<std::remove_reference_t<Range>&>(),
                                    std::declval<Factory&>(), std::declval<const Args&>()...));
  using R = typename Plan::R;
  static_assert(!std::is_void_v<R>,
                "apalis: imap() needs a callable that returns something: use for_each()");
  using Local = decltype(std::declval<Plan&>().template local_run<ValuesSink<R>>(Plan::no_op));
  using Workers =
      decltype(std::declval<Plan&>().template worker_run<ValuesSink<R>>(Plan::no_op, MapOrder{}));

  struct Job;

 public:
  Imap(std::shared_ptr<EngineCore> core, Factory& factory, bool ordered, F f, Range&& items,
       const Args&... args)
      : job_(std::make_unique<Job>(std::move(core), factory, ordered, std::move(f),
                                   std::forward<Range>(items), args...)) {}

  class Iterator {
   public:
    using value_type = R;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Iterator() noexcept = default;
    R& operator*() const noexcept { return *job_->value; }
    R* operator->() const noexcept { return &*job_->value; }
    Iterator& operator++() {
      job_->advance();
      return *this;
    }
    void operator++(int) { job_->advance(); }
    [[nodiscard]] bool operator==(std::default_sentinel_t /*end*/) const noexcept {
      return job_ == nullptr || !job_->value;
    }

   private:
    friend class Imap;
    explicit Iterator(Job& job) noexcept : job_(&job) {}
    Job* job_ = nullptr;
  };

  /// Once.
  [[nodiscard]] Iterator begin() {
    job_->start();
    return Iterator{*job_};
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  friend class Iterator;

  struct Job {
    Job(std::shared_ptr<EngineCore> c, Factory& shared, bool in_order, F callable, Range&& range,
        const Args&... each)
        : core(std::move(c)),
          factory(shared),
          ordered(in_order),
          f(std::move(callable)),
          items(std::forward<Range>(range)),
          args(each...) {}

    void start() {
      if (plan) return;
      std::apply(
          [&](const auto&... each) {
            plan.emplace(plan_map<S>(*core, f, items, factory, each...));
          },
          args);
      if (plan->runs_here()) {
        local.reset(new Local(plan->template local_run<ValuesSink<R>>(Plan::no_op)));
      } else {
        workers.reset(new Workers(*plan, Plan::no_op, {.ordered = ordered, .bounded = true}));
      }
      advance();
    }

    void advance() {
      value.reset();
      if (local) {
        try {
          (void)local->next([&](std::uint64_t /*index*/, auto&& result) {
            value.emplace(std::forward<decltype(result)>(result));
          });
        } catch (...) {
          local->rethrow();
        }
        return;
      }
      while (left == 0) {
        if (batch != nullptr && batch->reply.failed != 0) batch->throw_failure(*reader);
        batch = workers->next();
        if (batch == nullptr) return;
        if (batch->error != nullptr) {
          wire::Reader none{{}};
          batch->throw_failure(none);
        }
        reader.emplace(batch->results());
        left = batch->reply.values;
      }
      --left;
      value.emplace(wire::decode<R>(*reader));
    }

    std::shared_ptr<EngineCore> core;
    Factory factory;
    bool ordered;
    F f;
    Kept<Range> items;
    std::tuple<Args...> args;
    std::optional<Plan> plan;
    std::unique_ptr<Local> local;
    std::unique_ptr<Workers> workers;
    Batch* batch = nullptr;
    std::optional<wire::Reader> reader;
    std::uint32_t left = 0;  // values in the reader
    std::optional<R> value;
  };

  std::unique_ptr<Job> job_;
};

}  // namespace apalis::detail::engine
