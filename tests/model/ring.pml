// SPDX-License-Identifier: BSL-1.0
//
// A lane: units with stamps, an arena, and one word of progress that gives their room back. Each
// message arrives once, in order and whole; nothing is overwritten that was not read; with
// -DREPLIES also: two full lanes never make the two processes wait for each other for ever.
//
//   here            | in the code
//   ----------------+------------------------------------------------------------------------------
//   try_send        | Sender::try_send(), try_send_pair(), try_send_block(), make_room(),
//                   | reserve_bytes(), look_at_progress()
//   mark            | Sender::mark()
//   try_take        | Receiver::try_take(), take_large()
//   release         | Receiver::release(), report()
//   Parent          | ProcessLink::submit(), send_slowly(), wait_for_room(), take_replies()
//   Worker          | Worker::serve(), send_when_possible(), wait_for_request(), sleep_unless()
//   ring, announce  | the doorbell as doorbell.pml proves it to be: whoever announced itself before
//                   | a ring is woken, who does it after sees what was published before the ring
//
// Small, with the proportions of the code: a ring of 4 units, an arena of 4 cache lines, progress
// reported when half of either was taken (the code: an eighth), which is as much as can be without
// a deadlock: a pair at an odd position needs 3 units, a block of 2 up to 3 lines. Positions count
// modulo 16 where the code counts modulo 2^32. Pieces are blocks.
//
// Not here: pages that are given in the first lap, messages of a hostile peer.
//
// Mutants: see tests/model/check.

#define CORES 2
#define PARENT 0
#define WORKER 1

#ifdef REPLIES
#define UNITS 2
#define LANES 2
#define DEPTH 2
#define MESSAGES 5
#else
#define UNITS 4
#define LANES 1
#ifndef MESSAGES
#define MESSAGES 3  // 4 take eight times as long
#endif
#endif
#define LINES 4  // of the arena
#define START 8  // so that positions wrap around on the way

#define MODULO 15  // & it
#define LANE(lane) ((lane) * (2 * UNITS + LINES + 1))
#define HEAD(lane, position) (LANE(lane) + (position) % UNITS)
#define DATA(lane, position) (LANE(lane) + UNITS + (position) % UNITS)
#define LINE(lane, position) (LANE(lane) + 2 * UNITS + (position) % LINES)
#define PROGRESS(lane) (LANE(lane) + 2 * UNITS + LINES)
#define BELL(core) (LANE(LANES) + (core))
#define PLACES (LANE(LANES) + 2)

#define REQUESTS 0
#define ANSWERS 1

// A head: stamp, kind, mark, and in the second unit of a pair some of the data.
#define STAMP(position) (((position) + 1) & MODULO)
#ifdef NO_LAPS
#define IS_AT(head, position) ((head) != 0)
#else
#define IS_AT(head, position) (((head) & MODULO) == STAMP(position))
#endif
#define KIND(head) (((head) >> 4) & 3)
#define MARK 64
#define SINGLE 0
#define PAIR 1
#define BLOCK 2
#define SKIP 3

#include "memory.pml"

#ifdef ONE_TOO_MANY
#define ROOM (UNITS + 1)
#else
#define ROOM UNITS
#endif
#ifdef ARENA_UNCHECKED
#define LINE_ROOM MODULO
#else
#define LINE_ROOM LINES
#endif
#ifdef RARE_REPORTS
#define REPORT_AFTER UNITS
#else
#define REPORT_AFTER (UNITS / 2)
#endif

#ifdef RELAXED_PUBLISH
#define PUBLISH RELAXED
#else
#define PUBLISH RELEASE
#endif

// Progress: units, and lines * 16.
#define WORD(units, lines) ((units) + (lines) * 16)

inline ring(core, other) { store(core, BELL(other), 1, RELEASE) }
inline announce(core) { d_step { SEEN(core) -> mem[BELL(core)] = 0 } }
inline sleep(core) { mem[BELL(core)] == 1 }

// What a Sender and a Receiver hold, one of each a lane.
byte next_[LANES], limit_[LANES], freed_[LANES], lines_[LANES], lines_freed_[LANES];
byte at_[LANES], reported_[LANES], lines_taken_[LANES], lines_reported_[LANES];

inline look_at_progress(core, lane) {
  load(core, PROGRESS(lane), word);
  d_step {
    // Or else ProtocolViolation.
    assert((((word & MODULO) - freed_[lane]) & MODULO) <= ((next_[lane] - freed_[lane]) & MODULO));
    assert((((word >> 4) - lines_freed_[lane]) & MODULO) <=
           ((lines_[lane] - lines_freed_[lane]) & MODULO));
    freed_[lane] = word & MODULO;
    lines_freed_[lane] = word >> 4;
    word = 0
  }
}

inline publish(core, lane, kind, units) {
  store(core, HEAD(lane, next_[lane]), STAMP(next_[lane]) + (kind) * 16, PUBLISH);
  next_[lane] = (next_[lane] + (units)) & MODULO
}

// `ok`, `word` and `units` are locals of the caller, as are the kind and size of its message.
inline try_send(core, lane, kind, size, content) {
  ok = true;
  units = (kind == PAIR -> 2 + next_[lane] % 2 : 1);
  if
  :: ((limit_[lane] - next_[lane]) & MODULO) >= units &&
     ((limit_[lane] - next_[lane]) & MODULO) <= ROOM
  :: else ->
     // make_room()
     if
     :: ((next_[lane] + units - freed_[lane]) & MODULO) > ROOM -> look_at_progress(core, lane)
     :: else
     fi;
     if
     :: ((next_[lane] + units - freed_[lane]) & MODULO) > ROOM -> ok = false
     :: else -> limit_[lane] = (freed_[lane] + ROOM) & MODULO
     fi
  fi;
  if
  :: ok && kind == BLOCK ->
     // reserve_bytes()
     skipped = (lines_[lane] % LINES + size > LINES -> LINES - lines_[lane] % LINES : 0);
     if
     :: ((lines_[lane] + skipped + size - lines_freed_[lane]) & MODULO) > LINE_ROOM ->
        look_at_progress(core, lane)
     :: else
     fi;
     if
     :: ((lines_[lane] + skipped + size - lines_freed_[lane]) & MODULO) > LINE_ROOM -> ok = false
     :: else -> lines_[lane] = (lines_[lane] + skipped) & MODULO
     fi;
     skipped = 0
  :: else
  fi;
  if
  :: !ok
  :: ok && kind == SINGLE ->
     store(core, DATA(lane, next_[lane]), content, RELAXED);
     publish(core, lane, SINGLE, 1)
  :: ok && kind == PAIR ->
     if
     :: units == 3 -> publish(core, lane, SKIP, 1)
     :: else
     fi;
     store(core, DATA(lane, next_[lane]), content, RELAXED);
     store(core, DATA(lane, next_[lane] + 1), content, RELAXED);
     store(core, HEAD(lane, next_[lane] + 1), STAMP(next_[lane] + 1) + content * 16, RELAXED);
     publish(core, lane, PAIR, 2)
  :: ok && kind == BLOCK ->
     store(core, LINE(lane, lines_[lane]), content, RELAXED);
     if
     :: size == 2 -> store(core, LINE(lane, lines_[lane] + 1), content, RELAXED)
     :: else
     fi;
     store(core, DATA(lane, next_[lane]), WORD(lines_[lane], size), RELAXED);
     lines_[lane] = (lines_[lane] + size) & MODULO;
     publish(core, lane, BLOCK, 1)
  fi;
  units = 0
}

inline report(core, lane) {
  reported_[lane] = at_[lane];
  lines_reported_[lane] = lines_taken_[lane];
  store(core, PROGRESS(lane), WORD(at_[lane], lines_taken_[lane]), RELEASE)
}

// Sets `ok` if a message was there, which must be `content`; a block's lines stay where they are.
inline try_take(core, lane, content) {
  do
  :: true ->
     load(core, HEAD(lane, at_[lane]), head);
     if
     :: !IS_AT(head, at_[lane]) -> ok = false; break
     :: IS_AT(head, at_[lane]) && KIND(head) == SKIP -> at_[lane] = (at_[lane] + 1) & MODULO
     :: IS_AT(head, at_[lane]) && KIND(head) != SKIP ->
        ok = true;
        load(core, DATA(lane, at_[lane]), word);
        if
        :: KIND(head) == SINGLE -> assert(word == content); at_[lane] = (at_[lane] + 1) & MODULO
        :: KIND(head) == PAIR ->
           assert(word == content && at_[lane] % 2 == 0);
           load(core, HEAD(lane, at_[lane] + 1), word);
           assert(word == STAMP(at_[lane] + 1) + content * 16);
           load(core, DATA(lane, at_[lane] + 1), word);
           assert(word == content);
           at_[lane] = (at_[lane] + 2) & MODULO
        :: KIND(head) == BLOCK -> block = word; at_[lane] = (at_[lane] + 1) & MODULO
        fi;
        word = 0;
        break
     fi
  od;
  head = 0
}

// Reads a block where it lies.
inline read_block(core, lane, content) {
  if
  :: block != 0 ->
     load(core, LINE(lane, block & MODULO), word);
     assert(word == content);
     if
     :: block >> 4 == 2 ->
        load(core, LINE(lane, (block & MODULO) + 1), word);
        assert(word == content)
     :: else
     fi;
     word = 0
  :: else
  fi
}

inline release(core, other, lane) {
  if
  :: block != 0 -> lines_taken_[lane] = ((block & MODULO) + (block >> 4)) & MODULO
  :: else
  fi;
  if
  :: ((at_[lane] - reported_[lane]) & MODULO) >= REPORT_AFTER ||
     ((lines_taken_[lane] - lines_reported_[lane]) & MODULO) >= LINES / 2 ->
     report(core, lane);
#ifndef NO_RING_AT_RELEASE
     ring(core, other)
#endif
  :: else
  fi
}

inline has_message(core, lane) {
  load(core, HEAD(lane, at_[lane]), head);
  ok = IS_AT(head, at_[lane]);
  head = 0
}

inline has_progress(core, lane) {
  load(core, PROGRESS(lane), word);
  ok = (word != WORD(freed_[lane], lines_freed_[lane]));
  word = 0
}

#ifdef REPLIES
// All that are there.
inline take_replies() {
  do
  :: true ->
     try_take(PARENT, ANSWERS, taken + 1);
     if
     :: ok -> taken++; release(PARENT, WORKER, ANSWERS)
     :: else -> break
     fi
  od
}
#endif

proctype Parent() {
  byte sent, kind, size, units, skipped, taken;
  short word, head, block;
  bool ok, marked;
  do
  :: sent < MESSAGES ->
     size = 0;
#ifdef REPLIES
     kind = SINGLE;
#else
     if
     :: kind = SINGLE
     :: kind = PAIR
     :: kind = BLOCK; size = 1
     :: kind = BLOCK; size = 2
     fi;
#endif
     do
     :: true ->
        try_send(PARENT, REQUESTS, kind, size, sent + 1);
        if
        :: ok -> ring(PARENT, WORKER); break
        :: else
        fi;
        // wait_for_room()
#if defined(REPLIES) && !defined(REPLIES_LEFT)
        take_replies();
#endif
        announce(PARENT);
        has_progress(PARENT, REQUESTS);
#if defined(REPLIES) && !defined(REPLIES_LEFT)
        if
        :: !ok -> has_message(PARENT, ANSWERS)
        :: else
        fi;
#endif
        if
        :: ok
        :: else -> sleep(PARENT)
        fi
     od;
     sent++;
     if
     :: !marked && kind == SINGLE ->
        // mark()
        marked = true;
#ifdef RELAXED_MARK
        // A relaxed store heads no release sequence: who reads it has not synchronised with the
        // publishing. As if both stores had become one, with the order of the later one.
        d_step {
          if
          :: count_[PARENT] > 1 && PLACE_(PARENT, 1) == HEAD(REQUESTS, next_[REQUESTS] - 1 + 16) ->
             place_[PARENT * DEPTH + 1] = PLACE_(PARENT, 1)
          :: else
          fi
        }
#endif
        load(PARENT, HEAD(REQUESTS, next_[REQUESTS] - 1 + 16), word);
        store(PARENT, HEAD(REQUESTS, next_[REQUESTS] - 1 + 16), word | MARK, RELEASE);
        word = 0
     :: true
     fi
  :: else -> break
  od;
#ifdef REPLIES
  do
  :: taken < MESSAGES ->
     announce(PARENT);
     has_message(PARENT, ANSWERS);
     if
     :: ok -> take_replies()
     :: else -> sleep(PARENT)
     fi
  :: else -> break
  od
#endif
}

proctype Worker() {
  byte taken, units, skipped;
  short word, head, block;
  bool ok;
  do
  :: taken < MESSAGES ->
     try_take(WORKER, REQUESTS, taken + 1);
     if
     :: ok ->
#ifdef RELEASES_FIRST
        release(WORKER, PARENT, REQUESTS);
        read_block(WORKER, REQUESTS, taken + 1);
#else
        read_block(WORKER, REQUESTS, taken + 1);
#endif
#ifdef REPLIES
        do
        :: true ->
           try_send(WORKER, ANSWERS, SINGLE, 0, taken + 1);
           if
           :: ok -> ring(WORKER, PARENT); break
           :: else
           fi;
           announce(WORKER);
           has_progress(WORKER, ANSWERS);
           if
           :: ok
           :: else -> sleep(WORKER)
           fi
        od;
#endif
#ifndef RELEASES_FIRST
        release(WORKER, PARENT, REQUESTS);
#endif
        block = 0;
        taken++
     :: else ->
        announce(WORKER);
        has_message(WORKER, REQUESTS);
        if
        :: ok
        :: else -> sleep(WORKER)
        fi
     fi
  :: else -> break
  od
}

init {
  byte lane;
  atomic {
    for (lane : 0 .. LANES - 1) {
      next_[lane] = START;
      limit_[lane] = START + UNITS;
      freed_[lane] = START;
      lines_[lane] = START;
      lines_freed_[lane] = START;
      at_[lane] = START;
      reported_[lane] = START;
      lines_taken_[lane] = START;
      lines_reported_[lane] = START;
      mem[PROGRESS(lane)] = WORD(START, START)
    }
    lane = 0;
    run Buffer(PARENT);
    run Buffer(WORKER);
    run Parent();
    run Worker()
  }
}
