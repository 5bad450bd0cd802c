#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The memory is in a grandchild, double-forked: is it counted, and does it go with the worker?

Actors: ebbd and ebb-watch; pool reports with a limit of 100 MiB, one Python worker; its job leaves a grandchild in a
session of its own that holds 150 MiB and ignores every signal that can be ignored.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import MIB, PATIENCE, Ebb, check, main, running, seconds  # noqa: E402


def grandchild_goes_with_the_worker():
    with Ebb({"reports": {"footprint_limit": "100M", "grace": "1s"}}) as ebb:
        ebb.ready()
        order = ebb.order("reports", 0, ["daemon", 150], ["work", 3])
        daemon = ebb.wait_journal(PATIENCE, ev="daemon", order=order)
        seen = ebb.holds("reports", 0, 150)
        check(seen["state"] == "busy" and seen["pid"] != daemon["pid"], f"as the worker's: {seen}")
        end = ebb.done(order)

        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0)
        check(retire["reason"] == "footprint" and retire["footprint_bytes"] >= 150 * MIB, f"for its memory: {retire}")
        check(seconds(retire) >= end["t"] - 0.001, "after the job")
        refill = ebb.wait_audit(PATIENCE, ev="refill", pool="reports", slot=0, generation=2)
        check(not running(daemon["pid"]), "the grandchild was gone before the slot was filled again")
        check(seconds(refill) >= seconds(ebb.audit(ev="exited", generation=1)[0]), "and so was the worker")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=0, generation=2)
        lean = ebb.holds("reports", 0, 1)
        check(lean["footprint_bytes"] < 100 * MIB, f"the successor starts lean: {lean}")


def grandchild_of_a_crashed_worker_goes_too():
    with Ebb({"reports": {"grace": "1s"}}) as ebb:
        ebb.ready()
        order = ebb.order("reports", 0, ["daemon", 8], ["kill", 9])
        daemon = ebb.wait_journal(PATIENCE, ev="daemon", order=order)
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=0, generation=1, signal=9)
        ebb.wait_audit(PATIENCE, ev="refill", pool="reports", slot=0, generation=2)
        check(not running(daemon["pid"]), "the grandchild was gone before the slot was filled again")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=0, generation=2)


def helper_that_goes_on_with_the_job_is_not_touched():
    with Ebb({"reports": {"grace": "1s"}}) as ebb:
        ebb.ready()
        order = ebb.order("reports", 0, ["helper", 8, 4], ["work", 0.5], ["kill", 9])
        helper = ebb.wait_journal(PATIENCE, ev="helper", order=order)
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=0, generation=1, signal=9)
        ebb.send("retire reports/0")
        helped = ebb.wait_journal(PATIENCE, ev="helped", order=order)
        check(helped["pid"] == helper["pid"] and not ebb.signals(), f"it did what was left: {ebb.signals()}")
        refill = ebb.wait_audit(PATIENCE, ev="refill", pool="reports", slot=0, generation=2)
        check(seconds(refill) >= helped["t"], "only then the slot was filled again")
        check(not ebb.audit(ev="signalled"), "nothing was sent to anyone")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=0, generation=2)


main(grandchild_goes_with_the_worker, grandchild_of_a_crashed_worker_goes_too,
     helper_that_goes_on_with_the_job_is_not_touched)
