// SPDX-License-Identifier: BSL-1.0
#pragma once

// A map in a worker: the callable and the arguments of every call, kept from one batch to the next,
// and the loop over a batch's items.
//
// Frame message: [Entry*][run] and, aligned to 64, [callable][arguments][sink][state factory].
// Batch message: [Entry*][BatchHeader][items]. Reply: [ReplyHeader][results][failure].

#include <apalis/detail/actor/steps.hpp>
#include <apalis/detail/engine/engine_batch.hpp>
#include <apalis/detail/engine/map_shape.hpp>
#include <apalis/detail/engine/seat.hpp>
#include <apalis/detail/wire/batch.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <apalis/engine_options.hpp>
#include <apalis/this_worker.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace apalis::detail::engine {

/// A parameter behind the item's, and whether its value is the item's seed.
template <class P, bool seeds>
struct Extra {};

template <class ExtraT>
class Lent;
/// The same value for every call.
template <class P>
class Lent<Extra<P, false>> {
 public:
  explicit Lent(wire::Reader& reader) : value_(wire::decode<wire::Decoded<P>>(reader)) {}
  decltype(auto) lend(std::uint64_t /*index*/) {
    if constexpr (wire::is_made<P>) {
      return wire::Handed<P>::from(value_);
    } else if constexpr (std::is_lvalue_reference_v<P>) {
      return std::as_const(value_);
    } else {
      return wire::Decoded<P>(std::as_const(value_));
    }
  }

 private:
  wire::Decoded<P> value_;
};
template <class P>
class Lent<Extra<P, true>> {
 public:
  explicit Lent(wire::Reader& reader) : base_(wire::decode<std::uint64_t>(reader)) {}
  [[nodiscard]] std::uint64_t lend(std::uint64_t index) const noexcept {
    return item_seed(base_, index);
  }

 private:
  std::uint64_t base_;
};

/// No state.
struct NoState {
  static constexpr bool there = false;
};
/// A worker's S, which FactoryTarget's callable makes.
template <class S, class FactoryTarget>
struct StateOf {
  static constexpr bool there = true;
  using type = S;
  using Target = FactoryTarget;
};

/// **Owns** what was sent, and what was made of it, which may refer to those bytes.
template <class TargetT, class Sink, class State, class... Extras>
class MapFrame final : public Frame {
 public:
  /// Of a message without attachments.
  explicit MapFrame(std::span<const std::byte> bytes)
      : MapFrame(bytes, std::make_unique<wire::Buffer>()) {}

  [[nodiscard]] auto& callable() noexcept { return callable_; }
  [[nodiscard]] auto& sink() noexcept { return sink_; }

  template <class Use>
  decltype(auto) with_extras(std::uint64_t index, Use use) {
    return std::apply([&](auto&... each) -> decltype(auto) { return use(each.lend(index)...); },
                      extras_);
  }

  template <class S>
  S& state(Seat& seat) {
    return seat.template state<S>(state_id_, [this]() -> S { return (*factory_)(); });
  }

 private:
  struct Nothing {
    explicit Nothing(wire::Reader& /*reader*/) noexcept {}
  };
  template <class Factory>
  struct Made {
    explicit Made(wire::Reader& reader) : value(Factory::decode(reader)) {}
    auto& operator*() noexcept { return value; }
    decltype(Factory::decode(std::declval<wire::Reader&>())) value;
  };
  template <class St>
  struct FactoryOf {
    using type = Nothing;
  };
  template <class S, class Factory>
  struct FactoryOf<StateOf<S, Factory>> {
    using type = Made<Factory>;
  };

  MapFrame(std::span<const std::byte> bytes, std::unique_ptr<wire::Buffer> kept)
      : bytes_(std::move(kept)), reader_(copy(bytes)), callable_(TargetT::decode(reader_)),
        extras_{Lent<Extras>(reader_)...}, sink_(reader_), state_id_(id(reader_)),
        factory_(reader_) {}

  wire::Reader copy(std::span<const std::byte> bytes) {
    bytes_->append(bytes.data(), bytes.size());
    return wire::Reader{bytes_->bytes()};
  }
  static std::uint64_t id(wire::Reader& reader) {
    if constexpr (State::there) {
      return wire::decode<std::uint64_t>(reader);
    } else {
      return 0;
    }
  }

  std::unique_ptr<wire::Buffer> bytes_;
  wire::Reader reader_;  // the order of what follows is the order of the message
  decltype(TargetT::decode(std::declval<wire::Reader&>())) callable_;
  std::tuple<Lent<Extras>...> extras_;
  Sink sink_;
  std::uint64_t state_id_;
  typename FactoryOf<State>::type factory_;
};

// ---- What becomes of the results ------------------------------------------------------------------

/// Each is sent. `R`: never a reference.
template <class R>
struct ValuesSink {
  static constexpr bool goes_on = false;  // after a failure
  static constexpr bool is_empty = true;  // takes nothing from the frame
  explicit ValuesSink(wire::Reader& /*frame*/) noexcept {}
  void begin() noexcept {}
  template <class Call>
  void take(wire::Buffer& result, std::string_view /*name*/, Call call) {
    call([&](const auto&... returned) {
      if constexpr (!std::is_void_v<R>) wire::encode<R>(result, returned...);
    });
  }
  void end(wire::Buffer& /*result*/) noexcept {}
};

/// Each is sent, or what it threw.
template <class R>
struct OutcomesSink {
  static constexpr bool goes_on = true;
  static constexpr bool is_empty = true;
  explicit OutcomesSink(wire::Reader& /*frame*/) noexcept {}
  void begin() noexcept {}
  template <class Call>
  void take(wire::Buffer& result, std::string_view name, Call call) {
    wire::write_outcome(result, name, [&] {
      call([&](const auto&... returned) {
        if constexpr (!std::is_void_v<R>) wire::encode<R>(result, returned...);
      });
    });
  }
  void end(wire::Buffer& /*result*/) noexcept {}
};

/// A batch's are combined to one T, from the first to the last.
template <class T, class OpTarget>
class ReducingSink {
 public:
  static constexpr bool goes_on = false;
  static constexpr bool is_empty = false;
  explicit ReducingSink(wire::Reader& frame) : op_(OpTarget::decode(frame)) {}
  void begin() noexcept { sum_.reset(); }
  template <class Call>
  void take(wire::Buffer& /*result*/, std::string_view /*name*/, Call call) {
    call([&](auto&& returned) {
      if (sum_) {
        *sum_ = static_cast<T>(op_(std::move(*sum_), std::forward<decltype(returned)>(returned)));
      } else {
        sum_.emplace(static_cast<T>(std::forward<decltype(returned)>(returned)));
      }
    });
  }
  void end(wire::Buffer& result) {
    if (sum_) wire::encode<T>(result, *sum_);
  }

 private:
  decltype(OpTarget::decode(std::declval<wire::Reader&>())) op_;
  std::optional<T> sum_;
};

// ---- The loop -------------------------------------------------------------------------------------

/// Of a batch: the time it took, and the header of its reply.
class BatchClock {
 public:
  BatchClock(Seat& seat, wire::Buffer& result);
  /// `failed`: the exception in flight.
  void end(wire::Buffer& result, std::uint32_t values, bool failed, std::string_view name) const;

 private:
  Seat& seat_;
  std::size_t header_at_;
  std::uint64_t begin_;  // nanoseconds
};

[[noreturn]] void throw_no_frame();

template <class TargetT, class Sink, class State, class ItemP, class... Extras>
struct MapThunk {
  using FrameT = MapFrame<TargetT, Sink, State, Extras...>;
  using Callable = std::remove_const_t<typename TargetT::Callable>;

  /// With nothing but a callable of a few bytes, each batch has that itself.
  static constexpr bool is_small = [] {
    if constexpr (requires { TargetT::size; }) {
      return TargetT::size <= 16 && sizeof...(Extras) == 0 && Sink::is_empty && !State::there;
    } else {
      return false;
    }
  }();
  /// Else there is something to be sent before the first batch.
  static constexpr bool needs_frame = !is_small;

  static void set_up(void* object, wire::Reader& arguments, wire::Buffer& /*result*/) {
    std::uint32_t run = 0;
    arguments.read(&run, sizeof run);
    arguments.align(wire::Buffer::alignment);
    static_cast<Seat*>(object)->keep(
        run, std::make_unique<FrameT>(arguments.take(arguments.remaining())));
  }

  static void invoke(void* object, wire::Reader& arguments, wire::Buffer& result) {
    Seat& seat = *static_cast<Seat*>(object);
    BatchHeader header;
    arguments.read(&header, sizeof header);
    if constexpr (needs_frame) {
      Frame* const frame = seat.frame(header.run);
      if (frame == nullptr) throw_no_frame();
      run(seat, static_cast<FrameT&>(*frame), header, arguments, result);
    } else {
      FrameT frame{arguments.take(TargetT::size)};
      run(seat, frame, header, arguments, result);
    }
  }

  /// f(item), with what is needed beside.
  template <class Item>
  static decltype(auto) call(FrameT& frame, [[maybe_unused]] Seat& seat, std::uint64_t index,
                             Item&& item) {
    return frame.with_extras(index, [&](auto&&... extras) -> decltype(auto) {
      if constexpr (is_method<Callable>) {
        return wire::call_member(item, frame.callable(), std::forward<decltype(extras)>(extras)...);
      } else if constexpr (State::there) {
        return frame.callable()(frame.template state<typename State::type>(seat),
                                std::forward<Item>(item),
                                std::forward<decltype(extras)>(extras)...);
      } else {
        return frame.callable()(std::forward<Item>(item),
                                std::forward<decltype(extras)>(extras)...);
      }
    });
  }

  /// consume(f(item)), or consume() behind one that returns nothing.
  template <class Consume, class Item>
  static void consume_call(Consume& consume, FrameT& frame, Seat& seat, std::uint64_t index,
                           Item&& item) {
    if constexpr (std::is_void_v<decltype(call(frame, seat, index, std::forward<Item>(item)))>) {
      call(frame, seat, index, std::forward<Item>(item));
      consume();
    } else {
      consume(call(frame, seat, index, std::forward<Item>(item)));
    }
  }

  using ItemParameter = ItemP;
  static constexpr std::string_view name = wire::CallName<TargetT>::text;

 private:
  using Value = wire::Decoded<ItemP>;

  static void run(Seat& seat, FrameT& frame, const BatchHeader& header, wire::Reader& items,
                  wire::Buffer& result) {
    const InsideBatch inside;
    const StopToken stop = this_worker().stop_token();
    result.allow_attachments(false);
    const BatchClock clock{seat, result};
    actor::Steps steps;
    for (std::uint32_t i = 0; i < header.skip; ++i) (void)wire::decode<Value>(items);
    auto& sink = frame.sink();
    sink.begin();
    const std::uint64_t first = header.first() + header.skip;
    std::uint32_t done = 0;
    std::size_t good = result.size();
    try {
      for (; done < header.count && !stop.stop_requested() && steps.begin(done); ++done) {
        sink.take(result, name, [&](auto consume) {
          auto value = wire::decode<Value>(items);
          consume_call(consume, frame, seat, first + done, wire::Handed<ItemP>::from(value));
        });
        good = result.size();
      }
      sink.end(result);
    } catch (...) {
      result.truncate(good);
      clock.end(result, done, true, name);
      return;
    }
    clock.end(result, done, false, name);
  }
};

template <class Thunk>
inline constexpr wire::Entry batch_entry{&Thunk::invoke, Thunk::name, wire::Buffer::alignment};
template <class Thunk>
inline constexpr wire::Entry frame_entry{&Thunk::set_up, Thunk::name, wire::Buffer::alignment};

}  // namespace apalis::detail::engine
