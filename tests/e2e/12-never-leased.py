#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker never takes its lease: is it left alone, over every limit, with one warning?

Actors: ebbd and ebb-watch; pool reports with a limit of 64 MiB and a budget of 32 MiB for the host, one Python worker
that works without its lease and writes down every signal; pool late, whose worker takes its lease only after
ready_timeout; a deploy script that asks for both to go.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import PATIENCE, Ebb, check, leftovers, main, running, stays, wait_for  # noqa: E402


def worker_without_lease_is_left_alone():
    pool = {"footprint_limit": "64M", "ready_timeout": "1s", "grace": "1s", "worker": ["--lease", "never"]}
    with Ebb({"reports": pool}, {"memory_budget": "32M"}) as ebb:
        warning = ebb.wait_audit(PATIENCE, ev="warning", pool="reports")
        check(warning["reason"] == "unleased", f"one warning says so: {warning}")
        ebb.done(ebb.order("reports", 0, ["keep", 100]))
        worker = ebb.holds("reports", 0, 100)
        check(worker["state"] == "unleased", f"and shown for what it is: {worker}")
        check(ebb.pool("reports")["ready"] == 1, "it counts as ready")
        check("unleased" in ebb.pool("reports")["warnings"], "with the pool's warning")

        ebb.send("retire reports/0 id=one")
        ebb.send("retire reports id=any")
        ebb.send("drain reports id=drain")
        stays(lambda: not ebb.signals() and not ebb.audit(ev="signalled") and not ebb.audit(ev="fenced"), 4,
              "nothing is sent to it")
        check(running(worker["pid"]), "it runs")
        check(len(ebb.audit(ev="warning", pool="reports")) == 1, f"one warning: {ebb.audit(ev='warning')}")

        ebb.send("stop")
        stays(lambda: ebb.process.poll() is None and running(worker["pid"]), 2, "ebbd waits for it, and sends nothing")
        ebb.terminate()
        check(leftovers(ebb.run_dir) == [worker["pid"]], "the second SIGTERM leaves it behind, running")
        check(not ebb.signals(), f"no signal, ever: {ebb.signals()}")


def late_lease_is_a_lease():
    pool = {"footprint_limit": "64M", "ready_timeout": "1s", "worker": ["--lease", "late", "--late", "4"]}
    with Ebb({"late": pool}) as ebb:
        ebb.wait_audit(PATIENCE, ev="warning", pool="late", reason="unleased")
        ebb.wait_audit(PATIENCE, ev="ready", pool="late")
        wait_for(lambda: ebb.slot("late", 0)["state"] in ("ready", "idle"), PATIENCE, "it serves after all")
        ebb.done(ebb.order("late", 0, ["keep", 100]))
        ebb.wait_audit(PATIENCE, ev="retire", pool="late", reason="footprint")
        ebb.wait_audit(PATIENCE, ev="exited", pool="late", generation=1)
        ebb.wait_audit(PATIENCE, ev="refill", pool="late", generation=2)


main(worker_without_lease_is_left_alone, late_lease_is_a_lease)
