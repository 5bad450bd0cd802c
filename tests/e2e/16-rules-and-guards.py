#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The budget rule, and the guards that say "not now": does each do what the configuration says, and does `ebb why`
tell?

Actors: ebbd and ebb-watch; pools of Python workers that are over their limit, or together over the budget, in turn held
back by min_ready, by their youth, by a hold, by strikes, and by memory that they share with others.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import json  # noqa: E402

from ebbtest import MIB, PATIENCE, Ebb, check, main, seconds, stays, wait_for  # noqa: E402


def bloat(ebb, slot=0, mib=100):
    return ebb.done(ebb.order("reports", slot, ["keep", mib], ["work", 0.1]))


def says_no(ebb, guard):
    """What `ebb why` says of slot 0 is that footprint wants it out, and that this guard does not let it go."""
    verdict = json.loads(ebb.ebb("why", "reports/0", "--json"))
    rules = [rule["rule"] for rule in verdict["rules"] if rule["fires"]]
    guards = [one["guard"] for one in verdict["guards"] if one["fires"]]
    return rules == ["footprint"] and guard in guards and verdict["outcome"] is None


def left_alone(ebb, guard, time=3):
    wait_for(lambda: says_no(ebb, guard), PATIENCE, f"why tells of {guard}")
    stays(lambda: not any(ebb.audit(ev=ev) for ev in ("retire", "due", "refused")), time, f"{guard} says no")
    check(f"{guard} says no" in ebb.ebb("why", "reports/0"), f"people are told of {guard} too")


def budget_takes_the_largest_idle_ones():
    pools = {"reports": {"size": 3}, "thumbs": {"size": 1}}
    with Ebb(pools, {"memory_budget": "200M"}) as ebb:
        ebb.ready()
        busy = ebb.begin("thumbs", 0, ["keep", 100])
        for slot, mib in ((1, 60), (0, 30)):  # the larger one first: before it, nobody else is worth taking
            bloat(ebb, slot, mib)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports")
        check(retire["slot"] == 1 and retire["reason"] == "budget", f"the largest idle one: {retire}")
        check(retire["limit_bytes"] == 200 * MIB, f"by the budget: {retire}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=1, generation=2)
        stays(lambda: len(ebb.audit(ev="retire")) == 1, 2, "under it, and so no more")
        check(ebb.status()["host"]["memory_budget_bytes"] == 200 * MIB, "status shows the budget")
        ebb.finish()
        check(ebb.done(busy["order"])["gen"] == 1 and not ebb.audit(ev="due"), "the busy one is not asked to go for it")


def min_ready_keeps_the_last():
    with Ebb({"reports": {"footprint_limit": "64M", "min_ready": 1}}) as ebb:
        ebb.ready()
        bloat(ebb)
        left_alone(ebb, "min-ready")
        check(ebb.command("scale reports 2")["ev"] == "done", "with another one to serve")
        ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, reason="footprint")


def the_young_are_spared():
    with Ebb({"reports": {"footprint_limit": "64M", "min_lifetime": "8s"}}) as ebb:
        ebb.ready()
        bloat(ebb)
        wait_for(lambda: says_no(ebb, "too-young"), PATIENCE, "why tells of its youth")
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", reason="footprint")
        age = seconds(retire) - seconds(ebb.audit(ev="refill", generation=1)[0])
        check(7.5 <= age < 12, f"retired as soon as it was old enough: {age}")


def hold_holds_and_ends_by_itself():
    with Ebb({"reports": {"footprint_limit": "64M"}}) as ebb:
        ebb.ready()
        hold = ebb.command("hold reports what=retire for=15s")
        bloat(ebb)
        left_alone(ebb, "hold", 2)
        check(ebb.pool("reports")["hold"] is True, "status shows the hold")
        check(ebb.command("retire reports/0")["reason"] == "hold", "scripts are held too")
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", reason="footprint")
        check(14.9 < seconds(retire) - seconds(hold) < 19, f"it ran out: {hold} {retire}")
        check(ebb.audit(ev="resume", pool="reports"), "and the audit says so")


def strikes_are_counted():
    with Ebb({"reports": {"footprint_limit": "64M", "strikes": 3}}) as ebb:
        ebb.ready()
        end = bloat(ebb)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", reason="footprint")
        check(seconds(retire) - end["t"] > 1.5, f"three confirmations, a second apart: {end} {retire}")


def what_children_share_counts_once():
    """A forked child maps its parent's memory: the footprint is over the limit, what retiring both frees is not."""
    with Ebb({"reports": {"footprint_limit": "150M", "grace": "1s"}}) as ebb:
        ebb.ready()
        ebb.done(ebb.order("reports", 0, ["keep", 100], ["daemon", 1], ["work", 0.1]))
        ebb.holds("reports", 0, 180)
        left_alone(ebb, "private")


main(budget_takes_the_largest_idle_ones, min_ready_keeps_the_last, the_young_are_spared,
     hold_holds_and_ends_by_itself, strikes_are_counted, what_children_share_counts_once)
