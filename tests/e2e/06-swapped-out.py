#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The memory has been swapped out: does the footprint still count it?

Actors: ebbd and ebb-watch outside, pool reports inside a memory cgroup of 64 MiB, swap made by the test; one Python
worker, whose job keeps 160 MiB, most of which can only be in swap. The limit is 100 MiB: more than ever fits in memory.
"""
# exclusive: reclaim and swap stall the whole machine's pressure figures
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import MIB, PATIENCE, Ebb, check, main  # noqa: E402
from machine import memory_cgroup, swap  # noqa: E402


def swapped_memory_counts():
    with Ebb({}, start=False) as ebb:
        swap(ebb.loans, ebb.home, 512)
        group = memory_cgroup(ebb.loans, 64)
        ebb.pools = {"reports": {"command": group.wrap(ebb.worker(), f"{ebb.home}/worker"), "footprint_limit": "100M"}}
        ebb.configure()
        ebb.start()
        ebb.ready()
        order = ebb.order("reports", 0, ["keep", 160], ["work", 3])
        seen = ebb.holds("reports", 0, 160)
        check(seen["swap_bytes"] >= 90 * MIB, f"most of it is swapped out: {seen}")
        check(seen["anon_bytes"] <= 64 * MIB, f"and not in memory: {seen}")
        check(seen["state"] == "busy", f"in the job: {seen}")
        ebb.done(order)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0)
        check(retire["reason"] == "footprint" and retire["footprint_bytes"] >= 160 * MIB, f"for all of it: {retire}")
        check(retire["private_bytes"] >= 150 * MIB, f"private counts swap too: {retire}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=0, generation=2)


main(swapped_memory_counts)
