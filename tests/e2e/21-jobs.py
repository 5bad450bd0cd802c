#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Does `ebb jobs` say of each kind of job what it really did, however short, and whoever else is at work?

Actors: ebbd and ebb-watch; pools reports (one Python worker), threads (one with two job threads), old (a worker that
keeps no copy of its label, as one in a language without our SDK).
"""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import MIB, PATIENCE, Ebb, check, main, wait_for  # noqa: E402


def kinds(ebb, pool):
    found = json.loads(ebb.ebb("jobs", "--json", "--pool", pool))["jobs"]
    return {kind["label"]: kind for kind in found}


def counted(ebb, pool, runs):
    """The table, once so many runs are in it."""
    wait_for(lambda: sum(kind["runs"] for kind in kinds(ebb, pool).values()) >= runs, PATIENCE, f"{runs} runs")
    return kinds(ebb, pool)


def jobs_of_a_millisecond():
    with Ebb({"reports": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("jobs shorter than a sweep are not counted")
        ebb.done(ebb.order("reports", 0, ["turns", 300, 0.001, "a", "b", "c"], lease=False))
        found = counted(ebb, "reports", 300)
        check({label: kind["runs"] for label, kind in found.items()} == {"a": 100, "b": 100, "c": 100}, f"runs: {found}")
        for kind in found.values():
            check(0.001 <= kind["duration_mean_s"] <= kind["duration_longest_s"], f"duration: {kind}")
        check(ebb.slot("reports", 0)["jobs"] == 300, "and as many by the worker's own count")


def each_its_own():
    with Ebb({"reports": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("footprints at begin and end of a job are not seen")
        ebb.done(ebb.order("reports", 0, ["keep", 30], label="keeps"))
        ebb.done(ebb.order("reports", 0, ["take", 50], ["give"], label="gives back"))
        ebb.done(ebb.order("reports", 0, ["work", 0.01], label="idles"))
        found = counted(ebb, "reports", 3)
        keeps, gives, idles = found["keeps"], found["gives back"], found["idles"]
        # Up to 6.1 a thread keeps up to 64 steps of its counters to itself.
        check(29.5 * MIB <= keeps["retained_total_bytes"] < 32 * MIB, f"what it kept: {keeps}")
        check(gives["retained_total_bytes"] < 2 * MIB and idles["retained_total_bytes"] < 2 * MIB, f"nothing: {found}")
        check(gives["peak_bytes"] >= keeps["peak_bytes"] + 49 * MIB, f"peak of what was given back: {found}")
        pages = 4096
        check(30 * MIB / pages <= keeps["faults"] < 30 * MIB / pages + 2000, f"faults: {keeps}")
        check(50 * MIB / pages <= gives["faults"] < 50 * MIB / pages + 2000, f"faults: {gives}")
        check(idles["faults"] < 1000, f"faults: {idles}")


def two_threads_two_labels():
    with Ebb({"threads": {"worker": ["--threads", "2"]}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("jobs that overlap are not told apart")
        long = ebb.order("threads", 0, ["work", 2], label="long")
        ebb.wait_journal(PATIENCE, ev="start", order=long)
        for _ in range(5):
            ebb.done(ebb.order("threads", 0, ["work", 0.05], label="short"))
        ebb.done(long)
        found = counted(ebb, "threads", 6)
        check(found["long"]["runs"] == 1 and found["short"]["runs"] == 5, f"runs: {found}")
        check(found["long"]["duration_mean_s"] >= 2, f"the long one: {found}")
        check(0.05 <= found["short"]["duration_mean_s"] < 2, f"the short ones: {found}")


def children_that_take_jobs():
    with Ebb({"reports": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("jobs that overlap are not told apart")
        ebb.done(ebb.order("reports", 0, ["children", 3, "child", 20], lease=False))
        child = counted(ebb, "reports", 3)["child"]
        check(child["runs"] == 3, f"each a job of its own: {child}")
        check(child["retained_largest_bytes"] < 25 * MIB, f"none is charged for the others: {child}")
        check(child["faults"] >= 3 * 20 * MIB / 4096, f"faults of all: {child}")


def labels_by_the_file_alone():
    with Ebb({"old": {"worker": ["--no-copy"]}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("jobs shorter than a sweep are not counted")
        ebb.done(ebb.order("old", 0, ["work", 0.1], label="first"))
        ebb.done(ebb.order("old", 0, ["work", 0.1], label="second"))
        found = counted(ebb, "old", 2)
        check(found["first"]["runs"] == 1 and found["second"]["runs"] == 1, f"in their order: {found}")
        ebb.done(ebb.order("old", 0, ["turns", 200, 0, "a", "b"], lease=False))
        found = counted(ebb, "old", 202)
        check(sum(kind["runs"] for kind in found.values()) == 202, f"overwritten labels, but no job, are lost: {found}")


def first_turn_met_by_the_watch():
    """The watch comes while the worker, known to use its lease, has not let go of it yet: that is no job."""
    with Ebb({"reports": {"worker": ["--slow", "4"]}}) as ebb:
        ebb.needs_bpf("a sweep does not tell two turns apart")
        ebb.ready()
        ebb.wait_journal(PATIENCE, ev="ready")
        ebb.done(ebb.order("reports", 0, ["work", 0.3], label="yearly"))
        wait_for(lambda: "yearly" in kinds(ebb, "reports"), PATIENCE, "the job is counted")
        check(list(kinds(ebb, "reports")) == ["yearly"], f"and nothing else: {kinds(ebb, 'reports')}")


def jobs_without_labels():
    with Ebb({"reports": {}}) as ebb:
        ebb.needs_bpf("jobs shorter than a sweep are not counted")
        ebb.ready()
        ebb.done(ebb.order("reports", 0, ["turns", 5, 0.01, ""], lease=False))
        check(counted(ebb, "reports", 5)["-"]["runs"] == 5, "all of them, though it has said that it is ready")


def the_last_ones_before_it_goes():
    with Ebb({"reports": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("jobs shorter than a sweep are not counted")
        for generation in range(1, 6):
            ebb.wait_audit(PATIENCE, ev="ready", generation=generation)
            ebb.order("reports", 0, ["turns", 20, 0.001, "last"], ["leave", 0], lease=False)
        ebb.wait_audit(PATIENCE, ev="ready", generation=6)
        check(counted(ebb, "reports", 100)["last"]["runs"] == 100, "also those of whom nobody knows any more")


def the_one_that_it_dies_in():
    with Ebb({"reports": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("the end of a job that is no end of a turn is not seen")
        ebb.done(ebb.order("reports", 0, ["work", 0.1], label="harmless"))
        ebb.order("reports", 0, ["work", 0.1], ["kill", 9], label="deadly")
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)
        found = counted(ebb, "reports", 2)
        check({label: kind["runs"] for label, kind in found.items()} == {"harmless": 1, "deadly": 1}, f"runs: {found}")


def lost_records_are_counted():
    """The watch is stopped while more jobs end than the ring has room for."""
    with Ebb({"reports": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("there is no ring")
        wait_for(lambda: ebb.slot("reports", 0)["state"] == "ready", PATIENCE, "its first turn has been seen")
        watch = ebb.status()["watch"]["pid"]
        os.kill(watch, signal.SIGSTOP)
        try:
            ebb.done(ebb.order("reports", 0, ["turns", 5000, 0, "a"], ["keep", 30], lease=False))
        finally:
            os.kill(watch, signal.SIGCONT)
        drops = wait_for(lambda: ebb.status()["watch"]["drops"], PATIENCE, "it is shown that records were lost")
        wait_for(lambda: kinds(ebb, "reports").get("a", {}).get("runs", 0) + drops == 5000, PATIENCE,
                 "each job is counted, or known to be lost")
        check(f"{drops} records lost" in ebb.ebb("status"), "also to people")
        ebb.holds("reports", 0, 30)
        check(ebb.slot("reports", 0)["state"] == "idle", "and its figures are right again")


main(jobs_of_a_millisecond, each_its_own, two_threads_two_labels, children_that_take_jobs, labels_by_the_file_alone,
     first_turn_met_by_the_watch, jobs_without_labels, the_last_ones_before_it_goes, the_one_that_it_dies_in,
     lost_records_are_counted)
