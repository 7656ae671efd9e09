// SPDX-License-Identifier: BSL-1.0
//
// A weak memory for the models: each core has a store buffer, and what it stores is seen by the
// others only once it has left that buffer.
//
// On x86 stores leave in the order in which they were made, but later than the loads that follow
// them (TSO): this alone breaks a Dekker handshake without barriers. Weaker machines and the
// compiler also let relaxed stores to different places overtake each other, so here they leave in
// any order; a release store leaves after all that was stored before it. Two stores to one place
// stay in order. Loads are made in program order: the loads of the code whose order matters are
// acquire, or are held apart by the heavy barrier.
//
// A model that includes this defines CORES and PLACES first, and runs Buffer(core) for each core.
// A core is a process or a thread of the code; a place is one shared word.

#ifndef DEPTH
#define DEPTH 3  // stores that a core can hold back; one more waits until one has left
#endif

#define RELAXED 0
#define RELEASE 128

short mem[PLACES];
short value_[CORES * DEPTH];
byte place_[CORES * DEPTH];  // + RELEASE
byte count_[CORES];
hidden byte k_;

#define PLACE_(core, k) (place_[(core) * DEPTH + (k)] & 127)
#define RELAXED_(core, k) (place_[(core) * DEPTH + (k)] < RELEASE)

// Every store of this core can be seen.
#define SEEN(core) (count_[core] == 0)

inline store(core, place, value, order) {
  d_step {
    count_[core] < DEPTH;
    place_[(core) * DEPTH + count_[core]] = (place) + order;
    value_[(core) * DEPTH + count_[core]] = value;
    count_[core]++
  }
}

// What this core stored last, be it still in its buffer, or what the others can see.
inline load(core, place, into) {
  d_step {
    into = mem[place];
    k_ = 0;
    do
    :: k_ < count_[core] ->
       if
       :: PLACE_(core, k_) == (place) -> into = value_[(core) * DEPTH + k_]
       :: else
       fi;
       k_++
    :: else -> break
    od
  }
}

inline leave_(core, from) {
  mem[PLACE_(core, from)] = value_[(core) * DEPTH + from];
  k_ = from + 1;
  do
  :: k_ < count_[core] ->
     place_[(core) * DEPTH + k_ - 1] = place_[(core) * DEPTH + k_];
     value_[(core) * DEPTH + k_ - 1] = value_[(core) * DEPTH + k_];
     k_++
  :: else -> break
  od;
  count_[core]--;
  place_[(core) * DEPTH + count_[core]] = 0;  // equal states must look equal
  value_[(core) * DEPTH + count_[core]] = 0
}

proctype Buffer(byte core) {
end:
  do
  :: d_step { count_[core] > 0 -> leave_(core, 0) }
  :: d_step {
       count_[core] > 1 && RELAXED_(core, 1) && PLACE_(core, 1) != PLACE_(core, 0) ->
       leave_(core, 1)
     }
  :: d_step {
       count_[core] > 2 && RELAXED_(core, 2) && PLACE_(core, 2) != PLACE_(core, 1) &&
       PLACE_(core, 2) != PLACE_(core, 0) ->
       leave_(core, 2)
     }
  od
}

// atomic_thread_fence(seq_cst), or an atomic read-modify-write before its own step.
inline fence(core) { SEEN(core) }

// sys::heavy_barrier(): the caller has a full barrier, and then, at some moment before the call
// returns, each other core has one, in any order. `left` is a local of the caller.
inline barrier_on_all(core, left) {
  fence(core);
  left = (1 << CORES) - 1;
  do
  :: (left & 1) && SEEN(0) -> left = left & ~1
#if CORES > 1
  :: (left & 2) && SEEN(1) -> left = left & ~2
#endif
#if CORES > 2
  :: (left & 4) && SEEN(2) -> left = left & ~4
#endif
#if CORES > 3
  :: (left & 8) && SEEN(3) -> left = left & ~8
#endif
  :: left == 0 -> break
  od
}

#ifdef FENCES  // the kernel has no membarrier: both sides pay
inline heavy_barrier(core, left) { fence(core) }
inline light_barrier(core) { fence(core) }
#else
inline heavy_barrier(core, left) { barrier_on_all(core, left) }
inline light_barrier(core) { skip }  // for the compiler only: the steps stay in this order
#endif
