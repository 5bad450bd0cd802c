#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the watch asks of ebbd beside retirements: is memory given back before a worker is retired for it, does a piece of work
start only when it fits, and is a successor there before its predecessor goes, where there is room for both?

Actors: ebbd and ebb-watch; pools of Python workers, of which some let go of what they hold when they are told to; a pool of
pieces of work that take 100 MiB each, in a memory cgroup that has room for two of them.
"""
# once: sweeps see neither the ends of short turns nor the peak of a short piece
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

from ebbtest import MIB, PATIENCE, Ebb, check, main, seconds, stays, wait_for  # noqa: E402
from machine import Skip, memory_cgroup, write  # noqa: E402

LONG = 3 * PATIENCE
PIECE = """
import json, mmap, os, sys, time
def note(ev):
    record = {"t": time.time(), "ev": ev, "pid": os.getpid(), "pool": os.environ["EBB_POOL"]}
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
    os.write(fd, json.dumps(record).encode() + b"\\n")
    os.close(fd)
note("begin")
memory = mmap.mmap(-1, 100 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, len(memory), mmap.PAGESIZE):
    memory[page] = 1
until = time.monotonic() + 2.5
while (left := until - time.monotonic()) > 0:
    time.sleep(left)
note("finish")
"""


def needs(line):
    """Skip where ebbd refuses the verb."""
    with Ebb({"probe": {}}, watch=False) as ebb:
        if ebb.command(line).get("reason") == "not-supported":
            raise Skip(f"this ebbd does not know {line.split()[0]} yet")


def trim(ebb):
    said = json.loads(ebb.ebb("why", "reports/0", "--json"))
    return next(one for one in said["guards"] if one["guard"] == "trim")


def job(ebb, *steps):
    return ebb.done(ebb.order("reports", 0, *steps, ["work", 0.1]))


def who_gives_back_stays():
    needs("trim probe/0")
    with Ebb({"reports": {"worker": ["--trims"], "footprint_limit": "64M", "trim": "yes", "trim_wait": "5m"}}) as ebb:
        ebb.ready()
        ebb.command("trim reports/0")
        job(ebb)
        ebb.wait_journal(PATIENCE, ev="trim")
        job(ebb, ["keep", 100])
        # That order is an old one by now: what it was for is done, so that this overrun counts.
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", generation=1)
        check(retire["reason"] == "footprint", f"ordered once: {retire}")
        ebb.ready(reports=2)
        job(ebb, ["keep", 100])
        wait_for(lambda: trim(ebb)["fires"] and trim(ebb)["value"] is not None, PATIENCE, "it is ordered to give back")
        stays(lambda: len(ebb.audit(ev="retire")) == 1, 3, "and has the time for it")
        job(ebb)
        check(ebb.journal(ev="trim", gen=2), "it has read the order")
        wait_for(lambda: ebb.slot("reports", 0)["footprint_bytes"] < 64 * MIB, PATIENCE, "it is small again")
        stays(lambda: len(ebb.audit(ev="retire")) == 1, 3, "so that it stays")


def who_cannot_goes_after_one_job():
    needs("trim probe/0")
    with Ebb({"reports": {"footprint_limit": "64M", "trim": "yes", "trim_wait": "5m"}}) as ebb:
        ebb.ready()
        job(ebb, ["keep", 100])
        wait_for(lambda: trim(ebb)["fires"] and trim(ebb)["value"] is not None, PATIENCE, "it is ordered to give back")
        check(trim(ebb)["unit"] == "ns" and "trim says no" in ebb.ebb("why", "reports/0"), "why tells")
        end = job(ebb)
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, generation=1)
        check(retire["reason"] == "footprint" and seconds(retire) >= end["t"] - 0.1, f"after that job: {retire}")
        check(len(ebb.journal(ev="trim")) == 1, "it was ordered once")


def who_gets_no_job_goes_after_a_while():
    needs("trim probe/0")
    with Ebb({"reports": {"footprint_limit": "64M", "trim": "yes", "trim_wait": "4s"}}) as ebb:
        ebb.ready()
        end = job(ebb, ["keep", 100])
        retire = ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, generation=1)
        check(seconds(retire) - end["t"] >= 3.9, f"after trim_wait: {retire}")


def at_once(ebb, after):
    """The most pieces that ran at one time, of those that began when so many had ended."""
    records = sorted(ebb.journal(), key=lambda record: record["t"])
    finished = [record["t"] for record in records if record["ev"] == "finish"]
    late = {record["pid"] for record in records if record["ev"] == "begin" and record["t"] > finished[after - 1]}
    now = most = 0
    for record in records:
        if record["pid"] in late:
            now += 1 if record["ev"] == "begin" else -1
            most = max(most, now)
    return most


def pieces_start_when_they_fit():
    needs("trim probe/0")
    with Ebb({}, {"reserve": "16M"}, start=False) as ebb:
        piece = os.path.join(ebb.home, "piece.py")
        write(piece, PIECE)
        journal = os.path.join(ebb.spool, "journal")
        ebb.within = memory_cgroup(ebb.loans, 330)
        ebb.pools = {"pieces": {"command": f"/usr/bin/python3 {piece} {journal}", "size": 4, "mode": "oneshot"}}
        ebb.configure()
        ebb.start()
        # The first four may all have begun: nothing is known of a pool's pieces yet, nor is the watch there at once.
        for what in ("once it is known what one takes", "by another watch, which knows it from the one before"):
            done = len(ebb.journal(ev="finish"))
            wait_for(lambda: len(ebb.journal(ev="finish")) >= done + 10, LONG, "ten pieces are done")
            most = at_once(ebb, done + 4)
            check(most == 2, f"two at a time {what}: {most} {ebb.journal()}")
            os.kill(ebb.status()["watch"]["pid"], signal.SIGKILL)
        check(not ebb.audit(ev="retire"), "none was retired")
        ebb.command("drain all")


def successor_comes_first_where_there_is_room():
    needs("roll probe")
    with Ebb({"reports": {"refill": "auto", "footprint_limit": "64M"}}) as ebb:
        ebb.ready()
        job(ebb, ["keep", 100])
        ebb.wait_audit(PATIENCE, ev="exited", pool="reports", generation=1)
        old = ebb.audit(ev="exited", pool="reports")[0]
        ready = [record for record in ebb.audit(ev="ready", pool="reports") if record["pid"] != old["pid"]]
        check(ready and seconds(ready[0]) <= seconds(old), f"it was there before the other one went: {ready} {old}")


main(who_gives_back_stays, who_cannot_goes_after_one_job, who_gets_no_job_goes_after_a_while, pieces_start_when_they_fit,
     successor_comes_first_where_there_is_room)
