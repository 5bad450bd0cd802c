/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The slots of one pool, and what ebbd decides for them as a whole: who is let in, who is one too many, who goes when a
 * successor is ready, which places are open. What a lease is and how one slot lives is lease.pml's matter: a step here is
 * many there. Workers start, come to their lease, have jobs and die as they like; an operator retires whom he likes, with
 * the successor first or not; ebbd dies between any two passes, and the next one goes on with what is on the board.
 *
 * check.py says what the properties and the mutants mean. It searches a pool of one; with -DSIZE=2 the same holds in some
 * three million states, which take too long for each time.
 */
#ifndef MUTANT
#define MUTANT NO_MUTANT
#endif
#define without(step) (MUTANT == step)
#define holds(property, condition) assert((condition) || CHECK != property)

#ifndef SIZE
#define SIZE 1
#endif
#define SLOTS (SIZE + 2) /* one place more than any worker can have: some are still leaving theirs */

mtype:property = { within, prepared, places, progress }
mtype:mutant = { NO_MUTANT, ROOM, LET_IN, TOO_MANY, READY_FIRST, MARK_OFF, CLOSE_PLACE }
mtype:state = { EMPTY, STARTING, SPARE, SERVING, DUE, RETIRING }

typedef Slot {
  mtype:state state;
  bool came; /* it waits at its lease for the first time */
  bool ours; /* started by the ebbd that runs */
  bool busy;
  bool open;
  bool first
};
Slot slots[SLOTS];
byte spares; /* that the pool is to have */
bool calm;   /* from now on happens only what somebody has to do */

/* Only noted: more serve because an ebbd has died; fewer serve because of something else than a successor. */
bool over;
bool loss;

/* Counted anew when wanted, and 0 otherwise. */
byte i, serving, sure, waiting, marks, open, chosen;

#define wanted_places (SIZE + (spares > marks -> spares : marks))
#define serves(n) (slots[n].state == SERVING || slots[n].state == DUE)

inline count() {
  serving = 0; sure = 0; waiting = 0; marks = 0; open = 0;
  for (i : 0 .. SLOTS - 1) {
    serving = serving + serves(i);
    sure = sure + (slots[i].open && (slots[i].state == SERVING || (slots[i].state == DUE && !slots[i].first)));
    waiting = waiting + (slots[i].open && slots[i].state == SPARE);
    marks = marks + slots[i].first;
    open = open + slots[i].open
  }
  i = 0
}

inline forget_counts() {
  serving = 0; sure = 0; waiting = 0; marks = 0; open = 0; chosen = 0; i = 0
}

inline note() {
  count();
  over = over && serving > SIZE;
  loss = loss && (serving < SIZE || sure < serving);
  holds(within, serving <= SIZE || over);
  holds(places, open <= wanted_places);
  forget_counts()
}

/* ---- ebbd: roster.c ---- */

/* Best where nobody is; then who starts, then a spare; who serves only while too many do. Of these the last. */
#define rank(n) (serves(n) -> (serving > SIZE -> 4 : 0) : (slots[n].state == SPARE -> 1 : (slots[n].state == STARTING -> 2 : 3)))

inline close_places() {
  count();
  do
  :: open > wanted_places && !without(CLOSE_PLACE) ->
    chosen = SLOTS;
    for (i : 0 .. SLOTS - 1) {
      if
      :: slots[i].open && (chosen == SLOTS || rank(i) >= rank(chosen)) -> chosen = i
      :: else
      fi
    }
    slots[chosen].open = false;
    count()
  :: else -> break
  od;
  forget_counts()
}

/* ---- ebbd: its turn, pass by pass ---- */

inline slots_turn() {
  d_step {
    for (i : 0 .. SLOTS - 1) {
      if
      :: slots[i].state == EMPTY && slots[i].open && !slots[i].first ->
        slots[i].state = STARTING;
        slots[i].ours = true
      :: slots[i].state == STARTING && slots[i].came && slots[i].open ->
        slots[i].came = false;
        over = over || !slots[i].ours;
        slots[i].state = (slots[i].ours -> SPARE : SERVING)
      :: (slots[i].state == STARTING || slots[i].state == SPARE) && !slots[i].open -> slots[i].state = RETIRING
      :: slots[i].state == SERVING && !slots[i].open -> slots[i].state = DUE
      :: slots[i].state == DUE && !slots[i].busy ->
        slots[i].state = RETIRING;
        loss = loss || !slots[i].first
      :: else
      fi
    }
    i = 0
  };
}

inline take_marks_off() {
  for (i : 0 .. SLOTS - 1) {
    slots[i].first = slots[i].first && (without(MARK_OFF) || (serves(i) && slots[i].open))
  }
  i = 0
}

inline succession_turn() {
  d_step {
    count();
    for (i : 0 .. SLOTS - 1) {
      if
      :: slots[i].first && slots[i].state == SERVING && slots[i].open && (sure + waiting > SIZE || without(READY_FIRST)) ->
        slots[i].state = DUE;
        sure = sure - 1
      :: else
      fi
    }
    forget_counts();
    take_marks_off();
    close_places()
  }
}

inline spare_turn() {
  d_step {
    count();
    for (i : 0 .. SLOTS - 1) {
      if
      :: slots[i].state == SPARE && slots[i].open && (serving < SIZE || without(ROOM)) && !without(LET_IN) ->
        slots[i].state = SERVING;
        serving = serving + 1
      :: else
      fi
    }
    sure = 0;
    for (i : 0 .. SLOTS - 1) {
      sure = sure + (slots[i].open && slots[i].state == SERVING)
    }
    for (i : 0 .. SLOTS - 1) {
      if
      :: slots[i].open && slots[i].state == SERVING && sure > SIZE && !without(TOO_MANY) ->
        slots[i].state = DUE;
        sure = sure - 1
      :: else
      fi
    }
    holds(prepared, serving >= SIZE || loss);
    forget_counts();
    note()
  }
}

proctype Ebbd() {
  do
  :: slots_turn();
    succession_turn();
    spare_turn()
  od
}

/* ---- the others ---- */

inline dies(n) {
  slots[n].state = EMPTY;
  slots[n].came = false;
  slots[n].ours = false;
  slots[n].busy = false
}

proctype Worker(byte n) {
  do
  :: d_step { slots[n].state == STARTING && !slots[n].came -> slots[n].came = true }
  :: d_step { !calm && slots[n].state == SERVING && !slots[n].busy -> slots[n].busy = true }
  :: d_step { serves(n) && slots[n].busy -> slots[n].busy = false }
  :: d_step { slots[n].state == RETIRING -> dies(n) }
  :: d_step { !calm && slots[n].state != EMPTY -> loss = loss || serves(n) || slots[n].state == SPARE; dies(n) }
  od
}

/* A place that can be filled at once, or none: then it is no mark. */
inline mark(n) {
  slots[n].first = true;
  count();
  if
  :: open < wanted_places ->
    chosen = SLOTS;
    for (i : 0 .. SLOTS - 1) {
      if
      :: !slots[i].open && slots[i].state == EMPTY && chosen == SLOTS -> chosen = i
      :: else
      fi
    }
    if
    :: chosen < SLOTS -> slots[chosen].open = true
    :: else -> slots[n].first = false
    fi
  :: else
  fi;
  forget_counts()
}

proctype Operator(byte n) {
  do
  :: d_step { !calm && slots[n].state == SERVING && slots[n].open && !slots[n].first -> mark(n) }
  :: d_step { !calm && slots[n].state == SERVING -> slots[n].state = DUE; loss = true }
  od
}

/* The locks of the spares die with it, and fences; X is taken back, or read already. */
inline ebbd_dies() {
  for (i : 0 .. SLOTS - 1) {
    slots[i].ours = false;
    if
    :: slots[i].state == SPARE || slots[i].state == DUE || slots[i].state == RETIRING -> slots[i].state = SERVING
    :: else
    fi
  }
  i = 0;
  over = true;
  loss = true
}

proctype Fate() {
  do
  :: d_step { !calm -> ebbd_dies(); note() }
  :: CHECK == progress -> calm = true; break
  od
}

#define is(n, what) (slots[n].state == what)
#define is_whole(n) ((slots[n].open && !slots[n].first && (is(n, SERVING) || is(n, SPARE))) || (!slots[n].open && is(n, EMPTY)))
#if SIZE == 1
#define n_of(what) (is(0, what) + is(1, what) + is(2, what))
#define all_whole (is_whole(0) && is_whole(1) && is_whole(2))
#else
#define n_of(what) (is(0, what) + is(1, what) + is(2, what) + is(3, what))
#define all_whole (is_whole(0) && is_whole(1) && is_whole(2) && is_whole(3))
#endif
#define at_rest (all_whole && n_of(SERVING) == SIZE && n_of(SPARE) == spares)
ltl comes_back { <>calm -> <>[] at_rest }

init {
  atomic {
    if
    :: spares = 0
    :: spares = 1
    fi;
    loss = true;
    run Ebbd();
    for (i : 0 .. SLOTS - 1) {
      slots[i].state = EMPTY;
      slots[i].open = i < SIZE + spares;
      run Worker(i);
      run Operator(i)
    }
    i = 0;
    run Fate()
  }
}
