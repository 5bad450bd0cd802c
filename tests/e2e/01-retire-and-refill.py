#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A job leaves its worker over footprint_limit: is it retired within a second after the job's end, and refilled?

Actors: ebbd and ebb-watch as root; pool reports, two Python workers that run as nobody; slot 0 gets one job that keeps
128 MiB under a limit of 64 MiB, slot 1 gets a lean one.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import MIB, PATIENCE, SLOWER, Ebb, check, main, seconds, wait_for  # noqa: E402


def bloated_worker_goes_within_a_second():
    pool = {"size": 2, "user": "nobody", "footprint_limit": "64M"}
    with Ebb({"reports": pool}) as ebb:
        ebb.ready()
        heavy = ebb.order("reports", 0, ["keep", 128], ["work", 0.5], label="yearly")
        lean = ebb.order("reports", 1, ["keep", 4], ["work", 0.5])
        end = ebb.done(heavy)
        ebb.done(lean)

        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0)
        check(retire["reason"] == "footprint" and retire["by"] == "watch", f"chosen by a rule of the watch: {retire}")
        check(retire["generation"] == 1, f"the first worker: {retire}")
        check(retire["limit_bytes"] == 64 * MIB, f"judged by the limit: {retire}")
        check(128 * MIB <= retire["footprint_bytes"] < 192 * MIB, f"its footprint was counted: {retire}")
        check(128 * MIB <= retire["private_bytes"] <= retire["footprint_bytes"], f"private confirms it: {retire}")

        told = ebb.wait_audit(PATIENCE, ev="signalled", pool="reports", slot=0, generation=1)
        took = seconds(told) - end["t"]
        swept = ebb.status()["watch"]["tier"] == "proc"  # then it is found by a sweep, once a second
        check(took < (3 if swept else 1) * SLOWER, f"told {took:.3f} s after its job's end")
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=0, generation=1)
        check(not ebb.audit(ev="due"), "it was idle, so there was nothing to wait for")

        ebb.wait_audit(PATIENCE, ev="refill", pool="reports", slot=0, generation=2)
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=0, generation=2)
        successor = ebb.done(ebb.order("reports", 0, ["keep", 1]))
        check(successor["gen"] == 2 and successor["pid"] != end["pid"], f"the new worker works: {successor}")

        check(not ebb.audit(ev="retire", slot=1), "the lean worker is left alone")
        check([entry["uid"] for entry in ebb.journal(ev="up")] == [65534] * 3, "workers run as nobody")
        workers = wait_for(lambda: ebb.pool("reports")["ready"] == 2 and ebb.pool("reports")["workers"], PATIENCE,
                           "status shows the pool at its size")
        check([worker["generation"] for worker in workers] == [2, 1], f"generations: {workers}")


main(bloated_worker_goes_within_a_second)
