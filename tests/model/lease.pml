/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One slot, and all who have a say in its life: ebbd; the worker, a leader that may have a helper that has inherited the
 * lease; and fate, which lets anybody die at any step, ebbd too, and gives a pid that is free to a stranger. What the watch,
 * operators and deploy scripts ask for may come at any time, so ebbd here asks itself.
 *
 * One statement is one step that others can see (a system call); what ebbd only thinks goes with it. What it thinks dies with
 * it, and so do its locks; the board, the order and the worker's own lock stay. What waits for a clock in the code happens at
 * any time here. ebbd does what there is to do in any order, so nothing rests on the order of its turn.
 *
 * There are three kinds of workers: fetch, then lock; lock, then fetch; and one that never uses its lease. A new worker takes
 * the variables of the last one, so nothing of that may be left: `once` says so.
 *
 * check.py says what the properties and the mutants mean. A search is for one property, CHECK, and maybe for one MUTANT, who
 * is without a step.
 */
#ifndef MUTANT
#define MUTANT NO_MUTANT
#endif
#define without(step) (MUTANT == step)
#define holds(property, condition) assert((condition) || CHECK != property)

mtype:property = { quiet, ours, fenced, ordered, kept, once, spared, progress }
mtype:mutant = {
  NO_MUTANT, LOCK, HELD_FENCE_AND_ORDER, SEEN_USE, PROOF_OF_USE, FENCE_ANEW, LOCK_OF_REST, START_TIME, LOCK_FIRST_READ_THEN,
  RUN_AT_TAKEOVER, RUN_WHEN_KEPT, WAIT_FOR_REST, CARE_FOR_REST, LOCK_OF_THE_DEAD, SEARCH, NAME_FIRST, WAIT_FOR_EXEC,
  EXIT_ORDER, TRY_AGAIN, TELL_REST, SIGHT_OF_END, SIGHT_OF_WAIT, OUR_CHILD, SPARE_ANEW, LET_IN
}

mtype:slot = { EMPTY, STARTING, SPARE, SERVING, DUE, RETIRING, LEAVING } /* its state */
mtype:lock = { FREE, EBBD, WORKER }                               /* who holds the lease */
mtype:owner = { NOBODY, LEADER, STRANGER }                        /* whose the leader's pid is; a zombie keeps it */
mtype:helper = { NONE, HELPS, LINGERS }                           /* it is in the leader's job; left over from one */
mtype:kind = { FETCHES_FIRST, LOCKS_FIRST, NEVER_LOCKS }

/* What lives outside ebbd. */
bool used;   /* until nothing of the worker is left */
bool alive;  /* the leader */
bool forked; /* it is a copy of ebbd still: exec has not made it a worker that can be known by its lease */
bool child;  /* of the ebbd that runs: it stays a zombie until that one reaps it */
bool waits;  /* it stands in flock(2), as /proc/locks shows */
bool ready;  /* it has come through its first lock: from then on it may fetch a job before it locks */
bool job;    /* leader or helper is in the middle of one */
bool order_x;
mtype:lock lock = FREE;
mtype:owner pid_of = NOBODY;
mtype:helper helper = NONE;
mtype:kind kind = NEVER_LOCKS;

/* The board. */
mtype:slot board_state = EMPTY;
bool board_leased;

/* ebbd's memory. It holds the lease when the lock says so. */
bool up;
mtype:slot state = EMPTY;
bool leased;   /* the worker is known to use its lease */
bool mistaken; /* the pidfd is a stranger's */

/* Only noted, for the properties. */
bool fence;
bool locked_under_x;
bool calm; /* from now on happens only what somebody has to do */

ltl leaves { <>calm -> <>[] !(state == RETIRING || state == LEAVING || (state == DUE && (leased || kind == LOCKS_FIRST))) }
ltl refilled { <>calm -> <>[] (alive && !waits) }

/* ---- the worker: include/ebb/worker.h ---- */

/* Of those who have the lease open, the last one closes it. */
inline close_lease() {
  lock = (lock == WORKER && !alive && helper == NONE -> FREE : lock);
  lock = (lock == EBBD && !up && !forked -> FREE : lock)
}

inline leader_dies() {
  alive = false;
  forked = false;
  waits = false;
  locked_under_x = false;
  job = job && helper == HELPS;
  pid_of = (child -> LEADER : NOBODY);
  close_lease()
}

inline helper_dies() {
  helper = NONE;
  job = job && alive;
  close_lease()
}

inline work() {
  atomic {
    holds(fenced, !fence);
    holds(spared, state != SPARE);
    holds(ordered, !(locked_under_x && order_x));
    job = true;
    if
    :: helper == NONE && kind != NEVER_LOCKS -> helper = HELPS
    :: true
    fi
  };
  atomic {
    job = false;
    if
    :: helper == HELPS -> helper = LINGERS
    :: helper == HELPS -> helper = NONE
    :: helper != HELPS
    fi
  }
}

inline take_lock() {
  d_step {
    lock == FREE -> lock = WORKER;
    waits = false;
    locked_under_x = order_x
  }
}

/* Of the lease that ebbd holds, or that is held now. */
inline read_order() {
  if
  :: atomic { order_x -> holds(kept, state != SERVING && state != SPARE); goto leaves_by_itself }
  :: d_step { !order_x -> locked_under_x = false }
  fi
}

proctype Worker() {
absent:
  used;
  {
    d_step { /* exec; what the copy held for an ebbd that has died goes with it */
      ready = false;
      forked = false;
      close_lease()
    };
    do
    :: kind == NEVER_LOCKS -> work()
    :: else ->
      if
      :: without(LOCK_FIRST_READ_THEN) -> read_order(); take_lock()
      :: !without(LOCK_FIRST_READ_THEN) ->
        if /* try; refused, see why; wait */
        :: take_lock()
        :: lock == EBBD -> read_order(); waits = true; take_lock()
        fi;
        read_order()
      fi;
      if
      :: ready -> work()
      :: !ready || kind == LOCKS_FIRST /* only to say ready; nothing fetched */
      fi;
      d_step { lock = FREE; locked_under_x = false; ready = true };
      if
      :: true
      :: kind == FETCHES_FIRST -> false /* no job will ever come */
      fi
    od;
leaves_by_itself:
    atomic { lock = (lock == WORKER -> FREE : lock); locked_under_x = false };
    d_step { leader_dies() };
    false
  } unless { !alive };
  /* Who holds a lease ends its job some day; a helper without one may stay for ever. */
  do
  :: helper == NONE -> break
  :: atomic { helper == HELPS || (helper == LINGERS && lock == WORKER) -> helper_dies() }
  od;
  atomic { used = false; kind = NEVER_LOCKS };
  goto absent
}

/* ---- ebbd ---- */

inline publish() {
  d_step {
    board_state = state;
    board_leased = leased
  }
}

/* start.c: a lease that ebbd holds, then a process, which the board names before it runs. */
inline start() {
  atomic {
    state == EMPTY -> holds(once, !alive && lock != WORKER);
    !used && pid_of == NOBODY;
    if
    :: kind = FETCHES_FIRST
    :: kind = LOCKS_FIRST
    :: kind = NEVER_LOCKS
    fi;
    used = true;
    alive = true;
    forked = true;
    child = true;
    pid_of = LEADER;
    lock = EBBD;
    order_x = false;
    state = STARTING;
    if
    :: !without(NAME_FIRST) -> publish()
    :: without(NAME_FIRST)
    fi
  };
  !forked; /* vfork */
  publish()
}

/* gate.c sees it waiting; worker.c keeps it there. Whether anybody is needed is a question of other slots. */
inline keep_at_gate() {
  d_step {
    state == STARTING && waits && lock == EBBD && (child || without(OUR_CHILD)) ->
    holds(spared, !ready);
    leased = true;
    state = SPARE
  };
  publish()
}

inline let_in() {
  d_step { state == SPARE && !without(LET_IN) -> state = SERVING };
  publish();
  lock = (lock == EBBD -> FREE : lock)
}

/* One that was taken over is seen waiting or holding. It may have fetched a job already. */
#define seen_to_use (waits || lock == WORKER)

inline open_gate() {
  d_step {
    state == STARTING && seen_to_use && !child && !without(SIGHT_OF_WAIT) ->
    leased = true;
    state = SERVING
  };
  publish();
  lock = (lock == EBBD -> FREE : lock)
}

inline close_gate() {
  d_step { (state == STARTING || (state == DUE && !leased)) && lock == FREE -> lock = EBBD }
}

inline see_use() {
  d_step { state == DUE && !leased && lock == WORKER -> leased = true }
}

/* worker.c; when publish() follows in the code only at the end of the turn, nothing that the board keeps has changed */
inline ask_out() {
  d_step {
    !calm && (state == STARTING || state == SERVING) ->
    order_x = !without(EXIT_ORDER) && !without(HELD_FENCE_AND_ORDER);
    state = DUE
  }
}

/* Of a spare ebbd holds the lease: it is fenced at once. */
inline ask_spare_out() {
  d_step {
    !calm && state == SPARE ->
    order_x = !without(EXIT_ORDER) && !without(HELD_FENCE_AND_ORDER);
    fence = true;
    state = RETIRING
  };
  if
  :: without(HELD_FENCE_AND_ORDER) -> lock = FREE
  :: !without(HELD_FENCE_AND_ORDER)
  fi;
  publish()
}

inline keep() {
  d_step {
    !calm && state == DUE ->
    order_x = order_x && without(RUN_WHEN_KEPT);
    state = (leased -> SERVING : STARTING)
  }
}

/* One that waits for its lease uses it. */
inline try_fence(may) {
  d_step {
    may && state == DUE && (leased || waits || without(SEEN_USE)) && (lock != WORKER || without(LOCK)) ->
    lock = (without(LOCK) -> lock : EBBD);
    leased = leased || waits;
    fence = true;
    state = RETIRING
  };
  if
  :: without(HELD_FENCE_AND_ORDER) -> lock = FREE
  :: !without(HELD_FENCE_AND_ORDER)
  fi;
  publish()
}

/* All of the worker, by its pidfd. Each signal may be SIGKILL here; a SIGTERM that is caught is one that comes later. */
inline tell() {
  atomic {
    state == RETIRING && (alive || mistaken) ->
    holds(quiet, !job);
    holds(ours, !mistaken);
    leader_dies();
    helper_dies()
  }
}

/* pending.c: choose() */
inline probe() {
  d_step { !calm && state == SERVING && lock == FREE -> lock = EBBD };
  lock = FREE
}

/* leave.c */
inline see_exit() {
  d_step {
    state != EMPTY && state != LEAVING && !alive && !mistaken && (child || !without(SIGHT_OF_END)) ->
    state = LEAVING
  }
}

inline fence_rest() {
  d_step {
    state == LEAVING && leased && helper != NONE && lock == FREE ->
    lock = EBBD;
    fence = true
  }
}

inline tell_rest() {
  atomic {
    state == LEAVING && leased && helper != NONE && (lock == EBBD || without(LOCK_OF_REST)) && !without(TELL_REST) ->
    holds(quiet, !job);
    helper_dies()
  }
}

/* Nothing is left of it, or what is left has never been seen to use its lease, and does not hold it. */
inline finish() {
  d_step { /* reaped; if it is not for us to do, somebody has */
    state == LEAVING &&
    (helper == NONE || (!leased && (lock != WORKER || without(LOCK_OF_THE_DEAD))) || without(WAIT_FOR_REST)) ->
    pid_of = (child -> NOBODY : pid_of);
    child = false
  };
  d_step { /* unlinked; what is left alone is out of sight */
    helper = (leased -> helper : NONE);
    lock = (lock == EBBD -> FREE : lock);
    fence = false;
    leased = false;
    state = EMPTY
  };
  publish()
}

/* takeover.c */
inline settle(known) {
  d_step {
    leased = known || without(PROOF_OF_USE);
    lock = (!leased && lock == FREE -> EBBD : lock)
  };
  d_step {
    order_x = order_x && without(RUN_AT_TAKEOVER);
    /* the lock that made it a spare has died */
    state = (!leased -> STARTING : (board_state == SPARE && without(SPARE_ANEW) -> SPARE : SERVING))
  };
  publish()
}

/* A process is known by start time and lease; before exec it names no lease, and after its end its pid may be anybody's. */
inline take_over() {
  if
  :: board_state != EMPTY && alive && !forked -> settle(board_leased)
  :: d_step { /* what a dead one has left behind is still to go */
      board_state != EMPTY && !alive && !without(CARE_FOR_REST) ->
      leased = board_leased;
      state = LEAVING
    }
  :: d_step {
      board_state != EMPTY && pid_of == STRANGER && without(START_TIME) ->
      leased = board_leased;
      mistaken = true;
      state = SERVING
    }
  :: d_step { board_state == RETIRING && alive && without(FENCE_ANEW) -> leased = true; state = RETIRING }
  /* The board says nothing, or cannot be read: who is alive is found by its lease. What a dead one left behind is not. */
  :: alive && !forked && !without(SEARCH) -> settle(false)
  :: !used || without(SEARCH)
  :: !alive && (board_state == EMPTY || without(CARE_FOR_REST))
  :: forked
  fi
}

proctype Ebbd() {
again:
  atomic { !forked || without(WAIT_FOR_EXEC) -> up = true };
  {
    take_over();
    do
    :: see_exit()
    :: ask_out();
      if
      :: without(TRY_AGAIN) ->
        if
        :: try_fence(true)
        :: lock == WORKER || !leased
        fi
      :: !without(TRY_AGAIN)
      fi
    :: ask_spare_out()
    :: keep()
    :: start()
    :: keep_at_gate()
    :: let_in()
    :: open_gate()
    :: close_gate()
    :: see_use()
    :: try_fence(!without(TRY_AGAIN))
    :: probe()
    :: tell()
    :: fence_rest()
    :: tell_rest()
    :: finish()
    od
  } unless { !up };
  goto again
}

/* ---- fate ---- */

inline ebbd_dies() {
  up = false;
  close_lease();
  pid_of = (pid_of == LEADER && !alive -> NOBODY : pid_of);
  child = false;
  fence = false;
  state = EMPTY;
  leased = false;
  mistaken = false
}

proctype Fate() {
  do
  :: d_step { up -> ebbd_dies() }
  :: d_step { alive -> leader_dies() }
  :: d_step { CHECK == ours && pid_of == NOBODY -> pid_of = STRANGER }
  :: d_step { pid_of == STRANGER -> pid_of = NOBODY }
  :: CHECK == progress -> calm = true; break
  od;
  do
  :: calm = true /* only time goes on */
  od
}

init {
  atomic {
    run Ebbd();
    run Worker();
    run Fate()
  }
}
