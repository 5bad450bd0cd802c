#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The configuration is read again: does just what has changed change, between jobs, one worker after the other, with no
worker touched that need not be, however the reload falls together with drains, holds, other reloads and restarts?

Actors: ebbd without the watch; `reload` through the FIFO and by SIGHUP; pools of Python workers that write down their
environment and every signal, in jobs that last until the test ends them; a command that cannot be started; 64 pools that
are renamed at once.
"""
# once: the watch has no part in it
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import signal  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, leftovers, main, read, seconds, stays, wait_for  # noqa: E402
from machine import write  # noqa: E402


# No headroom: a worker goes before its successor comes, into the same slot. 34-roll.py has the others.
AFTER = {"reserve": "100%"}


def begin(ebb, pool, slot, name="finish"):
    """A job that has begun, and goes on until finish(): its order, and the worker's pid."""
    order = ebb.order(pool, slot, ["until", os.path.join(ebb.spool, name)])
    return order, ebb.wait_journal(PATIENCE, ev="start", order=order)["pid"]


def finish(ebb, name="finish"):
    write(os.path.join(ebb.spool, name), "")


def reload(ebb, pools=None, host=None):
    ebb.configure(pools, host)
    answer = ebb.command("reload")
    check(answer["ev"] == "done", f"taken: {answer}")


def pids(ebb, pool):
    return [worker["pid"] for worker in ebb.pool(pool)["workers"]]


def rolled(ebb, pool, *slots, generation=2):
    for slot in slots:
        ebb.wait_audit(PATIENCE, ev="ready", pool=pool, slot=slot, generation=generation)


def one_at_a_time(ebb, pool, size):
    """At no moment was more than one of the pool's slots without a worker that is up."""
    up, full = set(), False
    for record in ebb.audit(pool=pool):
        if record["ev"] == "ready":
            up.add(record["slot"])
            full |= len(up) == size
        elif record["ev"] in ("fenced", "exited"):
            up.discard(record["slot"])
        check(not full or len(up) >= size - 1, f"one short at most: {record}")


def untouched(ebb, pool):
    check(not ebb.audit(pool=pool, generation=2) and not ebb.signals(pool=pool), f"{pool} is left alone")
    check(not ebb.audit(ev="retire", pool=pool), f"nobody of {pool} is asked out: {ebb.audit(ev='retire')}")


def no_signal_in_a_job(ebb):
    check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")


def only_what_changed():
    """One pool for each thing that can change."""
    pools = {name: {} for name in ("env", "dir", "cmd", "limits", "same", "quotes", "more", "less")}
    pools["quotes"]["environment"] = "A=1 B=2"
    pools["less"]["size"] = 2
    root = os.geteuid() == 0
    if root:
        pools["user"] = {}
    with Ebb(pools, AFTER, watch=False) as ebb:
        ebb.ready()
        before = {pool: pids(ebb, pool) for pool in pools}
        pools["env"]["environment"] = "NEW=1"
        pools["dir"]["directory"] = "/usr"
        pools["cmd"]["worker"] = ["--pattern", "lock-fetch"]
        pools["limits"].update(footprint_limit="1G", contribution_limit="30%", min_lifetime="1m", grace="700ms", min_ready=1,
                               ready_timeout="9s", retire_signal="INT", recycle_exit_codes="0 3", strikes=2)
        pools["quotes"]["environment"] = "'A=1'   \"B=2\""
        pools["more"]["size"], pools["less"]["size"] = 2, 1
        if root:
            pools["user"]["user"] = "nobody"
        reload(ebb, host={"memory_budget": "1T", "pressure_some": "50%", "control_group": "nogroup"})
        check("control_group stays as it is" in read(ebb.log), "what takes a start is said")
        changed = ("env", "dir", "cmd") + (("user",) if root else ())
        for pool in changed:
            rolled(ebb, pool, 0)
            check(ebb.audit(ev="retire", pool=pool)[0]["reason"] == "roll", f"{pool}: why: {ebb.audit(ev='retire')}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="more", slot=1)
        ebb.wait_audit(PATIENCE, ev="exited", pool="less", slot=1)
        up = {pool: ebb.journal(ev="up", pool=pool)[-1] for pool in changed}
        check(up["env"]["environ"].get("NEW") == "1" and up["dir"]["cwd"] == "/usr", f"as the file says: {up}")
        check(not root or up["user"]["uid"] == 65534, f"as another user: {up}")
        for pool in ("limits", "same", "quotes"):
            untouched(ebb, pool)
        for pool in ("limits", "same", "quotes", "more", "less"):
            check(ebb.slot(pool, 0)["pid"] == before[pool][0], f"{pool}: the same worker")
        status = ebb.pool("limits")
        check(status["footprint_limit_bytes"] == 1 << 30, f"the limit is in force: {status}")
        ebb.command("retire limits/0")
        check([s["signal"] for s in ebb.signals(pool="limits")] == ["SIGINT"], f"so is the signal: {ebb.signals()}")


def between_jobs_one_at_a_time():
    """Two of four are in jobs of their own length: the idle ones go first, and the long job holds nobody up."""
    with Ebb({"reports": {"size": 4, "environment": "V=1"}}, AFTER, watch=False) as ebb:
        ebb.ready()
        (first, a), (second, b) = begin(ebb, "reports", 0, "first"), begin(ebb, "reports", 1, "second")
        ebb.pools["reports"]["environment"] = "V=2"
        ebb.configure()
        ebb.process.send_signal(signal.SIGHUP)
        rolled(ebb, "reports", 2, 3)
        for slot in (0, 1):
            due = ebb.wait_audit(PATIENCE, ev="due", slot=slot)
            check(due["reason"] == "roll", f"the busy ones are due: {due}")
        wait_for(lambda: [w["due"] for w in ebb.pool("reports")["workers"]] == ["roll", "roll", None, None], PATIENCE, "shown")
        check(ebb.pool("reports")["stale"] == 2, f"as of old: {ebb.pool('reports')}")
        finish(ebb, "second")
        rolled(ebb, "reports", 1)
        check(ebb.done(second)["pid"] == b and not ebb.journal(ev="end", order=first), "whoever is done first")
        finish(ebb, "first")
        rolled(ebb, "reports", 0)
        check(ebb.done(first)["pid"] == a, "each finished its job")
        for order, slot in ((first, 0), (second, 1)):
            gone = ebb.audit(ev="exited", slot=slot)[0]
            check(seconds(gone) >= ebb.done(order)["t"], f"and went then: {gone}")
        wait_for(lambda: ebb.pool("reports")["stale"] == 0, PATIENCE, "none is left")
        one_at_a_time(ebb, "reports", 4)
        check([e["environ"]["V"] for e in ebb.journal(ev="up")] == ["1"] * 4 + ["2"] * 4, "each once")
        check([r["slot"] for r in ebb.audit(ev="retire")] == [2, 3, 0, 1], f"idle ones first: {ebb.audit(ev='retire')}")
        no_signal_in_a_job(ebb)


def all_are_always_busy():
    """Jobs of 20 ms, one after the other: all would be due at once, and gone at once."""
    with Ebb({"reports": {"size": 4, "environment": "V=1"}}, AFTER, watch=False) as ebb:
        ebb.ready()
        orders = [ebb.order("reports", slot, ["turns", 100_000, 0.02, "short"], lease=False) for slot in range(4)]
        for order in orders:
            ebb.wait_journal(PATIENCE, ev="start", order=order)
        ebb.pools["reports"]["environment"] = "V=2"
        reload(ebb)
        rolled(ebb, "reports", 0, 1, 2, 3)
        asked, ready = ebb.audit(ev="retire"), ebb.audit(ev="ready", generation=2)
        for one, other in zip(asked, asked[1:]):
            up = next(r for r in ready if r["slot"] == one["slot"])
            waited = seconds(other) - seconds(one)
            check(up["t"] <= other["t"] or waited >= 0.99, f"its successor comes first: {one} {up} {other}")
        no_signal_in_a_job(ebb)


def helper_that_goes_on():
    """The process of a slot has ended, and a child of it works on: it keeps the others waiting no more than a job does."""
    with Ebb({"reports": {"size": 2, "environment": "V=1"}}, AFTER, watch=False) as ebb:
        ebb.ready()
        order = ebb.order("reports", 0, ["helper", 1, 4], ["leave", 0])
        ebb.wait_journal(PATIENCE, ev="helper", order=order)
        ebb.wait_audit(PATIENCE, ev="exited", slot=0)
        ebb.pools["reports"]["environment"] = "V=2"
        reload(ebb)
        retire = ebb.wait_audit(PATIENCE, ev="retire", slot=1, reason="roll")
        helped = ebb.wait_journal(PATIENCE, ev="helped", order=order)
        check(seconds(retire) < helped["t"], f"meanwhile: {retire} {helped}")
        rolled(ebb, "reports", 0, 1)
        no_signal_in_a_job(ebb)


def without_their_lease():
    """Of such workers nothing is known: they are asked, one after the other, and never signalled."""
    pool = {"size": 2, "worker": ["--lease", "never"], "ready_timeout": "1s"}
    with Ebb({"reports": pool}, AFTER, watch=False) as ebb:
        wait_for(lambda: all(w["state"] == "unleased" for w in ebb.pool("reports")["workers"]), PATIENCE, "unleased")
        pool["environment"] = "V=2"
        reload(ebb)
        for slot in (0, 1):
            ebb.wait_audit(PATIENCE, ev="due", slot=slot, reason="roll")
        for slot in (0, 1):
            ebb.order("reports", slot, ["leave", 0])
            ebb.wait_audit(PATIENCE, ev="refill", slot=slot, generation=2)
        wait_for(lambda: all(w["state"] == "unleased" for w in ebb.pool("reports")["workers"]), PATIENCE, "as before")
        check(ebb.pool("reports")["stale"] == 0 and not ebb.audit(ev="signalled"), f"no signal: {ebb.signals()}")
        check(len(ebb.audit(ev="warning", reason="unleased")) == 2, "and that is said of the new command, too")
        ebb.terminate()


def command_that_cannot_be_started():
    """It costs one worker; the others stay until the file is right, or what it was."""
    with Ebb({"reports": {"size": 3}}, AFTER, watch=False) as ebb:
        ebb.ready()
        before = pids(ebb, "reports")
        right = dict(ebb.pools["reports"])
        reload(ebb, {"reports": {**right, "command": "/no/such/program"}})
        record = ebb.wait_audit(PATIENCE, ev="backoff")
        check("No such file" in record["text"], f"said: {record}")
        wait_for(lambda: len(ebb.audit(ev="backoff")) == 3, PATIENCE, "it is tried again, and has to wait for 4 s now")
        check(len(ebb.audit(ev="retire")) == 1, f"only one was asked out: {ebb.audit(ev='retire')}")
        reload(ebb)
        rolled(ebb, "reports", record["slot"], generation=5)
        refill = ebb.audit(ev="refill", generation=5)[0]
        check(seconds(refill) - seconds(ebb.audit(ev="backoff")[-1]) < 3.9, f"the pause ends with its cause: {refill}")
        stays(lambda: len(ebb.audit(ev="retire")) == 1, 0.3, "the others are right again")
        after = pids(ebb, "reports")
        check(sum(old == new for old, new in zip(before, after)) == 2, f"the same two: {before} {after}")


def taken_back_and_changed_again():
    """Reloads while the roll of the last one is under way: what counts is the last."""
    with Ebb({"reports": {"size": 2, "environment": "V=1"}, "other": {}}, AFTER, watch=False) as ebb:
        ebb.ready()
        order, pid = begin(ebb, "reports", 0)
        reload(ebb, {**ebb.pools, "reports": {"size": 2, "environment": "V=2"}})
        ebb.wait_audit(PATIENCE, ev="due", slot=0, reason="roll")
        rolled(ebb, "reports", 1)
        reload(ebb, {**ebb.pools, "reports": {"size": 2, "environment": "V=3"}})
        rolled(ebb, "reports", 1, generation=3)
        reload(ebb)
        ebb.wait_audit(PATIENCE, ev="resume", slot=0)
        rolled(ebb, "reports", 1, generation=4)
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "the job is finished")
        check(ebb.done(ebb.order("reports", 0, ["work", 0]))["pid"] == pid, "it is as the file says again, and stays")
        check([e["environ"]["V"] for e in ebb.journal(ev="up", pool="reports")] == ["1", "1", "2", "3", "1"], "as told")
        check(not ebb.signals(slot=0), f"nobody touched it: {ebb.signals()}")
        untouched(ebb, "other")


def held_drained_scaled():
    with Ebb({"held": {"size": 2}, "drained": {}, "scaled": {}}, AFTER, watch=False) as ebb:
        ebb.ready()
        for line in ("hold held", "drain drained", "scale scaled 3"):
            check(ebb.command(line)["ev"] == "done", line)
        for pool in ebb.pools.values():
            pool["environment"] = "V=2"
        reload(ebb)
        rolled(ebb, "scaled", 0, 1, 2)
        check(ebb.pool("scaled")["size"] == 3, "a size that an operator set stays: the file says what it said")
        one_at_a_time(ebb, "scaled", 3)
        check(not ebb.audit(ev="retire", pool="held") and ebb.pool("held")["stale"] == 2, "a held pool is left alone")
        check(not leftovers_of(ebb, "drained"), "a drained one stays empty")
        for pool in ("held", "drained"):
            check(ebb.command(f"resume {pool}")["ev"] == "done", "back")
        rolled(ebb, "held", 0, 1)
        rolled(ebb, "drained", 0)
        check(ebb.journal(ev="up", pool="drained")[-1]["environ"]["V"] == "2", "and comes back as the file says")
        one_at_a_time(ebb, "held", 2)
        check(not ebb.audit(generation=3), "each worker once")


def leftovers_of(ebb, pool):
    found = []
    for pid in leftovers(ebb.run_dir):
        with open(f"/proc/{pid}/environ", "rb") as file:
            found += [pid] if f"EBB_POOL={pool}".encode() in file.read().split(b"\0") else []
    return found


def renamed():
    """One is removed, and one added: the idle ones go, the busy one finishes, and is never more than its own pool's size."""
    with Ebb({"before": {"size": 3}}, AFTER, watch=False) as ebb:
        ebb.ready()
        order, pid = begin(ebb, "before", 1)
        ebb.pools = {"after": {"size": 3}}
        reload(ebb)
        for slot in (0, 2):
            ebb.wait_audit(PATIENCE, ev="exited", pool="before", slot=slot)
        rolled(ebb, "after", 0, 1, 2, generation=1)
        check(leftovers_of(ebb, "before") == [pid] and len(leftovers_of(ebb, "after")) == 3, "as many as there should be")
        names = [pool["name"] for pool in ebb.status()["pools"]]
        check(names == ["before", "after"], f"shown while it has a worker: {names}")
        check(ebb.command("scale before 5")["reason"] == "no-such-pool", "but it takes no commands")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "its job is finished")
        wait_for(lambda: [p["name"] for p in ebb.status()["pools"]] == ["after"], PATIENCE, "and it is gone")
        check(not ebb.audit(ev="refill", generation=2), "nobody was replaced")
        no_signal_in_a_job(ebb)


def all_pools_renamed():
    """As many as there can be: the new ones find their places when the old ones have gone."""
    def named(word):
        return {f"{word}{n}": {"size": int(n in (0, 30, 63))} for n in range(64)}

    with Ebb(named("old"), AFTER, watch=False) as ebb:
        ebb.ready()
        order, pid = begin(ebb, "old30", 0)
        ebb.process.kill()
        ebb.process.wait()
        ebb.start()  # whose child it is not: its end is one event
        ebb.pools = named("new")
        reload(ebb)
        wait_for(lambda: len([p for p in ebb.status()["pools"] if p["name"].startswith("new")]) == 63, PATIENCE,
                 "all but one have a place")
        check("no place" in read(ebb.log), f"and that is said: {read(ebb.log)}")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "the one that was in the way finishes its job")
        wait_for(lambda: {p["name"] for p in ebb.status()["pools"]} == set(ebb.pools), PATIENCE, "all have a place")
        ebb.ready()
        no_signal_in_a_job(ebb)


def bad_one_is_refused_whole():
    """Whatever is good in it, before or behind the mistake."""
    with Ebb({"reports": {"size": 2, "environment": "V=1"}, "gone": {}}, AFTER, watch=False) as ebb:
        ebb.ready()
        before = ebb.status()["pools"]
        text = ebb.text({"reports": {"size": 3, "environment": "V=2"}, "new": {}}, {"memory_budget": "1G"})
        lines = text.splitlines()
        for at in (len(lines), lines.index("[pool:new]") + 1, 1):
            write(ebb.config, "\n".join(lines[:at] + ["min_life = 3s"] + lines[at:]) + "\n")
            done = ebb.run_ebb("send", "--wait", "reload")
            check(done.returncode == 1 and "bad-configuration" in done.stderr, f"refused: {done}")
            where = f"{ebb.config}:{at + 1}: min_life"
            check(where in ebb.audit(ev="warning")[-1]["text"], f"file and line: {ebb.audit(ev='warning')}")
            check(f"reload: {where}" in read(ebb.log), f"in the log: {read(ebb.log)}")
        ebb.process.send_signal(signal.SIGHUP)
        ebb.wait_audit(PATIENCE, ev="refused", by="signal", reason="bad-configuration")
        os.unlink(ebb.config)
        check(ebb.command("reload")["reason"] == "bad-configuration", "no file at all")
        now = ebb.status()["pools"]
        check([(p["name"], p["size"], p["stale"]) for p in now] == [(p["name"], p["size"], 0) for p in before], f"{now}")
        check([[w["pid"] for w in p["workers"]] for p in now] == [[w["pid"] for w in p["workers"]] for p in before],
              "nobody is touched")
        check(ebb.status()["host"]["memory_budget_bytes"] is None, "nor a limit")
        untouched(ebb, "reports")
        untouched(ebb, "gone")


def over_a_restart():
    """ebbd is told to go in the middle of a roll, and the next one finds yet another file."""
    with Ebb({"reports": {"size": 3, "environment": "V=1"}, "other": {}}, AFTER, watch=False) as ebb:
        ebb.ready()
        order, pid = begin(ebb, "reports", 0)
        same = begin(ebb, "other", 0)[1]
        ebb.pools["reports"]["environment"] = "V=2"
        reload(ebb)
        ebb.wait_audit(PATIENCE, ev="due", slot=0, reason="roll")
        for _ in range(2):
            ebb.process.send_signal(signal.SIGTERM)
            ebb.wait_audit(PATIENCE, ev="stop")
        wait_for(lambda: ebb.process.poll() is not None, PATIENCE, "ebbd ends")
        ebb.pools["reports"].update(environment="V=3", size=2)
        ebb.configure()
        ebb.start()
        due = wait_for(lambda: len(r := ebb.audit(ev="due", pool="reports", slot=0)) > 1 and r, PATIENCE, "due again")
        check(due[-1]["reason"] == "roll" and due[-1]["pid"] == pid, f"for the same reason: {due}")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "its job is finished")
        rolled(ebb, "reports", 0)
        wait_for(lambda: ebb.pool("reports")["stale"] == 0 and ebb.pool("reports")["ready"] == 2, PATIENCE, "done")
        now = {e["pid"]: e["environ"]["V"] for e in ebb.journal(ev="up", pool="reports")}
        check([now[worker] for worker in pids(ebb, "reports")] == ["3", "3"], f"as the file says: {now}")
        check(ebb.slot("other", 0)["pid"] == same, "the other pool's worker is the same")
        no_signal_in_a_job(ebb)


main(only_what_changed, between_jobs_one_at_a_time, all_are_always_busy, helper_that_goes_on,
     without_their_lease, command_that_cannot_be_started, taken_back_and_changed_again,
     held_drained_scaled, renamed, all_pools_renamed, bad_one_is_refused_whole, over_a_restart)
