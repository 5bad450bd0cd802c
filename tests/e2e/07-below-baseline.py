#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The limit is under a fresh worker's size: is the pool left in peace, with a warning, instead of turning over?

Actors: ebbd and ebb-watch; pool reports with a limit of 32 MiB, whose two Python workers hold 50 MiB from the start and
go on to do jobs; pool thumbs, with a limit that is right, beside it.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import MIB, PATIENCE, Ebb, check, main, stays, wait_for  # noqa: E402


def pool_is_left_in_peace():
    pools = {"reports": {"size": 2, "footprint_limit": "32M", "worker": ["--ballast", "50"]},
             "thumbs": {"footprint_limit": "64M"}}
    with Ebb(pools) as ebb:
        ebb.ready()
        for slot in (0, 1):
            ebb.done(ebb.order("reports", slot, ["work", 0.2]))
        warning = ebb.wait_audit(PATIENCE, ev="warning", pool="reports")
        check(warning["reason"] == "below-baseline", f"what is wrong is said: {warning}")
        pool = wait_for(lambda: (p := ebb.pool("reports"))["warnings"] and p, PATIENCE, "status shows the warning")
        check(pool["warnings"] == ["below-baseline"], f"by name: {pool}")
        check(50 * MIB <= pool["baseline_bytes"] < 80 * MIB, f"with the baseline: {pool}")

        ebb.done(ebb.order("reports", 0, ["keep", 20], ["work", 0.2]))
        stays(lambda: not ebb.audit(ev="retire") and not ebb.audit(ev="exited"), 4, "nobody is retired")
        ebb.done(ebb.order("reports", 1, ["work", 0.2]))
        check(len(ebb.audit(ev="warning", pool="reports")) == 1, f"one warning: {ebb.audit(ev='warning')}")
        check([w["generation"] for w in ebb.pool("reports")["workers"]] == [1, 1], "the first workers are still there")

        ebb.done(ebb.order("thumbs", 0, ["keep", 100]))
        ebb.wait_audit(PATIENCE, ev="retire", pool="thumbs", reason="footprint")
        ebb.wait_audit(PATIENCE, ev="ready", pool="thumbs", generation=2)
        check(not ebb.pool("thumbs")["warnings"], "the other pool's rule goes on")


main(pool_is_left_in_peace)
