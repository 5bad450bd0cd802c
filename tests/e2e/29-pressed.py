#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""In the middle of the shortage that they watch, do the daemons still do what they are for? Is what they need of their memory
at hand?

Actors: ebbd, ebb-watch and Python workers, all within one memory cgroup with a small limit, and swap made by the test; beside
them in there, one process for each CPU that keeps writing to as much memory as there is for all. How soon things are done is
no matter here: `make bench-pressed`.
"""
# exclusive: makes memory pressure
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import contextlib  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, main, wait_for  # noqa: E402
from machine import Skip, memory_cgroup, read, swap  # noqa: E402
from thrash import Thrashers  # noqa: E402

GROUP_MIB = 160
LONG = 3 * PATIENCE  # a worker that starts has its pages taken as soon as it has them


@contextlib.contextmanager
def thrashing(pools):
    """Everything up, and then the shortage; it is still there in the end."""
    with Ebb(pools, start=False) as ebb:
        swap(ebb.loans, ebb.home, 1024)
        ebb.within = memory_cgroup(ebb.loans, GROUP_MIB)
        ebb.start()
        ebb.ready()
        with Thrashers(ebb.within, mib=GROUP_MIB, n=os.cpu_count() or 1) as thrashers:
            wait_for(thrashers.swapping, PATIENCE, "it swaps")
            yield ebb
            check(thrashers.swapping(), "to the end")


def things_are_done():
    pools = {"limit": {"size": 2, "footprint_limit": "40M", "ready_timeout": "60s"}, "other": {"ready_timeout": "60s"}}
    with thrashing(pools) as ebb:
        for generation in (1, 2, 3):
            ebb.done(ebb.order("limit", 0, ["keep", 50]), LONG)
            gone = ebb.wait_audit(LONG, ev="retire", pool="limit", slot=0, generation=generation)
            check(gone["reason"] == "footprint", f"for what its job has left: {gone}")
            ebb.wait_audit(LONG, ev="ready", pool="limit", slot=0, generation=generation + 1)
            check(ebb.command("retire other/0", LONG)["ev"] == "done", "a command is carried out, the successor is up")
            ebb.done(ebb.order("limit", 1, ["work", 0.1]), LONG)
        release = os.path.join(ebb.home, "release")
        busy = ebb.order("other", 0, ["until", release])
        ebb.wait_journal(LONG, ev="start", order=busy)
        ebb.send("retire other/0 id=busy")
        ebb.wait_audit(LONG, ev="due", pool="other")
        with open(release, "w", encoding="ascii"):
            ebb.done(busy, LONG)
        ebb.wait_audit(LONG, ev="done", id="busy")
        check(not [s for s in ebb.signals() if s["job"] is not None], "no signal within a job")
        check(len(ebb.audit(ev="watch", text="ebb-watch was started")) == 1, "the watch has lived through it")


def mappings(pid):
    """(name, {key: KiB, …, "VmFlags": …}) of each of its mappings."""
    found = []
    for line in read(f"/proc/{pid}/smaps").splitlines():
        key, _, value = line.partition(":")
        if " " in key:
            found.append((line, {}))
        else:
            found[-1][1][key] = value.split() if key == "VmFlags" else value.split()[0]
    return found


def pages_are_locked():
    """All that is there stays there; and all code is there, though most of it has not run."""
    if os.geteuid():
        raise Skip("needs root to lock that much")
    with Ebb({"a": {}}) as ebb:
        ebb.ready()
        wait_for(lambda: ebb.slot("a", 0)["footprint_bytes"], PATIENCE, "the watch is at it")
        for name, pid in (("ebbd", ebb.process.pid), ("ebb-watch", ebb.status()["watch"]["pid"])):
            for mapping, has in mappings(pid):
                if {"io", "pf", "de"} & set(has["VmFlags"]) or "[v" in mapping:
                    continue  # the kernel's own pages, which go nowhere: what is shared with it
                check("lo" in has["VmFlags"], f"{name}: locked: {mapping}")
                check(" r-xp " not in mapping or has["Rss"] == has["Size"], f"{name}: all code is there: {mapping} {has}")
            stack = next(has for mapping, has in mappings(pid) if mapping.endswith("[stack]"))
            check(int(stack["Rss"]) >= 128, f"{name}: and so is the stack: {stack}")
        check(len(os.listdir(f"/proc/{ebb.process.pid}/task")) == 2, "the gate's thread, started after that, too")
        worker = read(f"/proc/{ebb.slot('a', 0)['pid']}/status")
        check("VmLck:\t       0 kB" in worker, "workers are not")


main(things_are_done, pages_are_locked)
