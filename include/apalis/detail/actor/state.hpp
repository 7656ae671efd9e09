// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of one call, shared by its token and its link.

#include <apalis/detail/actor/source.hpp>
#include <apalis/detail/wire/buffer.hpp>
#include <apalis/detail/wire/thunk.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <utility>

namespace apalis::detail::actor {

class Parts;

/// What a reply is.
enum class Reply : std::uint8_t { value, exception, cancelled };

/// Everything about a call but its result type. Owned by the token; its source, mostly a link,
/// refers to it from submission to settling. A token that lets go of an unsettled state abandons it
/// to the source.
class State {
 public:
  enum class Phase : std::uint32_t {
    idle,      // not submitted yet
    pending,   // in the link's queue
    answered,  // its outcome is there, for the continuations that run first
    early,     // cancelled: the token has its outcome, the link still awaits the reply
    settled,   // the token's alone
  };
  static constexpr std::size_t inline_bytes = 56;

  /// What a reply has beside its bytes: what its attachments become, or what it names.
  class Attached {
   public:
    Attached() noexcept = default;
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
    virtual ~Attached() = default;
    /// More of the attachments. Throws std::bad_alloc, wire::Malformed.
    virtual void append(std::span<const std::byte> /*chunk*/) {}
  };

  State(const State&) = delete;
  State& operator=(const State&) = delete;
  virtual ~State() {
    if (source_ != nullptr) source_->release();
  }

  [[nodiscard]] Phase phase() const noexcept {
    return phase_.load(std::memory_order_acquire);  // partner: set_phase()
  }
  [[nodiscard]] bool has_outcome() const noexcept { return phase() >= Phase::early; }
  void set_phase(Phase phase) noexcept { phase_.store(phase, std::memory_order_release); }

  /// Keeps a reply of up to inline_bytes, from memory that is readable that far.
  void store_small(Reply kind, const std::byte* data, std::size_t size) noexcept {
    kind_ = kind;
    size_ = size;
    std::memcpy(inline_, data, inline_bytes);
  }
  void store(Reply kind, std::unique_ptr<std::byte[]> data, std::size_t size) noexcept {
    kind_ = kind;
    size_ = size;
    heap_ = std::move(data);
  }
  /// Where the attachments of the reply go, which claims that they are `size` bytes together; null
  /// if the result has none.
  Attached* attached(std::uint64_t size) {
    if (attached_ == nullptr) attached_ = make_attached(size);
    return attached_.get();
  }
  /// Keeps what the reply names. False for a result that is all attachment, which names nothing.
  /// Throws std::bad_alloc.
  [[nodiscard]] bool keep(wire::Holds holds);

  /// What came of them is not to be continued.
  void forget_attached() noexcept { attached_.reset(); }

  /// A failure of the library's own.
  void store_error(std::exception_ptr error) noexcept {
    kind_ = Reply::exception;
    error_ = std::move(error);
  }

  /// `why`: null for a call that had not begun.
  void store_cancelled(std::exception_ptr why = nullptr) noexcept {
    kind_ = Reply::cancelled;
    error_ = std::move(why);
    if (continuations != nullptr) [[unlikely]]
      (void)error();  // now, for they and the token may look at it at the same time
  }
  /// What the outcome is made of, if that comes from several workers.
  [[nodiscard]] virtual Parts* parts() noexcept { return nullptr; }
  /// has_outcome(), after a look at the parts. The token's thread.
  [[nodiscard]] bool complete() noexcept {
    return has_outcome() || (parts() != nullptr && complete_from_parts());
  }

  /// As Source::cancel().
  virtual bool cancel(Source::Cancel how) { return source_->cancel(*this, how); }
  [[nodiscard]] bool was_cancelled() const noexcept { return kind_ == Reply::cancelled; }

  /// The encoded result. Throws what the call threw, or why it has none.
  [[nodiscard]] std::span<const std::byte> bytes() {
    if (kind_ != Reply::value) [[unlikely]]
      std::rethrow_exception(error());
    return {heap_ ? heap_.get() : inline_, size_};
  }
  void drop_bytes() noexcept {
    heap_.reset();
    attached_.reset();
  }

  /// What the call threw; null for a value.
  [[nodiscard]] std::exception_ptr error() noexcept;

  [[nodiscard]] Source* source() const noexcept { return source_; }
  /// Before submission. Keeps the source's memory for as long as this state lives.
  void attach(Source& source) noexcept {
    source.retain();
    source_ = &source;
  }

  /// Whether this very thread runs its continuations: then its value may be used, though it has no
  /// outcome yet for others.
  [[nodiscard]] bool is_continued_here() const noexcept;

  // The source's, under its lock, while pending, answered or early.
  State* next = nullptr;
  Continuation* continuations = nullptr;  // the last one attached first
  const wire::Entry* entry = nullptr;  // what was called, for messages
  std::uint32_t position = 0;          // of the request's last unit
  bool abandoned = false;              // no token any more: delete it when the reply comes
  bool begun_before = false;           // by a worker that died: it can't be dropped any more
  std::uint16_t retries = 0;           // how often it may be run again after its worker died
  std::chrono::nanoseconds timeout{0};  // how long it may run; 0: as the link's options say

 protected:
  State() noexcept = default;

  [[nodiscard]] virtual std::unique_ptr<Attached> make_attached(std::uint64_t /*size*/) {
    return nullptr;
  }


 private:
  [[nodiscard]] bool complete_from_parts() noexcept;

  // The first cache line ends with source_: what every call touches, but for its reply.
  std::atomic<Phase> phase_{Phase::idle};
  Reply kind_ = Reply::value;
  Source* source_ = nullptr;
  std::size_t size_ = 0;
  std::unique_ptr<std::byte[]> heap_;
  std::exception_ptr error_;
  alignas(8) std::byte inline_[inline_bytes];

 protected:
  std::unique_ptr<Attached> attached_;
};

bool Until::reached() const noexcept {
  return (state != nullptr && state->has_outcome()) ||
         (version != nullptr && version->load(std::memory_order_acquire) != seen) ||
         (outer != nullptr && outer->reached());
}

/// Keeps a reply that was made in this process. Throws std::bad_alloc.
inline void keep_reply(State& state, Reply kind, wire::Buffer& bytes) {
  if (!bytes.holds().empty()) [[unlikely]]
    (void)state.keep(std::exchange(bytes.holds(), {}));
  if (bytes.size() <= State::inline_bytes) {
    state.store_small(kind, bytes.data(), bytes.size());
  } else {
    auto copy = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
    std::memcpy(copy.get(), bytes.data(), bytes.size());
    state.store(kind, std::move(copy), bytes.size());
  }
}

/// The end of a state's time with its source: it is its token's alone, or nobody's, which is told
/// by true: then it is to be deleted. With the lock held.
[[nodiscard]] inline bool finish_kept(State& state) noexcept {
  if (state.continuations != nullptr) [[unlikely]] {
    state.source()->hold(state);
  } else if (state.abandoned) [[unlikely]] {
    return true;
  } else {
    state.set_phase(State::Phase::settled);
  }
  return false;
}

/// The same for a call's state, which holds nothing of the user's: what nobody wants is deleted.
inline void finish(State& state) noexcept {
  if (finish_kept(state)) [[unlikely]]
    delete &state;
}

}  // namespace apalis::detail::actor
