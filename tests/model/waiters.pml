// SPDX-License-Identifier: BSL-1.0
//
// The doorbell with several sleepers: two threads of a parent and two of its children, whose bells
// share one epoch. One thread waits for its reply from the first child, the other for one of each.
// Whoever finds replies takes all of them in, the other thread's too. No wake-up is lost: a thread
// whose reply has come never sleeps for ever.
//
//   here            | in the code
//   ----------------+------------------------------------------------------------------------------
//   Child           | Worker::reply(): publish, Doorbell::ring()
//   take_replies    | ProcessLink::take_replies(), wake_other_waiters()
//   has_message     | Receiver::has_message(), which any thread may ask without the lock
//   WaitsForOne     | ProcessLink::wait(), sleep_until_rung()
//   WaitsForMany    | actor::wait_many(), sleep(); ProcessLink::begin_sleep(), end_sleep(), poll()
//   restart         | with -DRESTART the first child dies after its first reply, perhaps while it
//                   | rings; the thread that replaces it clears the control page (`asleep` with it),
//                   | and must wake the waiters then. The new child sends the second reply.
//
// Not here: the 5 ms after which each sleeper of the code looks anyway. A thread's unlocking is a
// full barrier, as no handshake follows it.
//
// Mutants: see tests/model/check.

#define CORES 4
#define LINKS 2
#define ONE 2  // cores 0 and 1 are the children's
#define MANY 3

#define HEAD(link, position) ((link) * 2 + (position))
#define STATE(which) (4 + (which))  // 0 and 1 come from link 0, 2 from link 1
#define NEXT(link) (7 + (link))
#define ASLEEP(link) (9 + (link))
#define SLEEPERS(link) (11 + (link))
#define LOCK(link) (13 + (link))
#define EPOCH 15
#define PLACES 16

#include "memory.pml"

bool first_is_manys;  // which reply of link 0 comes first
byte queue_[2];       // the links whose rings end a thread's sleep; 0 when it is awake

#define BIT(link) (1 << (link))
#define IS_ASLEEP(core) queue_[(core) - ONE]

inline futex_wake(link) {
  d_step {
    if
    :: queue_[0] & BIT(link) -> queue_[0] = 0
    :: else
    fi;
    if
    :: queue_[1] & BIT(link) -> queue_[1] = 0
    :: else
    fi
  }
}

inline wake(core, link) {
  store(core, ASLEEP(link), 0, RELAXED);
  d_step { SEEN(core) -> mem[EPOCH]++ }
  futex_wake(link)
}

inline wake_other_waiters(core, link) {
#ifdef NO_WAKE_OTHERS
  skip
#else
  light_barrier(core);
  load(core, SLEEPERS(link), word);
  if
  :: word > 0 -> wake(core, link)
  :: else
  fi;
  word = 0
#endif
}

inline ring(core, link) {
  light_barrier(core);
  load(core, ASLEEP(link), word);
  if
  :: word != 0 -> wake(core, link)
  :: else
  fi;
  word = 0
}

inline lock(core, link) { atomic { mem[LOCK(link)] == 0 && SEEN(core) -> mem[LOCK(link)] = 1 } }
inline unlock(core, link) { atomic { SEEN(core) -> mem[LOCK(link)] = 0 } }

inline has_message(core, link, into) {
  load(core, NEXT(link), word);
  if
  :: word < 2 - link -> load(core, HEAD(link, word), into)
  :: else -> into = 0
  fi;
  word = 0
}

// With the lock held.
inline take_replies(core, link) {
  any = false;
  do
  :: true ->
     has_message(core, link, found);
     if
     :: found == 0 -> break
     :: else
     fi;
     any = true;
     load(core, NEXT(link), word);
     which = (link == 1 -> 2 : (word ^ first_is_manys));
     store(core, NEXT(link), word + 1, RELAXED);
     store(core, STATE(which), 1, RELEASE)
  od;
  word = 0;
  which = 0;
  found = 0;
  if
  :: any -> any = false; wake_other_waiters(core, link)
  :: else
  fi
}

inline add_sleeper(core, link, change) {
  atomic { SEEN(core) -> mem[SLEEPERS(link)] = mem[SLEEPERS(link)] + (change) }
}

inline futex_wait(core, bits) {
  atomic {
    if
    :: mem[EPOCH] == ticket -> IS_ASLEEP(core) = bits
    :: else
    fi
  }
  IS_ASLEEP(core) == 0
}

proctype Child(byte self) {
  short word;
  byte left = 2 - self;  // replies
  do
  :: left > 0 ->
     store(self, HEAD(self, 2 - self - left), 1, RELEASE);
     left--;
#ifdef RESTART
     if
     :: self == 0 && left == 1 ->
        if
        :: ring(self, self)
        :: store(self, ASLEEP(self), 0, RELAXED)  // and it dies
        fi;
        fence(self);  // the parent has seen its end
        store(self, ASLEEP(self), 0, RELAXED);
#ifndef UNORDERED_RESTART
        fence(self);  // forking is one
#endif
#ifndef NO_WAKE_AT_RESTART
        wake_other_waiters(self, self);
#endif
        fence(self)
     :: else -> ring(self, self)
     fi
#else
     ring(self, self)
#endif
  :: else -> break
  od
}

proctype WaitsForOne() {
  short word, found, ticket;
  byte which, left;
  bool any;
  do
  :: true ->
     load(ONE, STATE(0), found);
     if
     :: found != 0 -> break
     :: else
     fi;
     has_message(ONE, 0, found);
     if
     :: found != 0 ->
        found = 0;
        lock(ONE, 0);
        take_replies(ONE, 0);
        unlock(ONE, 0)
     :: else ->
        // sleep_until_rung()
#ifndef COUNTED_LATE
        add_sleeper(ONE, 0, 1);
#endif
        load(ONE, EPOCH, ticket);
        store(ONE, ASLEEP(0), 1, RELAXED);
#ifndef NO_HEAVY_BARRIER
        heavy_barrier(ONE, left);
#endif
        load(ONE, STATE(0), found);
#ifndef LOOKS_AT_STATE_ONLY
        if
        :: found == 0 -> has_message(ONE, 0, found)
        :: else
        fi;
#endif
#ifdef COUNTED_LATE
        add_sleeper(ONE, 0, 1);
#endif
        if
        :: found == 0 -> futex_wait(ONE, BIT(0))
        :: else
        fi;
        ticket = 0;
        found = 0;
        add_sleeper(ONE, 0, -1)
     fi
  od
}

inline poll(core, link) {
  lock(core, link);
  take_replies(core, link);
  unlock(core, link)
}

// Takes in what is there; how many of its two have come.
inline look(into) {
  poll(MANY, 0);
#ifndef ONE_LINK
  poll(MANY, 1);
#endif
  load(MANY, STATE(1), word);
  load(MANY, STATE(2), found);
  into = word + found;
  word = 0;
  found = 0
}

#ifdef ONE_LINK
#define ALL 1
#else
#define ALL 2
#endif

proctype WaitsForMany() {
  short word, found, ticket;
  byte which, left, seen, now;
  bool any;
  do
  :: true ->
     look(seen);
     if
     :: seen == ALL -> break
     :: else
     fi;
     add_sleeper(MANY, 0, 1);
#ifndef TICKET_LATE
     load(MANY, EPOCH, ticket);
#endif
     store(MANY, ASLEEP(0), 1, RELAXED);
#ifndef ONE_LINK
     add_sleeper(MANY, 1, 1);
     store(MANY, ASLEEP(1), 1, RELAXED);
#endif
#ifdef TICKET_LATE
     load(MANY, EPOCH, ticket);
#endif
     heavy_barrier(MANY, left);
     look(now);
     if
#ifdef LAST_BELL_ONLY
     :: now == seen -> futex_wait(MANY, BIT(1))
#else
     :: now == seen -> futex_wait(MANY, BIT(0) | BIT(1))
#endif
     :: else
     fi;
     ticket = 0;
     now = 0;
     seen = 0;
#ifndef ONE_LINK
     add_sleeper(MANY, 1, -1);
#endif
     add_sleeper(MANY, 0, -1)
  od
}

init {
  atomic {
    if
    :: first_is_manys = true
    :: true
    fi;
    run Buffer(0);
    run Child(0);
#ifndef ONE_LINK
    run Buffer(1);
    run Child(1);
#endif
#ifndef ONE_WAITER
    run Buffer(ONE);
    run WaitsForOne();
#endif
    run Buffer(MANY);
    run WaitsForMany()
  }
}
