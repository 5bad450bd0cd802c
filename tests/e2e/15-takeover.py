#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""ebbd is killed with SIGKILL, or told twice to stop: do the workers go on, does the next ebbd take them over, and is
no job lost, no worker signalled in a job, and no slot filled twice?

Actors: ebbd and ebb-watch, then another ebbd in the same run directory; pool reports, four Python workers that write
down every signal: one in a job, one idle, one due in a job, and one that dies while nobody looks.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import signal  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, leftovers, main, running, seconds, wait_for  # noqa: E402


def no_slot_twice(ebb, size):
    """As many workers as slots, each in a slot of its own."""
    slots = []
    for pid in leftovers(ebb.run_dir):
        with open(f"/proc/{pid}/environ", "rb") as file:
            slots += [entry for entry in file.read().split(b"\0") if entry.startswith(b"EBB_SLOT=")]
    check(len(slots) == len(set(slots)) == size, f"slots: {sorted(slots)}")


def killed():
    with Ebb({"reports": {"size": 4, "footprint_limit": "100M"}}) as ebb:
        ebb.ready()
        pids = {entry["slot"]: entry["pid"] for entry in ebb.journal(ev="ready")}
        long = ebb.order("reports", 0, ["work", 6])
        ebb.done(ebb.order("reports", 1, ["keep", 10]))
        due = ebb.order("reports", 2, ["work", 6])
        for order in (long, due):
            ebb.wait_journal(PATIENCE, ev="start", order=order)
        ebb.send("retire reports/2")
        ebb.wait_audit(PATIENCE, ev="due", slot=2)

        ebb.process.kill()
        ebb.process.wait()
        os.kill(pids[3], signal.SIGKILL)
        wait_for(lambda: not running(pids[3]), PATIENCE, "one dies meanwhile")
        check(all(running(pids[slot]) for slot in (0, 1, 2)), "the others run on")
        ebb.start()

        taken = wait_for(lambda: len(t := ebb.audit(ev="takeover")) == 3 and t, PATIENCE, "three are taken over")
        check({r["slot"]: r["pid"] for r in taken} == {slot: pids[slot] for slot in (0, 1, 2)}, f"by pid: {taken}")
        ebb.wait_audit(PATIENCE, ev="ready", slot=3, generation=2)
        no_slot_twice(ebb, 4)
        wait_for(lambda: ebb.slot("reports", 0)["state"] == "busy", PATIENCE, "the busy one is known to work")

        ebb.send("retire reports/0")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        end = ebb.done(long)
        check(end["pid"] == pids[0], "the job goes on")
        gone = ebb.wait_audit(PATIENCE, ev="exited", slot=0, generation=1)
        check(seconds(gone) >= end["t"], "and its worker goes only then")
        ebb.wait_audit(PATIENCE, ev="ready", slot=0, generation=2)
        check(ebb.done(due)["pid"] == pids[2], "so does the other")
        ebb.order("reports", 1, ["leave", 0])
        ebb.wait_audit(PATIENCE, ev="exited", slot=1, generation=1)
        ebb.wait_audit(PATIENCE, ev="ready", slot=1, generation=2)
        no_slot_twice(ebb, 4)
        check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")


def told_twice_to_stop():
    with Ebb({"reports": {"size": 2}}) as ebb:
        ebb.ready()
        long = ebb.order("reports", 0, ["work", 5])
        start = ebb.wait_journal(PATIENCE, ev="start", order=long)
        ebb.process.send_signal(signal.SIGTERM)
        ebb.wait_audit(PATIENCE, ev="exited", slot=1)
        check(ebb.process.poll() is None and running(start["pid"]), "the first waits for the busy one")
        ebb.stop_and_leave()
        check(leftovers(ebb.run_dir) == [start["pid"]], "the second leaves it")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=start["pid"])
        check(ebb.done(long)["pid"] == start["pid"], "its job is finished")
        wait_for(lambda: ebb.pool("reports")["ready"] == 2, PATIENCE, "the pool is at its size")
        no_slot_twice(ebb, 2)
        again = ebb.done(ebb.order("reports", 0, ["work", 0.1]))
        check(again["pid"] == start["pid"], f"the order to leave was taken back: {again}")
        check(not ebb.signals(slot=0), f"nobody touched it: {ebb.signals()}")


main(killed, told_twice_to_stop)
