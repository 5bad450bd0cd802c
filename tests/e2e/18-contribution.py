#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Real pressure, made by one of two workers: does that one go, though the other one is larger?

Actors: ebbd and ebb-watch outside; inside a memory cgroup of 110 MiB, with swap made by the test: pool reports, two
Python workers. Worker 0 holds 130 MiB and reads all of it over and over, which can never be there at once; worker 1 holds
200 MiB, most of it swapped out, and is quiet. Retirements are held until it shows who contributes what.
"""
# exclusive: makes memory pressure
import contextlib
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

from ebbtest import MIB, PATIENCE, Ebb, check, main, seconds, wait_for  # noqa: E402
from machine import memory_cgroup, pressure_cgroup, swap, write  # noqa: E402

THRASHER, QUIET = 0, 1
COOLDOWN = 5
LONG = 3 * PATIENCE  # for a window of ten seconds to pass


def share(ebb, slot):
    return ebb.slot("reports", slot).get("contribution")


def why(ebb, slot):
    """Lines of `ebb why` by the names of their rules and guards, and the conclusion."""
    said = json.loads(ebb.ebb("why", f"reports/{slot}", "--json"))
    lines = {line.get("rule") or line["guard"]: line for line in said["rules"] + said["guards"]}
    return lines, said["conclusion"]


def at_rest(ebb, slot):
    return json.loads(ebb.ebb("why", f"reports/{slot}", "--json"))["rest_bytes"] or 0


def wanted(ebb, slot):
    """The same, as soon as the rule wants that worker out."""
    return wait_for(lambda: (said := why(ebb, slot)) and said[0]["contribution"]["fires"] and said, PATIENCE, "it is wanted")


def silent_while_calm(ebb, limited):
    """A worker has grown, and there is memory for it: that is nobody's business."""
    wait_for(lambda: ebb.status()["watch"]["pressure"] == "calm", PATIENCE, "it is calm where no pressure is high")
    table, status = ebb.ebb("why", f"reports/{QUIET}"), ebb.status()
    shares = [worker["contribution"] for worker in status["pools"][0]["workers"]]
    check(shares == [None, None], f"no shares while it is calm: {shares}")
    check(re.search(f"^contribution +{'calm' if limited else 'off'} ", table, re.M), f"and the rule says so: {table}")


@contextlib.contextmanager
def thrashing(pool, **order):
    """Both workers as told above, retirements held, and the shares are clear."""
    with Ebb({}, start=False) as ebb:
        swap(ebb.loans, ebb.home, 768)
        group = memory_cgroup(ebb.loans, 110)
        pressed = pressure_cgroup(ebb.loans, group)
        command = group.wrap(ebb.worker(), f"{ebb.home}/worker", pressed)
        ebb.pools = {"reports": {"command": command, "size": 2, "min_ready": 0, **pool}}
        ebb.host = {"pressure_source": f"{pressed.path}/memory.pressure", "pressure_some": "off",
                    "pressure_full": "off", "cooldown": f"{COOLDOWN}s"}
        ebb.configure()
        ebb.start()
        ebb.ready()
        ebb.command("hold reports what=retire")
        ebb.done(ebb.order("reports", QUIET, ["keep", 40]))
        ebb.holds("reports", QUIET, 40)
        silent_while_calm(ebb, "contribution_limit" in pool)
        ebb.host["pressure_some"] = "1%"
        ebb.configure()
        ebb.command("reload")
        for slot, mib, all_mib in ((QUIET, 160, 200), (THRASHER, 130, 130)):
            ebb.done(ebb.order("reports", slot, ["keep", mib]), LONG)
            wait_for(lambda: at_rest(ebb, slot) >= all_mib * MIB, LONG, f"{slot} is seen between jobs")
        check(not ebb.audit(ev="retire"), "nobody goes while it is held")
        job = ebb.order("reports", THRASHER, ["thrash", f"{ebb.home}/enough"], **order)
        ebb.wait_journal(PATIENCE, ev="start", order=job)
        try:
            wait_for(lambda: (share(ebb, THRASHER) or 0) > 0.7 and share(ebb, QUIET) < 0.3, LONG, "it shows who it is")
            print("shares", share(ebb, THRASHER), share(ebb, QUIET))
            yield ebb, job
        finally:
            write(f"{ebb.home}/enough", "")


def measures_stall(ebb):
    if ebb.status()["watch"]["tier"] == "proc":
        return False
    features = json.loads(ebb.ebb("doctor", "--json"))["features"]
    return all(feature["ok"] for feature in features if feature["name"] == "stall")


def who_makes_the_pressure_goes():
    with thrashing({"contribution_limit": "50%"}, thread=True) as (ebb, _):
        lines, conclusion = wanted(ebb, THRASHER)
        check(lines["hold"]["fires"] and not lines["min-gain"]["fires"], f"it is wanted, and held: {lines}")
        check(lines["contribution"]["unit"] == "permille" and lines["contribution"]["limit"] == 500, f"numbers: {lines}")
        check("contribution wants it out" in conclusion, conclusion)
        lines, _ = why(ebb, QUIET)
        check(not lines["contribution"]["fires"], f"the quiet one is not wanted: {lines}")
        check("%" in ebb.ebb("why", f"reports/{THRASHER}") and "SHARE" in ebb.ebb("status"), "the tables show shares")
        if measures_stall(ebb):
            check(ebb.status()["watch"]["level"] == "L2", "under pressure the kernel side looks at stalls")
            stalls = [ebb.slot("reports", slot)["stall_us"] for slot in (THRASHER, QUIET)]
            check(stalls[0] > 200_000 and stalls[0] > 5 * stalls[1], f"and it is the thrasher that waits: {stalls}")
        larger = ebb.slot("reports", QUIET)["footprint_bytes"] - ebb.slot("reports", THRASHER)["footprint_bytes"]
        check(larger >= 40 * MIB, f"the quiet one is larger, by {larger}")
        ebb.send("resume reports")
        act = ebb.wait_audit(PATIENCE, ev="retire")
        print("act", act)
        check(act["reason"] == "contribution" and act["slot"] == THRASHER, f"first of all goes who made it: {act}")
        check(act["private_bytes"] >= 64 * MIB and act.get("limit_bytes") is None, f"what it frees is confirmed: {act}")
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=THRASHER, generation=1)
        effect = ebb.wait_audit(PATIENCE, ev="effect", reason="contribution")
        check(effect["freed_bytes"] >= 120 * MIB, f"what the act did is in the audit: {effect}")
        ebb.ready(reports=2)
        check(not ebb.audit(ev="retire", slot=QUIET), "and then there is peace")


def without_a_limit_the_larger_one_goes():
    with thrashing({}, thread=True) as (ebb, _):
        lines, _ = why(ebb, THRASHER)
        check(not lines["contribution"]["on"] and lines["contribution"]["value"] > 500, f"known, but no matter: {lines}")
        ebb.send("resume reports")
        act = ebb.wait_audit(PATIENCE, ev="retire")
        check(act["reason"] == "pressure" and act["slot"] == QUIET, f"the one that frees most: {act}")


def one_that_frees_too_little_stays():
    with thrashing({"contribution_limit": "50%", "min_gain": "190M"}, thread=True) as (ebb, _):
        lines, _ = wanted(ebb, THRASHER)
        check(lines["min-gain"]["fires"] and lines["min-gain"]["limit"] == 190 * MIB, f"the guard says so: {lines}")
        ebb.send("resume reports")
        act = ebb.wait_audit(PATIENCE, ev="retire")
        check(act["reason"] == "pressure" and act["slot"] == QUIET, f"it frees less than 190 MiB: {act}")


def a_busy_one_goes_when_its_job_ends():
    with thrashing({"contribution_limit": "50%"}, label="thrash") as (ebb, job):
        ebb.send("resume reports")
        due = ebb.wait_audit(PATIENCE, ev="due", slot=THRASHER)
        check(due["reason"] == "contribution", f"it is due: {due}")
        check(not ebb.journal(ev="end", order=job), "in the middle of its job")
        write(f"{ebb.home}/enough", "")
        ebb.done(job)
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=THRASHER, generation=1)
        check(not [s for s in ebb.signals() if s["job"] is not None], "no signal within a job")
        if measures_stall(ebb):
            def stalled():
                kinds = {kind["label"]: kind for kind in json.loads(ebb.ebb("jobs", "--json"))["jobs"]}
                return (kinds.get("thrash", {}).get("stall_us") or 0) > 200_000
            wait_for(stalled, PATIENCE, "what the job waited for is in `ebb jobs`")


def they_are_due_one_at_a_time():
    with thrashing({"contribution_limit": "10%"}) as (ebb, _):
        ebb.order("reports", QUIET, ["thrash", f"{ebb.home}/enough"])
        wait_for(lambda: all((w := ebb.slot("reports", slot))["state"] == "busy" and (w["contribution"] or 0) > 0.2
                             for slot in (THRASHER, QUIET)), LONG, "both contribute, in their jobs")
        ebb.send("resume reports")
        wait_for(lambda: len(ebb.audit(ev="due")) == 2, LONG, "both are due")
        acts = ebb.audit(ev="due")
        check([act["reason"] for act in acts] == ["contribution"] * 2, f"both by it: {acts}")
        check(seconds(acts[1]) - seconds(acts[0]) >= COOLDOWN - 0.1, f"with the cooldown between: {acts}")


main(who_makes_the_pressure_goes, without_a_limit_the_larger_one_goes, one_that_frees_too_little_stays,
     a_busy_one_goes_when_its_job_ends, they_are_due_one_at_a_time)
