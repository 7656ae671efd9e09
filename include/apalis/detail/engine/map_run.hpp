// SPDX-License-Identifier: BSL-1.0
#pragma once

// A map in the parent: items become batches, and batches results; or, without workers, each item
// its result at once.

#include <apalis/detail/engine/engine_batch.hpp>
#include <apalis/detail/engine/map_job.hpp>
#include <apalis/detail/engine/map_shape.hpp>
#include <apalis/detail/engine/map_thunk.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/codec.hpp>
#include <apalis/detail/wire/reader.hpp>
#include <apalis/outcome.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace apalis::detail::engine {

/// What an Engine maps: anything with input iterators, of any length.
template <class Range>
concept Items = requires(Range& range) {
  { std::ranges::begin(range) } -> std::input_iterator;
  std::ranges::end(range);
};

template <class Range>
using Iterator = decltype(std::ranges::begin(std::declval<Range&>()));
template <class Range>
using Item = std::iter_reference_t<Iterator<Range>>;

template <class ItemP, class ItemT>
void encode_item(wire::Buffer& message, ItemT&& item) {
  if constexpr (std::is_same_v<wire::Decoded<ItemP>, std::remove_cvref_t<ItemT>> &&
                !std::copy_constructible<std::remove_cvref_t<ItemT>>) {
    wire::encode(message, item);
  } else {
    wire::encode_argument<ItemP>(message, std::forward<ItemT>(item));
  }
}

/// The items that were not taken yet. An input range's iterator moves when the next item is asked
/// for: to move may be to wait for it.
template <class Range>
class Cursor {
 public:
  Cursor(Range& range, std::optional<std::size_t> length)
      : at_(std::ranges::begin(range)), end_(std::ranges::end(range)) {
    if constexpr (requires { std::ranges::size(range); }) left_ = std::ranges::size(range);
    if (length) left_ = left_ ? std::min(*left_, *length) : *length;
  }

  /// Else left() is what length() said, which may be far too much.
  static constexpr bool knows_size = requires(Range& range) { std::ranges::size(range); };

  [[nodiscard]] std::optional<std::size_t> left() const noexcept { return left_; }

  /// Goes to the next one; false behind the last.
  bool next() {
    if (left_ && *left_ == 0) return false;
    if (is_used_) {
      ++at_;
      is_used_ = false;
    }
    if (at_ == end_) return false;
    is_used_ = true;
    if (left_) --*left_;
    return true;
  }
  decltype(auto) operator*() { return *at_; }

  /// Elements in one place: up to `most` of them, which are then taken.
  auto take_block(std::size_t most)
    requires std::contiguous_iterator<Iterator<Range>> &&
        std::sized_sentinel_for<decltype(std::ranges::end(std::declval<Range&>())), Iterator<Range>>
  {
    if (is_used_) {
      ++at_;
      is_used_ = false;
    }
    auto count = std::min(most, static_cast<std::size_t>(end_ - at_));
    if (left_) {
      count = std::min(count, *left_);
      *left_ -= count;
    }
    const std::span block{std::to_address(at_), count};
    at_ += static_cast<std::ptrdiff_t>(count);
    return block;
  }

 private:
  Iterator<Range> at_;
  decltype(std::ranges::end(std::declval<Range&>())) end_;
  std::optional<std::size_t> left_;
  bool is_used_ = false;
};

/// The types of one map.
template <class S, class F, class ItemT, class... Arguments>
struct MapTypes {
  using Shape = MapShape<S, Callee<std::remove_const_t<F>>, ItemT, Meant<Arguments>...>;
  using Parameters = typename Shape::Parameters;
  using ItemP = typename ListTail<Parameters>::Head;
  using Result = std::remove_cvref_t<typename Shape::Result>;

  template <class List>
  struct WithExtras {};  // their numbers differ, as somebody else says
  template <class... P>
    requires(sizeof...(P) == sizeof...(Arguments))
  struct WithExtras<TypeList<P...>> {
    template <class TargetT, class Sink, class State>
    using Thunk = MapThunk<TargetT, Sink, State, ItemP, Extra<P, is_seeds<Arguments>>...>;

    static void write(wire::Buffer& frame, const std::tuple<const Arguments&...>& arguments) {
      std::apply([&](const auto&... each) { (write_one<P>(frame, each), ...); }, arguments);
    }
  };
  using Extras = WithExtras<typename ListTail<Parameters>::Tail>;

  template <class P, class Argument>
  static void write_one(wire::Buffer& frame, const Argument& argument) {
    if constexpr (is_seeds<Argument>) {
      wire::encode<std::uint64_t>(frame, argument.base);
    } else {
      wire::encode_argument<P>(frame, argument);
    }
  }
};

/// A map's items as its workers get them.
template <class Thunk, class Range, class WriteFrame>
class MapItems final : public ItemSource {
 public:
  MapItems(Cursor<Range> cursor, WriteFrame write)
      : cursor_(std::move(cursor)), write_frame_(std::move(write)) {}

 private:
  using ItemP = typename Thunk::ItemParameter;
  using Value = wire::Decoded<ItemP>;
  static constexpr bool is_block = [] {
    if constexpr (requires(Cursor<Range>& c) { c.take_block(1); }) {
      return wire::bytes_copyable<Value> && !wire::is_made<ItemP> &&
          std::is_same_v<std::remove_cvref_t<Item<Range>>, Value>;
    } else {
      return false;
    }
  }();

 public:
  /// To take another one costs nothing, nor does sending it.
  static constexpr bool are_small = [] {
    if constexpr (is_block) {
      return sizeof(Value) <= 16;
    } else {
      return false;
    }
  }();

 private:
  std::optional<std::size_t> left() const override { return cursor_.left(); }

  std::size_t take(std::size_t most, wire::Buffer& message) override {
    // What is attached has to outlive its batch: elements that lie somewhere do.
    if (!std::forward_iterator<Iterator<Range>> || !std::is_lvalue_reference_v<Item<Range>>)
      message.allow_attachments(false);
    if constexpr (is_block) {
      const auto block = cursor_.take_block(most);
      message.append(block.data(), block.size_bytes());
      return block.size();
    } else {
      std::size_t count = 0;
      for (; count < most && cursor_.next(); ++count)
        encode_item<ItemP>(message, *cursor_);
      return count;
    }
  }

  void begin_batch([[maybe_unused]] wire::Buffer& message) const override {
    if constexpr (Thunk::is_small) write_frame_(message);
  }

  bool write_frame([[maybe_unused]] wire::Buffer& message,
                   [[maybe_unused]] std::uint32_t run) const override {
    if constexpr (Thunk::needs_frame) {
      begin_message(message, frame_entry<Thunk>);
      message.append(&run, sizeof run);
      message.align(wire::Buffer::alignment);
      write_frame_(message);
      return true;
    } else {
      return false;
    }
  }

  Cursor<Range> cursor_;
  WriteFrame write_frame_;
};

/// Calls `use(index, result)` for each of a batch's values, use(index) where there are none. Throws
/// MapError.
template <class R, class Use>
void read_values(const Batch& batch, Use use) {
  if (batch.error != nullptr) {
    wire::Reader none{{}};
    batch.throw_failure(none);
  }
  wire::Reader reader = batch.results();
  for (std::uint32_t i = 0; i < batch.reply.values; ++i) {
    if constexpr (std::is_void_v<R>) {
      use(batch.begin() + i);
    } else {
      use(batch.begin() + i, wire::decode<R>(reader));
    }
  }
  if (batch.reply.failed != 0) batch.throw_failure(reader);
}

/// Room for as many results, where a map's are many.
void prepare_room(void* start, std::size_t bytes) noexcept;

template <class R>
void reserve_results(std::vector<R>& values, std::size_t count) {
  values.reserve(count);
  if constexpr (!std::is_same_v<R, bool>) prepare_room(values.data(), count * sizeof(R));
}

/// The same behind a vector's values.
template <class R>
void append_values(const Batch& batch, std::vector<R>& values) {
  if constexpr (wire::bytes_copyable<R> && std::is_trivially_copyable_v<R> &&
                !std::is_same_v<R, bool>) {
    if (!batch.failed()) {
      const auto bytes = batch.results().take(batch.reply.values * sizeof(R));
      if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(R) == 0) {
        const R* const first = reinterpret_cast<const R*>(bytes.data());  // objects: see decode()
        values.insert(values.end(), first, first + batch.reply.values);
        return;
      }
    }
  }
  read_values<R>(batch, [&](std::uint64_t /*index*/, R&& value) {
    values.push_back(std::move(value));
  });
}

template <class R>
void append_outcomes(const Batch& batch, std::vector<Outcome<R>>& outcomes) {
  if (batch.error != nullptr) {
    for (std::uint32_t i = 0; i < batch.count; ++i) outcomes.emplace_back(batch.error);
    return;
  }
  wire::Reader reader = batch.results();
  for (std::uint32_t i = 0; i < batch.reply.values; ++i) {
    if (wire::read_status(reader) == wire::CallStatus::failed) {
      outcomes.emplace_back(wire::read_failure(reader, batch.state->source()->pid()));
    } else if constexpr (std::is_void_v<R>) {
      outcomes.emplace_back(std::in_place);
    } else {
      outcomes.emplace_back(std::in_place, wire::decode<R>(reader));
    }
  }
}

/// An item as the callable's parameter, in this process.
template <class ItemP, class ItemT, class Use>
void hand_item(ItemT&& item, Use use) {
  using T = wire::Decoded<ItemP>;
  using From = std::remove_cvref_t<ItemT>;
  if constexpr (wire::borrowed<T> && !wire::is_made<ItemP>) {
    T view(item);
    use(wire::Handed<ItemP>::from(view));
  } else if constexpr (!wire::is_made<ItemP> && std::is_lvalue_reference_v<ItemP> &&
                       std::is_same_v<T, From>) {
    use(std::as_const(item));
  } else if constexpr (!wire::is_made<ItemP> && std::is_convertible_v<const From&, T> &&
                       std::is_lvalue_reference_v<ItemT>) {
    T value = std::as_const(item);
    use(wire::Handed<ItemP>::from(value));
  } else if constexpr (!wire::is_made<ItemP> && std::is_convertible_v<ItemT, T> &&
                       !std::is_lvalue_reference_v<ItemT>) {
    T value = std::forward<ItemT>(item);
    use(wire::Handed<ItemP>::from(value));
  } else {  // it crosses by a name, or can't be copied: as on its way to a worker
    wire::Buffer message;
    encode_item<ItemP>(message, std::forward<ItemT>(item));
    wire::Reader reader{message.bytes()};
    auto value = wire::decode<T>(reader);
    use(wire::Handed<ItemP>::from(value));
  }
}

/// Throws the exception in flight as the failure of item `index`.
[[noreturn]] void throw_item_failed(std::uint64_t index);

/// A map in the calling thread.
template <class Thunk, class Range>
class LocalRun {
 public:
  template <class WriteFrame>
  LocalRun(MapJob& job, Cursor<Range> cursor, const WriteFrame& write)
      : job_(job),
        seat_(job.begin_here(Thunk::name)),
        cursor_(std::move(cursor)),
        frame_(frame_of(write)) {}

  /// Calls `use(index, result)`, or use(index), for the next item; false behind the last. Throws
  /// what the callable throws.
  template <class Use>
  bool next(Use use) {
    if (!cursor_.next()) {
      job_.finish_here();
      return false;
    }
    const auto index = index_++;
    auto&& given = *cursor_;
    const InsideBatch inside;
    is_in_call_ = true;
    hand_item<typename Thunk::ItemParameter>(std::forward<decltype(given)>(given), [&](auto&& item) {
      auto consume = [&](auto&&... returned) {
        use(index, std::forward<decltype(returned)>(returned)...);
      };
      Thunk::consume_call(consume, frame_, *seat_, index, std::forward<decltype(item)>(item));
    });
    is_in_call_ = false;
    job_.advance(1);
    return true;
  }

  /// Of an exception in flight: whether it comes from an item, not from the range.
  [[nodiscard]] bool is_in_call() noexcept { return std::exchange(is_in_call_, false); }
  /// Throws it as what it is: a MapError, or itself.
  [[noreturn]] void rethrow() {
    if (is_in_call()) throw_item_failed(index_ - 1);
    throw;
  }

 private:
  template <class WriteFrame>
  static typename Thunk::FrameT frame_of(const WriteFrame& write) {
    wire::Buffer bytes;
    write(bytes);
    return typename Thunk::FrameT{bytes.bytes()};
  }

  MapJob& job_;
  std::shared_ptr<Seat> seat_;
  Cursor<Range> cursor_;
  typename Thunk::FrameT frame_;
  std::uint64_t index_ = 0;
  bool is_in_call_ = false;
};

}  // namespace apalis::detail::engine
