// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/actor/current_call.hpp>
#include <apalis/detail/actor/nursery.hpp>
#include <apalis/detail/actor/worker.hpp>
#include <apalis/detail/process/launcher.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <optional>
#include <string>

namespace apalis::detail::actor {
namespace {

/// What an order's address is of.
template <class T>
T* at(std::uint64_t address) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the parent took it in the same image
  return reinterpret_cast<T*>(address);
}

/// Makes an object by a recipe that came in a message.
class RecipeMaker final : public Maker {
 public:
  RecipeMaker(const SpawnOrder& order, std::span<const std::byte> arguments)
      : Maker(at<void(void*) noexcept>(order.destroy)),
        make_(at<void*(wire::Reader&)>(order.make)) {
    of_many = order.of_many != 0;
    worker = order.worker;
    idle_limit = std::chrono::milliseconds{order.idle_limit};
    last_words = at<const wire::Entry>(order.last_words);
    arguments_.append(arguments.data(), arguments.size());
  }

  void* make() override {
    wire::Reader reader{arguments_.bytes()};
    return make_(reader);
  }

 private:
  void* (*make_)(wire::Reader&);
  wire::Buffer arguments_;  // a copy: the message lies where the worker can't look
};

}  // namespace

std::int32_t Nursery::spawn(const SpawnOrder& order, std::string_view title,
                            std::span<const std::byte> arguments) {
  std::optional<RecipeMaker> by_recipe;
  if (maker_ == nullptr) by_recipe.emplace(order, arguments);
  std::function<void()> on_start;
  if (order.on_start != 0) on_start = at<void()>(order.on_start);
  StartHooks hooks = hooks_;
  if (on_start) hooks.on_start = &on_start;
  if (order.prepare != 0) hooks.prepare = at<const std::function<void()>>(order.prepare);
  Worker worker{region_,
                {.slice = order.slice,
                 .max_calls = order.max_calls,
                 .generation = order.generation,
                 .hooks = hooks,
                 .from_nursery = true},
                by_recipe ? static_cast<Maker&>(*by_recipe) : *maker_};
  return process::launch_sibling({.title = std::string{title}, .cpu = {}}, worker,
                                 current_call.control->spawned.pid);
}

}  // namespace apalis::detail::actor
