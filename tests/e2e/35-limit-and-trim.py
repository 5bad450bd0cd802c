#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""An operator sets limits and orders memory back while jobs run: is what was set in force until it is taken back, through
reloads, restarts and crashes; does an order give memory back to the system, and never cost a job or an order to leave?

Actors: ebbd, mostly without the watch; an operator; Python workers that are told to litter; a worker in C whose allocator
keeps what was freed.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

from ebbtest import BUILD, MIB, PATIENCE, Ebb, check, main, wait_for  # noqa: E402
from machine import read, write  # noqa: E402


def again(ebb):
    """Killed, and started once more."""
    ebb.process.kill()
    ebb.process.wait()
    ebb.start()


def limits(ebb, pool="reports"):
    known = ebb.pool(pool)
    return (known["footprint_limit_bytes"] or 0) // MIB, (known["retained_limit_bytes"] or 0) // MIB, known["limited"]


def limit(ebb, words, by="someone"):
    answer = ebb.command(f"limit {words} by={by}")
    check(answer["ev"] == "done", f"{words}: {answer}")
    return answer["id"]


def in_force_until_taken_back():
    pools = {"reports": {"footprint_limit": "100M", "retained_limit": "50M"}, "thumbs": {"footprint_limit": "7M"},
             "nobody": {"size": 0, "footprint_limit": "9M"}}
    with Ebb(pools, watch=False) as ebb:
        ebb.ready()
        check(limits(ebb) == (100, 50, []), f"as the file says: {limits(ebb)}")
        name = limit(ebb, "reports footprint=200M")
        check(limits(ebb) == (200, 50, ["footprint"]), f"one of both: {limits(ebb)}")
        record = ebb.audit(ev="limit")[-1]
        check((record["id"], record["by"], record["pool"], record["limit_bytes"], record["text"]) ==
              (name, "someone", "reports", 200 * MIB, "footprint"), f"who set what: {record}")
        check(ebb.audit(ev="accepted", id=name)[0]["by"] == "someone", f"accepted: {ebb.audit(id=name)}")
        row = next(line for line in ebb.ebb("status").splitlines() if line.startswith("reports "))
        check("limited" in row, f"people see it: {row}")
        limit(ebb, "reports retained=off")
        check(limits(ebb) == (200, 0, ["footprint", "retained"]), f"and the other: {limits(ebb)}")

        ebb.pools["reports"].update(footprint_limit="300M", retained_limit="60M")
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "reloaded")
        check(limits(ebb) == (200, 0, ["footprint", "retained"]), f"a reload leaves it: {limits(ebb)}")
        again(ebb)
        check(limits(ebb) == (200, 0, ["footprint", "retained"]), f"so does a restart: {limits(ebb)}")
        limit(ebb, "reports default")
        check(limits(ebb) == (300, 60, []), f"the file again, as it is now: {limits(ebb)}")
        check(ebb.audit(ev="limit")[-1]["text"] == "default", f"said: {ebb.audit(ev='limit')}")
        again(ebb)
        check(limits(ebb) == (300, 60, []) and limits(ebb, "thumbs") == (7, 0, []), "for good")


        limit(ebb, "nobody footprint=1G")
        ebb.configure({name: pools[name] for name in ("reports", "thumbs")})
        ebb.command("reload")
        wait_for(lambda: len(ebb.status()["pools"]) == 2, PATIENCE, "the pool is gone")
        ebb.configure()
        ebb.command("reload")
        check(limits(ebb, "nobody") == (9, 0, []), f"a pool that comes back has the limits of the file: {ebb.status()}")
        limit(ebb, "thumbs footprint=1G")
        release = os.path.join(ebb.home, "release")
        order = ebb.order("thumbs", 0, ["until", release])
        ebb.wait_journal(PATIENCE, ev="start", order=order)
        for gone in ({name: pools[name] for name in ("reports", "nobody")}, None):
            ebb.configure(gone)
            ebb.command("reload")
        check(limits(ebb, "thumbs") == (7, 0, []), f"also when it was only about to go: {ebb.status()}")
        write(release, "")
        ebb.done(order)
        for line in ("limit reports", "limit reports default footprint=1M", "limit reports footprint=10%",
                     "limit reports footprint=0", "limit nosuch footprint=1M"):
            check(ebb.command(line)["ev"] == "refused", f"{line} is no command")
        check(not ebb.audit(ev="retire", reason="roll"), "no worker is replaced for that")


def judged_by():
    with Ebb({"reports": {"footprint_limit": "1G"}}) as ebb:
        ebb.ready()
        ebb.done(ebb.order("reports", 0, ["keep", 60]))
        ebb.holds("reports", 0, 60)
        check(not ebb.audit(ev="retire"), "under the limit of the file")
        limit(ebb, "reports footprint=50M")
        retire = ebb.wait_audit(PATIENCE, ev="retire", reason="footprint")
        check(retire["limit_bytes"] == 50 * MIB, f"over the one in force: {retire}")
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)


def rss_mib(pid):
    line = next(line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) // 1024


def order_of(ebb, pool, slot=0, generation=1):
    with open(os.path.join(ebb.run_dir, f"lease/{pool}.{slot}.{generation}"), "rb") as file:
        return file.read(1).decode()


def trim(ebb, words):
    answer = ebb.command(f"trim {words}")
    check(answer["ev"] == "done", f"{words}: {answer}")


def memory_goes_back():
    """What was freed before goes at the next job, which is done all the same."""
    with Ebb({"python": {}, "c": {}}, watch=False, start=False) as ebb:
        jobs = os.path.join(ebb.home, "jobs")
        os.mkdir(jobs)
        ebb.pools["c"]["command"] = f"{BUILD}/lib/hoarder {jobs}"
        ebb.configure()
        ebb.start()
        ebb.ready()
        pids = {r["pool"]: r["pid"] for r in ebb.audit(ev="ready")}

        def job_in_c(name):
            write(os.path.join(jobs, name), "")
            wait_for(lambda: not os.listdir(jobs), PATIENCE, f"{name} is done")
        ebb.done(ebb.order("python", 0, ["litter", 64]))
        job_in_c("hoard")
        before = {pool: rss_mib(pid) for pool, pid in pids.items()}
        check(min(before.values()) >= 64, f"what was freed is still theirs: {before}")
        ebb.done(ebb.order("python", 0, ["work", 0]))
        job_in_c("nothing")
        check(min(rss_mib(pid) for pid in pids.values()) >= 64, "and stays so by itself")
        for pool in pids:
            trim(ebb, f"{pool}/0 gen=1")
        ebb.done(ebb.order("python", 0, ["work", 0]))
        job_in_c("nothing")
        after = {pool: rss_mib(pid) for pool, pid in pids.items()}
        print(f"RssAnon in MiB before {before}, after {after}")
        check(all(after[pool] < before[pool] - 50 for pool in pids), f"given back: {before} {after}")
        check(not ebb.audit(ev="exited") and not ebb.signals(), "nobody had to go for it")


def stands_for_a_while():
    """T, then R; an X is not written over, and takes its place."""
    with Ebb({"a": {"trim_wait": "400ms"}, "b": {"trim_wait": "1h"}, "c": {"worker": ["--lease", "never"],
                                                                       "ready_timeout": "100ms"}}, watch=False) as ebb:
        ebb.wait_audit(PATIENCE, ev="warning", reason="unleased", pool="c")
        for pool in "ab":
            ebb.wait_audit(PATIENCE, ev="ready", pool=pool)
        release = os.path.join(ebb.home, "release")
        busy = ebb.order("a", 0, ["until", release])
        ebb.wait_journal(PATIENCE, ev="start", order=busy)
        trim(ebb, "a/0")
        record = ebb.audit(ev="trim")[-1]
        check((record["pool"], record["slot"], record["generation"]) == ("a", 0, 1), f"said: {record}")
        check(order_of(ebb, "a") in "TR", "in the middle of a job too")
        wait_for(lambda: order_of(ebb, "a") == "R", PATIENCE, "its time is over")
        trim(ebb, "b/0 by=watch")
        check(order_of(ebb, "b") == "T", "its time is not")
        check(ebb.audit(ev="trim")[-1]["by"] == "watch", f"who: {ebb.audit(ev='trim')}")
        again(ebb)
        check(order_of(ebb, "b") == "R", "but the one of its ebbd")
        trim(ebb, "b/0")
        other = ebb.order("b", 0, ["until", release])
        ebb.wait_journal(PATIENCE, ev="start", order=other)
        ebb.send("retire b/0")
        ebb.wait_audit(PATIENCE, ev="due", pool="b")
        check(order_of(ebb, "b") == "X", "who is wanted out is told so")
        for line, reason in (("trim b/0", "leaving"), ("trim c/0", "unleased"), ("trim a/0 gen=7", "other-generation"),
                             ("trim a/3", "no-such-slot"), ("trim a", "bad-slot"), ("trim nosuch/0", "no-such-pool")):
            answer = ebb.command(line)
            check((answer["ev"], answer["reason"]) == ("refused", reason), f"{line}: {answer}")
        check(order_of(ebb, "b") == "X" and order_of(ebb, "c") == "R", "refused is not done")
        ebb.send("scale a 0")
        ebb.wait_audit(PATIENCE, ev="due", pool="a")
        ebb.send("scale a 1")
        ebb.wait_audit(PATIENCE, ev="resume", pool="a")
        check(order_of(ebb, "a") == "R", "kept, it works on")
        trim(ebb, "a/0")
        write(release, "")
        ebb.done(busy)
        ebb.done(other)
        ebb.wait_audit(PATIENCE, ev="ready", pool="b", generation=2)
        check(order_of(ebb, "b", generation=2) == "R", "its successor is another one")
        ebb.command("drain a")
        check(ebb.command("trim a/0")["reason"] == "no-worker", "nobody there")
        check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")
        ebb.terminate()




main(in_force_until_taken_back, judged_by, memory_goes_back, stands_for_a_while)
