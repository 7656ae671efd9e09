// SPDX-License-Identifier: BSL-1.0
//
// The doorbell with one sleeper: a child that waits for requests, and two threads of its parent
// that send them. No wake-up is lost: in the model a sleeper has no time limit, so one that sleeps
// while a message is there would be found as an invalid end state.
//
//   here            | in the code
//   ----------------+------------------------------------------------------------------------------
//   Sender          | ProcessLink::submit(): publishes under the lock, rings after it
//   ring            | Doorbell::ring(), wake(); sys::futex_wake_all()
//   announce        | Doorbell::announce(): ticket, mark, order
//   Child           | Worker::wait_for_request(), sleep_unless(): announce, one more look, futex_wait
//
// Not here: spinning before the sleep, which is but a longer look; several sleepers (waiters).
// A release store's unlock is in the buffer as all others are: nothing but the barriers helps.
//
// Mutants: see tests/model/check.

#define CORES 3
#define CHILD 0

#define MESSAGES 3

#define HEAD(position) (position)
#define ASLEEP (MESSAGES)
#define EPOCH (MESSAGES + 1)
#define LOCK (MESSAGES + 2)
#define PLACES (MESSAGES + 3)

#include "memory.pml"

byte next;      // of the parent's Sender, under the lock
bool sleeping;  // in the kernel's queue

inline wake(core) {
#ifdef CLEARS_LATE  // then it takes back the mark of one who went to sleep after being woken
  fence(core);
  d_step { mem[EPOCH]++ }
  store(core, ASLEEP, 0, RELAXED);
#else
  store(core, ASLEEP, 0, RELAXED);
  fence(core);
#ifndef NO_EPOCH
  d_step { mem[EPOCH]++ }
#endif
#endif
  sleeping = false
}

inline ring(core, word) {
  light_barrier(core);
  load(core, ASLEEP, word);
  if
  :: word != 0 -> wake(core)
  :: else
  fi;
  word = 0
}

inline announce(core, ticket, left) {
#ifdef NO_TICKET  // the epoch is read only when all has been looked at
  store(core, ASLEEP, 1, RELAXED);
#else
  load(core, EPOCH, ticket);
  store(core, ASLEEP, 1, RELAXED);
#endif
#ifndef NO_HEAVY_BARRIER
  heavy_barrier(core, left)
#endif
}

proctype Sender(byte core; byte messages) {
  byte position;
  short word;
  do
  :: messages > 0 ->
     messages--;
     atomic { mem[LOCK] == 0 && SEEN(core) -> mem[LOCK] = 1 }
     position = next;
     next++;
#ifdef RINGS_FIRST  // as a compiler might do it without light_barrier()
     load(core, ASLEEP, word);
     store(core, HEAD(position), 1, RELEASE);
     store(core, LOCK, 0, RELEASE);
     if
     :: word != 0 -> wake(core)
     :: else
     fi;
     word = 0
#else
     store(core, HEAD(position), 1, RELEASE);
     store(core, LOCK, 0, RELEASE);
     ring(core, word)
#endif
  :: else -> break
  od
}

proctype Child() {
  byte position, left;
  short word, ticket;
  do
  :: position < MESSAGES ->
     load(CHILD, HEAD(position), word);
     if
     :: word != 0 -> position++
     :: else ->
#ifdef LOOKS_FIRST
        load(CHILD, HEAD(position), word);
        announce(CHILD, ticket, left);
#else
        announce(CHILD, ticket, left);
        load(CHILD, HEAD(position), word);
#endif
        if
        :: word == 0 ->
#ifdef NO_TICKET
           load(CHILD, EPOCH, ticket);
#endif
           // The kernel compares and queues in one step.
           atomic {
             if
             :: mem[EPOCH] == ticket -> sleeping = true
             :: else
             fi
           }
           !sleeping
        :: else
        fi
     fi;
     word = 0;
     ticket = 0
  :: else -> break
  od
}

init {
  atomic {
    run Buffer(0);
    run Buffer(1);
    run Buffer(2);
    run Child();
    run Sender(1, 2);
    run Sender(2, 1)
  }
}
