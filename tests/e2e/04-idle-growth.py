#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""An idle worker grows in a background thread, with no job: is it found?

Actors: ebbd and ebb-watch; pool reports with a limit of 64 MiB, two Python workers; a thread of slot 0's grows by
8 MiB every 50 ms while its lease is free. Slot 1 has never had a job and does not grow.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import MIB, PATIENCE, SLOWER, Ebb, check, main, seconds  # noqa: E402


def growth_without_a_job_is_found(shared):
    with Ebb({"reports": {"size": 2, "footprint_limit": "64M"}}) as ebb:
        ebb.ready()
        ebb.done(ebb.order("reports", 0, ["work", 0.1]))
        step = ["shm", 96] if shared else ["creep", 160, 8, 0.05]
        order = ebb.order("reports", 0, step, ["work", 60], thread=True)
        start = ebb.wait_journal(PATIENCE, ev="start", order=order)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, generation=1)
        check(retire["reason"] == "footprint" and retire["by"] == "watch", f"by the watch: {retire}")
        check(retire["footprint_bytes"] > 64 * MIB, f"over the limit: {retire}")
        check(seconds(retire) - start["t"] < 5 * SLOWER, f"found while it grew: {retire}")
        for ev in ("fenced", "signalled", "exited", "refill", "ready"):
            ebb.wait_audit(PATIENCE, ev=ev, pool="reports", slot=0, generation=2 if ev in ("refill", "ready") else 1)
        check([s["signal"] for s in ebb.signals()] == ["SIGTERM"], f"one polite signal: {ebb.signals()}")
        check(not ebb.audit(ev="retire", slot=1), "the other one is left alone")


def anonymous_memory():
    growth_without_a_job_is_found(shared=False)


def shared_memory():
    growth_without_a_job_is_found(shared=True)


main(anonymous_memory, shared_memory)
