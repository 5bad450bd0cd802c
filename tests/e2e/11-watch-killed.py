#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""ebb-watch is killed with SIGKILL: is it back, are the figures right, has any worker noticed?

Actors: ebbd and ebb-watch, which the test kills by its pid; pool reports, three Python workers that write down every
signal: slot 0 in a long job when it happens, slot 1 idle with 40 MiB kept, slot 2 grows in a job over the kill.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import signal  # noqa: E402

from ebbtest import MIB, PATIENCE, SLOWER, Ebb, Skip, check, main, running, wait_for  # noqa: E402


def idle_slot(ebb, slot, jobs):
    def idle():
        worker = ebb.slot("reports", slot)
        return worker["state"] == "idle" and worker["jobs"] >= jobs and worker
    return wait_for(idle, PATIENCE, f"slot {slot} is idle after {jobs} jobs")


def kill_watch(ebb):
    pid = ebb.status()["watch"]["pid"]
    check(pid and running(pid), f"the watch runs: {pid}")
    os.kill(pid, signal.SIGKILL)

    def back():
        watch = ebb.status()["watch"]
        return watch["pid"] not in (None, pid) and watch["tier"] and watch["pid"]
    return wait_for(back, PATIENCE, "the watch is back")


def watch_comes_back():
    with Ebb({"reports": {"size": 3, "footprint_limit": "100M"}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("jobs shorter than a sweep are not counted")
        for _ in range(5):
            ebb.done(ebb.order("reports", 1, ["work", 0.05]))
        ebb.done(ebb.order("reports", 1, ["keep", 40]))
        before = idle_slot(ebb, 1, 6)
        check(before["jobs"] == 6 and 40 * MIB <= before["footprint_bytes"] < 80 * MIB, f"before: {before}")
        long = ebb.order("reports", 0, ["take", 60], ["work", 6 + 2 * SLOWER])  # until the watch is back
        over = ebb.order("reports", 2, ["work", 4], ["keep", 120], ["work", 1])
        ebb.wait_journal(PATIENCE, ev="start", order=over)
        ebb.holds("reports", 0, 60)
        workers = {record["slot"]: record["pid"] for record in ebb.audit(ev="ready")}

        kill_watch(ebb)

        after = ebb.holds("reports", 1, 40)
        check(abs(after["footprint_bytes"] - before["footprint_bytes"]) <= MIB, f"same footprint: {before} {after}")
        check(after["jobs"] == 6, f"jobs are not forgotten: {after}")
        busy = wait_for(lambda: (w := ebb.slot("reports", 0))["state"] == "busy" and w, PATIENCE, "slot 0 is busy")
        check(busy["footprint_bytes"] >= 60 * MIB, f"its job's memory is seen: {busy}")

        ebb.done(over)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=2)
        check(retire["reason"] == "footprint" and retire["footprint_bytes"] >= 120 * MIB, f"it judges again: {retire}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=2, generation=2)
        ebb.done(long)
        check(idle_slot(ebb, 0, 1)["jobs"] == 1, "the job that was running counts once")
        ebb.done(ebb.order("reports", 1, ["work", 0.05]))
        check(idle_slot(ebb, 1, 7)["jobs"] == 7, "and the next one too")

        check(not [s for s in ebb.signals() if s["slot"] != 2], f"no worker has noticed: {ebb.signals()}")
        wait_for(lambda: {e["slot"]: e["pid"] for e in ebb.journal(ev="released") if e["slot"] != 2} ==
                 {slot: workers[slot] for slot in (0, 1)}, PATIENCE, "they are the same")
        check([r["slot"] for r in ebb.audit(ev="exited")] == [2], "nobody else left")
        check(ebb.audit(ev="watch", signal=9), f"the audit tells how it ended: {ebb.audit(ev='watch')}")


def nothing_is_missed_meanwhile():
    """The kernel side goes on without a watch: jobs that begin and end before the next one is there are counted."""
    with Ebb({"reports": {"footprint_limit": "100M"}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("there is no kernel side")
        if not os.path.ismount("/sys/fs/bpf"):
            raise Skip("no bpffs here, nor may we mount it")
        check(ebb.pins(), "what has to go on is pinned")
        ebb.done(ebb.order("reports", 0, ["turns", 100, 0, "a", "b"], lease=False))
        wait_for(lambda: ebb.slot("reports", 0)["jobs"] == 100, PATIENCE, "a hundred jobs are counted")
        long = ebb.order("reports", 0, ["take", 60], ["give"], ["work", 4], label="long")
        ebb.wait_journal(PATIENCE, ev="start", order=long)
        wait_for(lambda: ebb.slot("reports", 0)["state"] == "busy", PATIENCE, "the job is seen")
        kill_watch(ebb)
        ebb.done(long)
        wait_for(lambda: ebb.slot("reports", 0)["jobs"] == 101, PATIENCE, "it is counted")
        os.kill(ebb.status()["watch"]["pid"], signal.SIGKILL)
        ebb.done(ebb.order("reports", 0, ["turns", 100, 0, "a", "b"], lease=False))
        wait_for(lambda: ebb.slot("reports", 0)["jobs"] == 201, PATIENCE, "none is missed, none counted twice")
        kinds = {kind["label"]: kind for kind in json.loads(ebb.ebb("jobs", "--json"))["jobs"]}
        check({label: kind["runs"] for label, kind in kinds.items()} == {"a": 100, "b": 100, "long": 1}, f"{kinds}")
        check(kinds["long"]["peak_bytes"] >= 60 * MIB, f"with a peak from before the kill: {kinds}")
        check(kinds["long"]["duration_mean_s"] >= 4, f"and its whole length: {kinds}")
        ebb.stop()
        check(not ebb.pins(), f"nothing stays behind: {ebb.pins()}")


def killed_again_and_again():
    with Ebb({"reports": {"footprint_limit": "64M"}}) as ebb:
        ebb.ready()
        pids = {kill_watch(ebb) for _ in range(3)}
        check(len(pids) == 3, f"a new one each time: {pids}")
        ebb.done(ebb.order("reports", 0, ["keep", 100]))
        ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, reason="footprint")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=0, generation=2)


main(watch_comes_back, nothing_is_missed_meanwhile, killed_again_and_again)
