#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A job takes 300 MiB and gives it back before it ends: is the worker left alone?

Actors: ebbd and ebb-watch; pool reports with a limit of 100 MiB, one Python worker; three such jobs in a row, each long
enough to be seen in the middle.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import json  # noqa: E402

from ebbtest import MIB, PATIENCE, Ebb, check, main, stays, wait_for  # noqa: E402


def worker_is_left_alone():
    with Ebb({"reports": {"footprint_limit": "100M"}}) as ebb:
        ebb.ready()
        for turn in range(1, 4):
            order = ebb.order("reports", 0, ["take", 300], ["work", 2], ["give"], ["work", 0.2], label="spike")
            ebb.wait_journal(PATIENCE, ev="start", order=order)
            seen = ebb.holds("reports", 0, 300)
            check(seen["state"] == "busy" and seen["job"] == "spike", f"in the job: {seen}")
            ebb.done(order)
            after = wait_for(lambda n=turn: (w := ebb.slot("reports", 0))["jobs"] >= n and w["state"] == "idle" and w,
                             PATIENCE, "the watch sees the job end")
            check(after["peak_bytes"] >= 300 * MIB, f"the peak is remembered: {after}")
        wait_for(lambda: ebb.slot("reports", 0)["footprint_bytes"] < 100 * MIB, PATIENCE, "and that it was given back")
        stays(lambda: not ebb.audit(ev="retire") and not ebb.audit(ev="due") and not ebb.signals(), 3, "left alone")
        check(ebb.slot("reports", 0)["generation"] == 1, "the same worker")
        jobs = json.loads(ebb.ebb("jobs", "--json"))
        print(jobs)


main(worker_is_left_alone)
