#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Rules by what jobs leave behind, by number of jobs and by age; a dry run; the memory of a container; a hold that is kept
up: does each do what the configuration says, and do `ebb why` and `ebb status` tell?

Actors: ebbd and ebb-watch; pools of Python workers, one with 100 MiB of its own from the start; for the container, a memory
cgroup that ebbd is started in.
"""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

from ebbtest import MIB, PATIENCE, Ebb, check, main, seconds, stays, wait_for  # noqa: E402
from machine import Skip, memory_cgroup  # noqa: E402


def line(ebb, name, worker="reports/0"):
    said = json.loads(ebb.ebb("why", worker, "--json"))
    return next(one for one in said["rules"] + said["guards"] if name in (one.get("rule"), one.get("guard")))


def job(ebb, *steps, slot=0):
    return ebb.done(ebb.order("reports", slot, *steps, ["work", 0.1]))


def retained_charges_what_jobs_left():
    """A fresh worker holds twice the limit, and a job takes three times as much: neither was left behind by a job."""
    with Ebb({"reports": {"worker": ["--ballast", "100"], "retained_limit": "50M"}}) as ebb:
        ebb.ready()
        job(ebb, ["take", 150], ["work", 1.5], ["give"])
        ebb.holds("reports", 0, 100)
        stays(lambda: not ebb.audit(ev="retire"), 2, "what a job takes and gives back is its own matter")
        rule = wait_for(lambda: (rule := line(ebb, "retained"))["value"] is not None and rule, PATIENCE, "growth is known")
        check(rule["on"] and not rule["fires"] and rule["unit"] == "bytes" and rule["limit"] == 50 * MIB, f"why: {rule}")
        check(rule["value"] < 30 * MIB, f"next to nothing was left: {rule}")
        job(ebb, ["keep", 60])
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, generation=1)
        check(retire["reason"] == "retained" and retire["limit_bytes"] == 50 * MIB, f"for what a job left: {retire}")
        check(retire["footprint_bytes"] > 150 * MIB, f"with its figures: {retire}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", generation=2)
        stays(lambda: len(ebb.audit(ev="retire")) == 1, 2, "a fresh one has left nothing behind")


def retained_is_seen_as_it_grows():
    """Growth between two jobs is waited for by the kernel side: level 1 over half of the limit, and a threshold at it."""
    with Ebb({"reports": {"worker": ["--ballast", "100"], "retained_limit": "50M"}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("levels are of the kernel programs")
        if ebb.status()["watch"]["tier"] == "basic":
            raise Skip("no rss_stat here")
        job(ebb)
        wait_for(lambda: ebb.status()["watch"]["level"] == "L0", PATIENCE, "nothing is near a limit")
        job(ebb, ["keep", 35])
        wait_for(lambda: ebb.status()["watch"]["level"] == "L1", PATIENCE, "over half of the limit is")
        ebb.order("reports", 0, ["creep", 60, 5, 0.05], ["work", 60], thread=True)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0)
        check(retire["reason"] == "retained", f"found while it grew: {retire}")


def so_many_jobs():
    with Ebb({"reports": {"max_jobs": 3}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("sweeps miss short jobs")
        for n in range(2):
            job(ebb)
            wait_for(lambda: ebb.slot("reports", 0)["jobs"] == n + 1, PATIENCE, "jobs are counted")
        rule = line(ebb, "jobs")
        check((rule["value"], rule["limit"], rule["unit"], rule["fires"]) == (2, 3, "count", False), f"why: {rule}")
        check(not ebb.audit(ev="retire"), "not before the third")
        job(ebb)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, generation=1)
        check(retire["reason"] == "jobs", f"after the third: {retire}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", generation=2)
        check(line(ebb, "jobs")["value"] in (0, None), "its successor begins anew")


def one_of_two_at_a_time():
    """Both have done what they may, and one has to be there."""
    with Ebb({"reports": {"max_jobs": 1, "size": 2, "min_ready": 1}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("sweeps miss short jobs")
        ebb.command("hold reports what=retire")
        for slot in (0, 1):
            job(ebb, slot=slot)
        for slot in (0, 1):
            wait_for(lambda: line(ebb, "jobs", f"reports/{slot}")["fires"], PATIENCE, "both are through")
        ebb.command("resume reports")
        for slot in (0, 1):
            ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=slot, generation=2)
        first, second = ebb.audit(ev="retire", reason="jobs")
        ready = ebb.audit(ev="ready", slot=first["slot"], generation=2)[0]
        check(seconds(ready) <= seconds(second), f"the second one when the first one's successor is there: {second}")


def so_old():
    with Ebb({"reports": {"max_lifetime": "15s", "size": 2}}) as ebb:
        busy = ebb.begin("reports", 1)["order"]
        ebb.ready()
        rule = wait_for(lambda: (rule := line(ebb, "age"))["value"] and rule, PATIENCE, "its age is known")
        check(rule["unit"] == "ns" and 13e9 <= rule["limit"] <= 15e9 and not rule["fires"], f"why: {rule}")
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0)
        check(retire["reason"] == "age", f"for its age: {retire}")
        lived = seconds(retire) - seconds(ebb.audit(ev="refill", slot=0, generation=1)[0])
        check(lived >= 12.9, f"not before its time: {lived}")
        due = ebb.wait_audit(PATIENCE, ev="due", pool="reports", slot=1)
        check(due["reason"] == "age", f"a busy one is due: {due}")
        ebb.finish()
        check(ebb.done(busy)["gen"] == 1 and not [s for s in ebb.signals() if s["job"]], "and finishes its job")
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=1, generation=2)


def dry_run_only_says():
    with Ebb({"reports": {"size": 2, "footprint_limit": "64M"}}, {"dry_run": "yes"}) as ebb:
        ebb.ready()
        check(ebb.status()["ebbd"]["dry_run"] is True and "dry run" in ebb.ebb("status"), "status shows it")
        job(ebb, ["keep", 100])
        said = ebb.wait_audit(PATIENCE, ev="dry-run", pool="reports", slot=0)
        check((said["reason"], said["by"], said["generation"]) == ("footprint", "watch", 1), f"who and why: {said}")
        check(said["limit_bytes"] == 64 * MIB and said["footprint_bytes"] > 100 * MIB, f"with its figures: {said}")
        check(said["private_bytes"] > 64 * MIB, f"with its figures: {said}")
        stays(lambda: len(ebb.audit(ev="dry-run")) == 1, 5, "once as long as it stays so")
        job(ebb, ["drop"])
        wait_for(lambda: ebb.slot("reports", 0)["footprint_bytes"] < 64 * MIB, PATIENCE, "it is not over any more")
        check(not ebb.audit(ev="retire"), "nothing was done")
        check(ebb.command("retire reports")["ev"] == "done", "what somebody asks for is done")
        check(ebb.audit(ev="retire")[0]["reason"] == "request", "and by that reason")
        ebb.ready()
        ebb.host["dry_run"] = "no"
        ebb.configure()
        ebb.command("reload")
        check(ebb.status()["ebbd"]["dry_run"] is False, "a reload ends it")
        job(ebb, ["keep", 100], slot=1)
        ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=1, reason="footprint")


def a_container_is_all_there_is():
    with Ebb({"reports": {}}, start=False) as ebb:
        ebb.within = memory_cgroup(ebb.loans, 300)
        ebb.start()
        ebb.ready()
        available = wait_for(lambda: ebb.status()["host"]["mem_available_bytes"], PATIENCE, "the watch has looked")
        check(100 * MIB < available < 300 * MIB, f"what the container leaves: {available}")
        job(ebb, ["keep", 100])
        wait_for(lambda: ebb.status()["host"]["mem_available_bytes"] < available - 80 * MIB, PATIENCE, "a worker takes of it")


def held(ebb):
    return ebb.pool("reports")["hold"]


def a_hold_is_kept_up():
    """As the watch does it under critical pressure; here by hand, since a line of the watch's is a line like any other."""
    with Ebb({"reports": {"size": 1}}) as ebb:
        ebb.ready()
        for _ in range(3):
            ebb.command("hold reports what=refill for=2s by=watch")
        begun = ebb.audit(ev="hold")
        check(len(begun) == 1 and begun[0]["by"] == "watch", f"its beginning is recorded: {begun}")
        wait_for(lambda: not held(ebb), PATIENCE, "it ends by itself")
        ebb.command("hold reports what=refill for=10m")
        ebb.command("hold reports what=refill for=1s by=watch")
        stays(lambda: held(ebb), 3, "somebody's own hold is not made shorter by it")
        check(len(ebb.audit(ev="hold")) == 2, "nor recorded again")
        ebb.command("hold reports what=refill for=1s")
        check(len(ebb.audit(ev="hold")) == 3, "somebody's own is each time")
        wait_for(lambda: not held(ebb), PATIENCE, "and may be made shorter")


def words_of_the_watch(ebb, slot, verb):
    """What it writes about that slot when a job has left 100 MiB; read in place of ebbd, which gets it all the same then."""
    ebb.process.send_signal(signal.SIGSTOP)
    fifo = os.open(os.path.join(ebb.run_dir, "control"), os.O_RDWR | os.O_NONBLOCK)
    try:
        os.set_blocking(fifo, False)
        job(ebb, ["keep", 100], slot=slot)
        said = bytearray()

        def found():
            try:
                said.extend(os.read(fifo, 4096))
            except BlockingIOError:
                pass
            lines = [line.split() for line in said.decode().splitlines()]
            return next((line for line in lines if line[:2] == [verb, f"reports/{slot}"]), None)
        return wait_for(found, PATIENCE, f"{verb} is said of reports/{slot}")
    finally:
        os.write(fifo, bytes(said))
        os.close(fifo)
        ebb.process.send_signal(signal.SIGCONT)


def a_successor_is_to_come_first_where_there_is_room():
    with Ebb({"reports": {"refill": "auto", "size": 3, "footprint_limit": "64M"}}, {"reserve": "1M"}) as ebb:
        ebb.ready()
        wait_for(lambda: ebb.pool("reports")["baseline_bytes"], PATIENCE, "it is known what a fresh worker holds")
        check("refill=first" in words_of_the_watch(ebb, 0, "retire"), "there is room for two")
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=0, generation=1)
        ebb.host["reserve"] = "100%"
        ebb.configure()
        ebb.command("reload")
        check(ebb.command("note warning text=seen")["ev"] == "done", "and the watch was told")
        check("refill=after" in words_of_the_watch(ebb, 1, "retire"), "there is none beside the reserve")
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=1, generation=1)


def an_order_to_give_back_has_its_figures():
    with Ebb({"reports": {"footprint_limit": "64M", "trim": "yes"}}) as ebb:
        ebb.ready()
        words = words_of_the_watch(ebb, 0, "trim")
        check({"gen=1", "by=watch", "reason=footprint", f"limit={64 * MIB}"} <= set(words), f"who and why: {words}")
        check(any(word.startswith("private=") for word in words), f"confirmed: {words}")


main(retained_charges_what_jobs_left, retained_is_seen_as_it_grows, so_many_jobs, one_of_two_at_a_time, so_old,
     dry_run_only_says, a_container_is_all_there_is, a_hold_is_kept_up, a_successor_is_to_come_first_where_there_is_room,
     an_order_to_give_back_has_its_figures)
