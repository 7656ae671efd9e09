// SPDX-License-Identifier: BSL-1.0
//
// A worker that dies, at any step, and is replaced. Each accepted call ends exactly once, with its
// result or with an error; none is executed twice unless it may be retried; what had not begun is
// executed by a later worker, in order; nothing is lost. With -DRECYCLE also a worker that retires
// after some calls, with -DIDLE one that does so whenever it finds no request: then nothing fails.
//
// The parent keeps a journal of each message that it accepted and of which it does not know that it
// is done. The worker notes `begun` before it executes, and publishes the reply after.
//
//   here            | in the code
//   ----------------+------------------------------------------------------------------------------
//   send_one        | Journal::send(): one piece, after all that the journal has unsent; between the
//                   | pieces of a message the lock is free, so a restart may come in between
//   take_reply      | Inbox::take(): `gathered` are the pieces of a reply; Journal::answered()
//   forget_done     | Journal::passed(): a one-way call is done when a later one has begun
//   cancel          | ProcessLink::drop() told true: as cancel.pml shows, the worker has not begun
//                   | it then, and will not
//   restart         | ProcessLink::bury(), salvage(), replace(): the worker's end was seen, nothing of
//                   | it can come any more. Replies first, then `begun`; the rings are cleared,
//                   | positions start at 0, the journal is sent anew. The code also believes the
//                   | worker's `finished`, written after a call was run: a post there is done
//   Worker          | Worker::serve(); its stores reach the parent late and out of order (memory.pml)
//   IDLE            | Worker::leave(). An engine's links have no journal: there Run::take_in() and mourn()
//                   | send what comes back to another worker, and so in another order
//   Killer          | SIGKILL and everything like it
//
// The parent is one thread that does one of its steps at a time: each is made under the lock.
// Not here: who sleeps (waiters: -DRESTART), torn messages (ring), the death of the parent.
//
// Mutants: see tests/model/check.

#define CORES 1
#define WORKER 0

#define CALLS 4
#define UNITS 2    // of each ring
#ifndef DEATHS
#define DEATHS 2
#endif
#ifdef IDLE
#define LEAVES 2  // workers that do so; without a bound nothing ends
byte leavers;
#endif
#ifdef RECYCLE
#define LIFE 1  // calls that a worker executes before it retires
#endif

// The messages: two pieces there and two back; one-way; that may be retried; plain.
// Which comes first, is open.
byte turn;
#define LONG (turn)
#define POST ((turn + 1) % CALLS)
#define RETRIABLE ((turn + 2) % CALLS)
#define IS_POST(id) ((id) == POST)
#define PIECES(id) ((id) == LONG -> 2 : 1)

// A unit: position + 1 in the upper bits, then which message, then whether more pieces follow.
#define UNIT(position, id, more) (((position) + 1) * 32 + (id) * 2 + (more))
#define IS_AT(unit, position) ((unit) / 32 == (position) + 1)
#define ID(unit) ((unit) / 2 % 8)
#define MORE(unit) ((unit) % 2)
#define MARKED 16  // in a request
#define RETIRED 7
#define DROPPED 16  // in a reply: it was found cancelled

#define BEGUN 0  // position + 1
#define PROGRESS 1
#define REPLY(position) (2 + (position) % UNITS)
#define PLACES (2 + UNITS)

#include "memory.pml"

// In shared memory, written by the parent, whose stores are ordered by its forking a new worker.
short request[UNITS];
byte reply_progress;
bool killed, ended;  // the worker: told to end, and gone
byte worker_position;

// What happens in the world.
byte executed[CALLS];
byte latest;  // message that was executed, + 1
byte told[CALLS];  // by the parent
#define RESULT 1
#define FAILED 2
#define CANCELLED 3

// The parent's journal, oldest first.
byte entries;
byte entry[CALLS];     // which message
byte position[CALLS];  // where its last piece lies, once it is sent
byte sent;             // entries that the present worker was sent
byte at;               // pieces of the entry after these, or of the message to be accepted

byte next;      // request position
byte taken;     // reply position
byte accepted;  // messages
byte gathered;
bool retired;
bool tried;  // RETRIABLE had begun when a worker died: it can't be cancelled any more

inline drop_entry(index) {
  k_ = index + 1;
  do
  :: k_ < entries ->
     entry[k_ - 1] = entry[k_];
     position[k_ - 1] = position[k_];
     k_++
  :: else -> break
  od;
  entries--;
  entry[entries] = 0;
  position[entries] = 0;
  if
  :: sent > index -> sent--
  :: else
  fi
}

inline tell(which, how) {
  assert(told[which] == 0);
  told[which] = how
}

#define MAY_SEND (next - mem[PROGRESS] < UNITS && (sent < entries || accepted < CALLS))

inline send_one() {
  d_step {
    id = (sent < entries -> entry[sent] : accepted);
    request[next % UNITS] = UNIT(next, id, at + 1 < PIECES(id));
    next++;
    at++;
    if
    :: at == PIECES(id) ->
       at = 0;
       if
       :: sent == entries ->
          entry[entries] = id;
          entries++;
          accepted++
       :: else
       fi;
       position[sent] = next - 1;
       sent++
    :: else
    fi;
    id = 0
  }
}

inline take_reply() {
  d_step {
    word = mem[REPLY(taken)];
    taken++;
    reply_progress = taken;
    id = ID(word);
    if
    :: id == RETIRED -> retired = true
    :: id != RETIRED && MORE(word) -> gathered++
    :: id != RETIRED && !MORE(word) ->
       // Replies carry no number: each belongs to the first call of the queue. Here they do, to
       // see that this is so.
       index = 0;
       do
       :: index < entries && IS_POST(entry[index]) -> index++
       :: else -> break
       od;
       assert(index < sent && entry[index] == id);
       assert(word & DROPPED || gathered == PIECES(id) - 1);
       gathered = 0;
       if
       :: told[id] == 0 -> tell(id, RESULT); assert(!(word & DROPPED))
       :: else -> assert(told[id] == CANCELLED && executed[id] == 0)
       fi;
       // What is older is one-way, and was executed before.
       do
       :: index > 0 -> index--; assert(executed[entry[0]] == 1); told[entry[0]] = RESULT; drop_entry(0)
       :: else -> break
       od;
       drop_entry(0)
    fi;
    index = 0;
    id = 0;
    word = 0
  }
}

inline restart() {
  atomic {
#ifndef REPLIES_FORGOTTEN
    do
    :: IS_AT(mem[REPLY(taken)], taken) -> take_reply()
    :: else -> break
    od;
#endif
    d_step {
      word = mem[BEGUN];
      index = 0;
      do
      :: index < sent && entries > index ->
         id = entry[index];
         if
         :: position[index] + 1 < word ->
            // Before the one in progress: a call's reply would have been there.
            assert(IS_POST(id));
            assert(executed[id] == 1);
            tell(id, RESULT);
            drop_entry(index)
         :: position[index] + 1 == word ->
            if
#ifdef RETRIES_ALL
            :: true -> index++
#else
            :: id == RETRIABLE && told[id] == 0 -> tried = true; index++
            :: IS_POST(id) && retired -> tell(id, RESULT); drop_entry(index)
            :: else ->
               assert(!retired);
               tell(id, FAILED);
               drop_entry(index)
#endif
            fi
         :: position[index] + 1 > word ->
#ifdef RESENDS_CANCELLED
            index++
#else
            if
            :: told[id] == CANCELLED -> drop_entry(index)
            :: else -> index++
            fi
#endif
         fi
      :: else -> break
      od;
#ifndef RINGS_KEPT
      for (index : 0 .. UNITS - 1) {
        request[index] = 0
      }
#endif
#ifndef REPLIES_KEPT
      for (index : 0 .. UNITS - 1) {
        mem[REPLY(index)] = 0
      }
#endif
#ifndef BEGUN_KEPT
      mem[BEGUN] = 0;
#endif
      mem[PROGRESS] = 0;
      reply_progress = 0;
      next = 0;
      taken = 0;
      sent = 0;
#ifndef GOES_ON_IN_MESSAGE
      at = 0;
#endif
#ifndef GATHERED_KEPT
      gathered = 0;
#endif
      retired = false;
      index = 0;
      id = 0;
      word = 0;
      ended = false
    }
  }
}

proctype Parent() {
  byte index, id;
  short word;
  bool cancelled;
  do
  :: MAY_SEND -> send_one()
  :: IS_AT(mem[REPLY(taken)], taken) -> take_reply()
  :: ended && (entries > 0 || accepted < CALLS) -> restart()
  :: atomic {
       // forget_done
       sent > 0 && IS_POST(entry[0]) && !ended &&
       (mem[BEGUN] > position[0] + 1 || mem[PROGRESS] > position[0]) ->
       assert(executed[POST] == 1);
       tell(POST, RESULT);
       drop_entry(0)
     }
  :: atomic {
       // The last one that was sent whole and not taken up; cancel.pml is about the race.
       !cancelled && !ended && sent > 0 && sent == entries && at == 0 && !IS_POST(entry[sent - 1]) &&
#ifndef CANCELS_RETRIED
       !(tried && entry[sent - 1] == RETRIABLE) &&
#endif
       IS_AT(request[position[sent - 1] % UNITS], position[sent - 1]) &&
       worker_position <= position[sent - 1] ->
       cancelled = true;
       request[position[sent - 1] % UNITS] = request[position[sent - 1] % UNITS] | MARKED;
       tell(entry[sent - 1], CANCELLED)
     }
  :: accepted == CALLS && entries == 0 -> break
  od;
  for (index : 0 .. CALLS - 1) {
    assert(told[index] != 0);
    assert(told[index] != RESULT || executed[index] > 0);
    assert(told[index] != CANCELLED || executed[index] == 0);
    assert(executed[index] <= 1 || index == RETRIABLE)
  }
}

inline reply(id, more, extra) {
  replies - reply_progress < UNITS;
  store(WORKER, REPLY(replies), UNIT(replies, id, more) + extra, RELEASE);
  replies++
}

inline execute() {
  d_step {
    assert(told[id] == 0);
    assert(executed[id] == 0 || id == RETRIABLE);
    assert(id >= latest || (id == RETRIABLE && latest == RETRIABLE + 1));
    executed[id]++;
    latest = id + 1
  }
}

// One after the other: each incarnation starts anew.
proctype Worker() {
  byte replies, id, pieces, done;
  short word;
end_alive:
  {
end:
    do
    :: !ended && IS_AT(request[worker_position % UNITS], worker_position) ->
       d_step {
         word = request[worker_position % UNITS];
         worker_position++;
         id = ID(word);
         pieces++
       }
       if
       :: MORE(word) -> word = 0
       :: else ->
          assert(pieces == PIECES(id));
          pieces = 0;
          if
          :: word & MARKED ->
             word = 0;
             reply(id, 0, DROPPED)
          :: else ->
             word = 0;
#ifndef BEGUN_LATE
             store(WORKER, BEGUN, worker_position, RELAXED);
#endif
             execute();
#ifdef BEGUN_LATE
             store(WORKER, BEGUN, worker_position, RELAXED);
#endif
             if
             :: IS_POST(id)
             :: else ->
                if
                :: id == LONG -> reply(id, 1, 0)
                :: else
                fi;
                reply(id, 0, 0)
             fi;
             done++
          fi
       fi;
       store(WORKER, PROGRESS, worker_position, RELEASE);
#ifdef RECYCLE
       if
       :: done == LIFE -> reply(RETIRED, 0, 0); goto gone
       :: else
       fi;
#endif
       id = 0
#ifdef IDLE
    :: !ended && leavers < LEAVES && pieces == 0 &&
       !IS_AT(request[worker_position % UNITS], worker_position) ->
       leavers++;
       reply(RETIRED, 0, 0);
#ifndef TAKES_MORE
       goto gone
#endif
#endif
    od
  } unless { killed };
gone:
  // What it has stored comes still, then its end is seen.
  SEEN(WORKER);
  d_step {
    killed = false;
    worker_position = 0;
    replies = 0;
    id = 0;
    pieces = 0;
    done = 0;
    word = 0;
    ended = true
  }
end_gone:
  !ended;
  goto end_alive
}

proctype Killer() {
  byte left = DEATHS;
end:
  do
  :: atomic { left > 0 && !ended && !killed -> left--; killed = true }
  od
}

init {
  atomic {
    select(turn : 0 .. CALLS - 1);
    run Buffer(WORKER);
    run Parent();
    run Worker();
    run Killer()
  }
}
