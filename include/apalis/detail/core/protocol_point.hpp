// SPDX-License-Identifier: BSL-1.0
#pragma once

// The seam where tests stop or kill a process in mid-protocol. Only a library compiled for that
// (APALIS_PROTOCOL_POINTS) has it; in any other, a point is nothing.

namespace apalis::detail {

/// The moments between two steps of the protocol, in the order in which a call meets them.
enum class Point {
  // In the child.
  child_born,       // before anything else
  child_made,       // the object lives
  child_taken,      // a request was found
  child_considered, // said so, not yet looked for a cancellation
  child_begun,      // said so, not yet run
  child_ran,        // the result is known here only
  child_attachment, // between two pieces of a large argument, which is half read
  child_piece,      // between two pieces of a large reply
  child_replied,    // the reply lies in the ring, no bell was rung
  child_released,   // the request's room was given back
  child_finished,   // a post was run and said so
  child_asleep,     // about to sleep
  child_leaving,    // it had nothing to do for so long that it ends: looked for the last time
  child_closing,    // the object is destroyed, not yet said so
  child_closed,     // and said so
  // In the parent.
  parent_accepted,  // a call is in the queue, not in the ring
  parent_piece,     // between two pieces of a large request
  parent_sent,      // it is in the ring, no bell was rung
  parent_taking,    // a reply was found
  parent_settled,   // the replies that were there are with their tokens
  parent_asleep,    // about to sleep
  parent_mourning,  // a worker's death was seen
  parent_salvaged,  // what it left is sorted out
  parent_replaced,  // there is a new worker, and nothing was sent to it yet
};

#ifdef APALIS_PROTOCOL_POINTS
/// Called at each point; null: nothing. Set in one process, inherited by the children it forks.
inline void (*on_protocol_point)(Point) noexcept = nullptr;
inline void reach(Point point) noexcept {
  if (on_protocol_point != nullptr) on_protocol_point(point);
}
#else
constexpr void reach(Point /*point*/) noexcept {}
#endif

}  // namespace apalis::detail
