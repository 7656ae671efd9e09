// SPDX-License-Identifier: BSL-1.0
//
// Cancelling: what was told as cancelled is never executed, what was executed is never told as
// cancelled, and each call is executed at most once and ends exactly once.
//
//   here            | in the code
//   ----------------+------------------------------------------------------------------------------
//   submit          | ProcessLink::submit(): Sender::publish()
//   take_reply      | ProcessLink::take_replies(), handle_bytes()
//   cancel          | ProcessLink::cancel(): Sender::mark(), `cancels`, heavy barrier, the loop over
//                   | `considered` and `begun`; its 1 ms of patience may end at any turn
//   cancel_queued   | ProcessLink::cancel_queued(): `discard`, heavy barrier, `considered`
//   Worker          | Worker::serve(), begin(), has_orders(), reply(), Receiver::release()
//
// Not here: positions that wrap at 2^32 (differences only are used), the bytes of messages (ring),
// who sleeps (doorbell), the worker's death (restart). The parent's lock makes it one thread.
//
// Mutants: see tests/model/check.

#define CORES 2
#define PARENT 0
#define WORKER 1

#define CALLS 3
#define UNITS 2  // of the ring: the third call reuses the first one's unit

#define HEAD(position) ((position) % UNITS)  // 0, or position + 1, + MARK
#define MARK 64
#define STAMP(head) ((head) & 63)
#define PROGRESS (UNITS)
#define CONSIDERED (UNITS + 1)  // position + 1, so that 0 is nothing_yet
#define BEGUN (UNITS + 2)
#define CANCELS (UNITS + 3)
#define DISCARD (UNITS + 4)
#define REPLY(position) (UNITS + 5 + (position))
#define PLACES (UNITS + 5 + CALLS)

#define VALUE 1
#define CANCELLED 2

#include "memory.pml"

#ifdef WINDOW_SHORT
#define WINDOW (UNITS - 1)
#else
#define WINDOW UNITS
#endif

byte executed[CALLS];
byte told[CALLS];  // the parent's: 0 is pending

inline take_reply() {
  load(PARENT, REPLY(taken), word);
  if
  :: word == 0
  :: else ->
     d_step {
       if
       :: told[taken] == 0 -> told[taken] = word
       :: else
       fi;
       assert(told[taken] == CANCELLED || word == VALUE);
       taken++
     }
  fi
}

inline take_replies() {
  do
  :: taken < next ->
     take_reply();
     if
     :: word == 0 -> break
     :: else
     fi
  :: else -> break
  od
}

inline tell_cancelled(which) {
  d_step {
    assert(executed[which] == 0);
    told[which] = CANCELLED
  }
}

inline cancel() {
  take_replies();
  select(position : 0 .. next - 1);
  if
  :: told[position] == 0 && next - position <= UNITS ->
     load(PARENT, HEAD(position), word);
     store(PARENT, HEAD(position), word | MARK, RELAXED);
#ifndef NO_COUNT
     load(PARENT, CANCELS, word);
     store(PARENT, CANCELS, word + 1, RELEASE);
#endif
#ifndef NO_HEAVY_BARRIER
     heavy_barrier(PARENT, left);
#endif
     do
     :: true ->
        load(PARENT, CONSIDERED, considered);
#ifdef OFF_BY_ONE
        if
        :: considered <= position + 1 -> tell_cancelled(position); break
#else
        if
        :: considered < position + 1 -> tell_cancelled(position); break
#endif
        :: else
        fi;
        load(PARENT, BEGUN, begun);
        if
#ifdef BEGUN_IGNORED
        :: true -> tell_cancelled(position); break
#endif
        :: begun >= position + 1 -> break  // false: it runs
        :: else
        fi;
        take_replies();
        if
        :: told[position] != 0 -> break  // its reply has told
        :: told[position] == 0  // another turn
        :: told[position] == 0 -> break  // patience ends: false, for we do not know
        fi
     od
  :: else
  fi;
  considered = 0;
  position = 0;
  word = 0;
  begun = 0
}

inline cancel_queued() {
  store(PARENT, DISCARD, 1, RELAXED);
#ifndef NO_DISCARD_BARRIER
  heavy_barrier(PARENT, left);
#endif
  load(PARENT, CONSIDERED, word);
  position = word;  // the first that was not taken up
  do
  :: position < next ->
     if
     :: told[position] == 0 -> tell_cancelled(position)
     :: else
     fi;
     position++
  :: else -> break
  od;
  position = 0
}

proctype Parent() {
  byte next, taken, position, left, turns;
  short word, considered, begun;
  bool discarded;
  do
  :: next < CALLS && !discarded ->
     load(PARENT, PROGRESS, word);
     if
     :: next - word < UNITS -> store(PARENT, HEAD(next), next + 1, RELEASE); next++
     :: else
     fi
  :: taken < next -> take_reply()
  :: turns < 2 && !discarded && next > 0 -> turns++; cancel()
  :: !discarded && next > 0 -> discarded = true; cancel_queued()
  :: (next == CALLS || discarded) && taken == next -> break
  od;
  for (position : 0 .. CALLS - 1) {
    assert(position >= next || told[position] != 0);
    assert((told[position] == VALUE) == (executed[position] == 1))
  }
}

inline has_orders() {
  load(WORKER, CANCELS, word);
  if
  :: word != cancels_seen -> cancels_seen = word; window = WINDOW
  :: else
  fi;
  if
  :: window > 0 ->
     window--;
     load(WORKER, HEAD(position), word);
     orders = (word & MARK) && STAMP(word) == position + 1
  :: else
  fi;
  if
  :: !orders ->
     load(WORKER, DISCARD, word);
     orders = word
  :: else
  fi
}

proctype Worker() {
  byte position, window, cancels_seen;
  short word;
  bool orders;
end:
  do
  // Waits for its request; doorbell.pml shows that it is woken.
  :: STAMP(mem[HEAD(position)]) == position + 1 ->
#ifdef LOOKS_FIRST
     has_orders();
     store(WORKER, CONSIDERED, position + 1, RELAXED);
#else
     store(WORKER, CONSIDERED, position + 1, RELAXED);
     light_barrier(WORKER);
     has_orders();
#endif
     if
     :: orders -> store(WORKER, REPLY(position), CANCELLED, RELEASE)
     :: else ->
#ifndef NO_BEGUN
        store(WORKER, BEGUN, position + 1, RELAXED);
#endif
        d_step {
          assert(told[position] == 0);
          executed[position]++;
          assert(executed[position] == 1)
        }
        store(WORKER, REPLY(position), VALUE, RELEASE)
     fi;
     position++;
     store(WORKER, PROGRESS, position, RELEASE);
     word = 0;
     orders = false
  od
}

init {
  atomic {
    run Buffer(PARENT);
    run Buffer(WORKER);
    run Parent();
    run Worker()
  }
}
