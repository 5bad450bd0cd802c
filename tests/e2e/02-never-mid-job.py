#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker is over the limit for twenty seconds of work: does it finish its job, unsignalled, and go only then?

Actors: ebbd and ebb-watch; pool reports, three Python workers that write down every signal they get.
Slot 0: one job, over the limit for twenty seconds. Slot 1: a job that leaves it over the limit, while retirements are
held, and then another one of ten seconds: it is found out while it works. Slot 2: asked out by a script in the middle
of ten seconds of work. Pool threads: one Python worker with three job threads, asked out while all of them work.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import PATIENCE, Ebb, check, main, seconds, stays, wait_for  # noqa: E402

WORK = 10
GRACE = WORK / 2  # short of the work, and long enough to leave in


def went_only_then(ebb, slot, end):
    gone = ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=slot, generation=1)
    check(end["t"] <= seconds(gone) < end["t"] + GRACE + 0.5, f"slot {slot}: left when the job ended: {end} {gone}")
    check(gone.get("exit_code") == 0, f"slot {slot}: an orderly exit: {gone}")
    for ev in ("fenced", "signalled"):
        for record in ebb.audit(ev=ev, slot=slot, generation=1):
            check(seconds(record) >= end["t"], f"slot {slot}: nothing was done to it before: {record}")
    ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=slot, generation=2)


def worker_finishes_its_job():
    with Ebb({"reports": {"size": 3, "footprint_limit": "64M", "grace": f"{GRACE:g}s"}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("the end of a job that is followed by another at once is not seen")
        over = ebb.order("reports", 0, ["keep", 100], ["work", 2 * WORK])
        ebb.command("hold reports what=retire")
        ebb.done(ebb.order("reports", 1, ["keep", 100]))
        second = ebb.order("reports", 1, ["work", WORK])
        asked = ebb.order("reports", 2, ["work", WORK])
        for order in (over, second, asked):
            ebb.wait_journal(PATIENCE, ev="start", order=order)
        ebb.command("resume reports")
        ebb.send("retire reports/2 id=please")
        ebb.wait_audit(PATIENCE, ev="accepted", id="please")
        for slot, order in ((1, second), (2, asked)):
            due = ebb.wait_audit(PATIENCE, ev="due", pool="reports", slot=slot, generation=1)
            start = ebb.wait_journal(PATIENCE, ev="start", order=order)
            check(start["t"] <= seconds(due) < start["t"] + 5, f"slot {slot}: became due in the job: {due}")
        ebb.holds("reports", 0, 100)
        status = wait_for(lambda: (p := ebb.pool("reports"))["due"] == 2 and p, PATIENCE, "two are due")
        check([w["due"] for w in status["workers"][1:]] == ["footprint", "request"], f"and why: {status}")

        pids = {record["slot"]: record["pid"] for record in ebb.audit(ev="ready")}
        stays(lambda: not ebb.signals() and not ebb.audit(ev="signalled") and not ebb.audit(ev="exited"), WORK / 2,
              "no worker is touched in its job")
        for slot, order in ((0, over), (1, second), (2, asked)):
            end = ebb.done(order)
            check(end["pid"] == pids[slot], f"the job was done by the worker that had it: {end}")
            went_only_then(ebb, slot, end)
        ebb.wait_audit(PATIENCE, ev="done", id="please")
        check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")


def every_job_thread_finishes():
    with Ebb({"threads": {"worker": ["--threads", "3"], "grace": f"{GRACE:g}s"}}) as ebb:
        ebb.ready()
        jobs = [ebb.order("threads", 0, ["work", length]) for length in (1, 3, 5)]
        starts = [ebb.wait_journal(PATIENCE, ev="start", order=job) for job in jobs]
        check(len({start["pid"] for start in starts}) == 1, f"three at a time in one worker: {starts}")
        ebb.send("retire threads/0")
        ebb.wait_audit(PATIENCE, ev="due", pool="threads", slot=0)
        last = [ebb.done(job) for job in jobs][-1]
        check(last["pid"] == starts[0]["pid"], f"all were finished: {last}")
        gone = ebb.wait_audit(PATIENCE, ev="exited", pool="threads", slot=0, generation=1)
        check(last["t"] <= seconds(gone), f"left when the last job had ended: {last} {gone}")
        check(gone.get("exit_code") == 0, f"an orderly exit: {gone}")
        check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="threads", slot=0, generation=2)


main(worker_finishes_its_job, every_job_thread_finishes)
