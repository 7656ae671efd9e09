// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the messages between a link and its worker are: the tags of the channel's messages.
//
// Every call, drain and close gets one reply, in order. A post gets none; the first that fails
// since the last drain is told by an unasked-for post_failed.

#include <cstdint>

namespace apalis::detail::actor {

enum class Request : std::uint8_t {
  call = 1,  // an encoded call
  post,      // the same, without reply
  drain,     // reply: how many posts failed since the last drain (8 bytes)
  close,     // the object's destructor, flushing, then the same reply, then the end
};

enum class Answer : std::uint8_t {
  value = 1,    // the encoded result
  exception,    // an encoded exception
  cancelled,    // dropped before it began
  post_failed,  // the encoded exception of a post; answers no request
  retired,      // the last message of a worker that has done its share, or had nothing to do for
                // long: like the reply to a close, but it answers no request
  value_with_blocks,  // the encoded result, then channel::finish_reply()
};

}  // namespace apalis::detail::actor
