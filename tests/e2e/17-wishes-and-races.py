#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Wishes that cancel each other, and moments that nobody would choose: is each slot one worker all the same, each
request answered, each worker left alone whose wish was taken back, and ebbd at rest afterwards?

Actors: ebbd, mostly without the watch; an operator who takes pools out of the file and brings them back, scales,
drains and resumes while workers are in a job; Python workers that write down every signal; a stray, double-forked
process of another pool that outlives its job and ignores what it is told; a hundred shell workers, and an ebbd that is
killed while it starts them.
"""
# once: mostly without the watch
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import json  # noqa: E402
import struct  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, leftovers, main, seconds, stays, wait_for  # noqa: E402
from machine import read, write  # noqa: E402

# Of the board, by offset: struct seqfile_head's head_bytes; struct board_ebbd's wake_ups behind that head.
HEAD_BYTES, WAKE_UPS = 12, 32
# Pressure on the machine is not this test's question.
CALM = {"pressure_some": "100%", "pressure_full": "100%"}


def environ_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return dict(entry.split("=", 1) for entry in file.read().decode().split("\0") if "=" in entry)
    except OSError:
        return {}


def leaders(ebb):
    """Pool and slot of each worker that runs; what it has forked does not lead a session."""
    places = []
    for pid in leftovers(ebb.run_dir):
        try:
            if os.getsid(pid) == pid and (environ := environ_of(pid)):
                places.append((environ["EBB_POOL"], int(environ["EBB_SLOT"])))
        except ProcessLookupError:
            pass
    return sorted(places)


def no_slot_twice(ebb):
    places = leaders(ebb)
    return len(places) == len(set(places))


def answer(ebb, name):
    """`done`, or why it was refused; None: not answered yet."""
    records = [r for r in ebb.audit(id=name) if r["ev"] in ("done", "refused")]
    check(len(records) <= 1, f"one answer each: {records}")
    return records and (records[0].get("reason") or records[0]["ev"]) or None


def answers(ebb, *names):
    wait_for(lambda: all(answer(ebb, name) for name in names), PATIENCE, f"{names} are answered")
    return [answer(ebb, name) for name in names]


def out_and_back(stray):
    pools = {"reports": {"grace": "1s"}, "thumbs": {"grace": "1s"}}
    with Ebb(pools, watch=False) as ebb:
        ebb.ready()
        if stray:
            ebb.done(ebb.order("thumbs", 0, ["daemon", 1]))
        first = ebb.begin("reports", 0)
        ebb.configure({"thumbs": pools["thumbs"]})
        check(ebb.command("reload")["ev"] == "done", "out")
        ebb.wait_audit(PATIENCE, ev="due", pool="reports", reason="reload")
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "and back")
        ebb.wait_audit(PATIENCE, ev="resume", pool="reports", slot=0)
        # The second one would outlive the grace of a retirement that is still under way.
        second = ebb.order("reports", 0, ["work", 1.3])
        ebb.finish()
        wait_for(lambda: ebb.journal(ev="end", order=second) or not no_slot_twice(ebb), PATIENCE, "both jobs end")
        check(no_slot_twice(ebb), f"no slot is two workers: {leaders(ebb)}")
        check([ebb.done(order)["pid"] for order in (first["order"], second)] == [first["pid"]] * 2, "one worker does both")
        check(not ebb.signals() and not ebb.audit(ev="signalled"), f"nobody is told to go: {ebb.signals()}")
        check(leaders(ebb) == [("reports", 0), ("thumbs", 0)], f"as the file says: {leaders(ebb)}")
        check(not ebb.audit(generation=2), "nobody is replaced")


def pool_out_and_back():
    out_and_back(stray=False)


def pool_out_and_back_beside_a_stray():
    out_and_back(stray=True)


def pool_back_while_its_worker_goes():
    """Too late to keep it: it is replaced, once."""
    script = "trap '' TERM; exec 9<>$EBB_LEASE; flock 9; flock -u 9; while :; do sleep 0.1; done"
    pools = {"stubborn": {"command": f'/bin/sh -c "{script}"', "grace": "5s"}, "thumbs": {}}
    with Ebb(pools, watch=False) as ebb:
        ebb.ready()
        ebb.configure({"thumbs": pools["thumbs"]})
        ebb.command("reload")
        ebb.wait_audit(PATIENCE, ev="signalled", pool="stubborn", signal=15)
        ebb.configure()
        ebb.command("reload")
        wait_for(lambda: ebb.audit(ev="ready", pool="stubborn", generation=2) or not no_slot_twice(ebb), PATIENCE,
                 "it is replaced")
        check(no_slot_twice(ebb), f"no slot is two workers: {leaders(ebb)}")
        ready, exited = (ebb.audit(pool="stubborn", ev=ev) for ev in ("refill", "exited"))
        check(seconds(exited[0]) <= seconds(ready[1]), "only when the first has gone")
        check(leaders(ebb) == [("stubborn", 0), ("thumbs", 0)], f"as the file says: {leaders(ebb)}")


def wake_ups(ebb):
    with open(os.path.join(ebb.run_dir, "board"), "rb") as file:
        board = file.read(4096)
    head_bytes, = struct.unpack_from("=I", board, HEAD_BYTES)
    return struct.unpack_from("=Q", board, head_bytes + WAKE_UPS)[0]


def request_of_a_pool_that_goes():
    pools = {"reports": {}, "thumbs": {}}
    with Ebb(pools, CALM) as ebb:
        ebb.ready()
        order = ebb.begin("thumbs", 0)["order"]
        ebb.configure({"reports": pools["reports"]})
        ebb.send(b"retire thumbs id=request\nreload id=reload\n")  # glued: the watch has no time to choose
        check(answers(ebb, "request", "reload") == ["no-worker", "done"], f"answered: {ebb.audit(id='request')}")
        ebb.finish()
        end = ebb.done(order)
        gone = ebb.wait_audit(PATIENCE, ev="exited", pool="thumbs")
        check(seconds(gone) >= end["t"], "its job was finished")
        wait_for(lambda: [pool["name"] for pool in ebb.status()["pools"]] == ["reports"], PATIENCE, "the pool is gone")
        before = wake_ups(ebb)
        check(before > 0, "ebbd counts its turns")
        stays(lambda: wake_ups(ebb) - before < 100, 1.5, "ebbd rests, with nothing to do")
        check(ebb.command("resume all")["ev"] == "done", "and listens")
        check(wake_ups(ebb) > before, "turns are counted where the test looks")


def children_of(pid):
    """State of each child."""
    states = {}
    for name in os.listdir("/proc"):
        try:
            fields = read(f"/proc/{name}/stat").rpartition(")")[2].split() if name.isdigit() else []
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields and int(fields[1]) == pid:
            states[int(name)] = fields[0]
    return states


def orphans_behind_a_stray():
    with Ebb({"reports": {}}, start=False, watch=False) as ebb:
        script, stray, mark = (os.path.join(ebb.home, name) for name in ("worker.sh", "stray", "mark"))
        write(script, f"""exec 9<>"$EBB_LEASE"; flock 9; flock -u 9
setsid sh -c 'sleep 300 9>&- & echo $! > {stray}.new; mv {stray}.new {stray}'
for i in $(seq 1 100); do sh -c 'sleep 0.05 9>&- & exit 0'; done
touch {mark}
exec sleep 300
""")
        ebb.pools = {"reports": {"command": f"/bin/sh {script}"}}
        ebb.configure()
        ebb.start()
        wait_for(lambda: os.path.exists(mark), PATIENCE, "the worker has left its orphans")
        known = {int(read(stray)), ebb.wait_audit(PATIENCE, ev="ready")["pid"]}
        check(known <= set(children_of(ebb.process.pid)), "the stray is ebbd's, and stays")
        wait_for(lambda: set(children_of(ebb.process.pid)) == known, PATIENCE, "those behind it are reaped")


def refused_by_private(ebb):
    why = json.loads(ebb.ebb("why", "reports/0", "--json"))
    wanted = any(rule["rule"] == "footprint" and rule["fires"] for rule in why["rules"])
    return wanted and any(guard["guard"] == "private" and guard["fires"] for guard in why["guards"])


def footprint_that_is_shared():
    with Ebb({"reports": {"footprint_limit": "150M", "grace": "1s"}}, CALM) as ebb:
        ebb.ready()
        daemons = [["daemon", 1]] * 3  # each has what was kept before it, by copy-on-write
        ebb.done(ebb.order("reports", 0, ["keep", 60], *daemons))
        ebb.holds("reports", 0, 180)
        wait_for(lambda: refused_by_private(ebb), PATIENCE, "it is known how little of it is its own")
        stays(lambda: not ebb.audit(ev="retire"), 2.2, "left alone while idle")
        busy = ebb.order("reports", 0, ["work", 2.6])
        ebb.done(busy)
        for _ in range(3):
            ebb.done(ebb.order("reports", 0, ["work", 0.3]))
        stays(lambda: not ebb.audit(ev="retire"), 1, "and while busy, and after")
        check(ebb.holds("reports", 0, 180)["generation"] == 1, "though its footprint is over the limit")
        ebb.order("reports", 0, ["keep", 160])
        retire = ebb.wait_audit(PATIENCE, ev="retire")
        check(retire["reason"] == "footprint", f"memory of its own is another matter: {retire}")
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)


def settles(ebb, *places):
    wait_for(lambda: leaders(ebb) == sorted(places), PATIENCE, f"workers are {str(sorted(places))[:200]}")
    stays(lambda: leaders(ebb) == sorted(places), 0.4, f"workers are {str(sorted(places))[:200]}")


def wishes_that_cancel_each_other():
    with Ebb({"a": {"size": 2}, "b": {}}, watch=False) as ebb:
        ebb.ready()
        first, second, b = ("a", 0), ("a", 1), ("b", 0)

        ebb.begin("b", 0, until="b")
        ebb.send("drain all id=drain-all")
        ebb.wait_audit(PATIENCE, ev="due", pool="b")
        ebb.send("resume a id=resume-a")
        check(answers(ebb, "drain-all", "resume-a") == ["superseded", "done"], "one pool comes back")
        ebb.finish("b")
        settles(ebb, first, second)
        ebb.send("resume all id=resume-all")
        check(answers(ebb, "resume-all") == ["done"], "all come back")
        settles(ebb, first, second, b)

        order = ebb.begin("a", 1, until="z")["order"]
        for line in ("drain a id=z1", "scale a 1 id=z2", "resume a id=z3"):
            ebb.send(line)
        ebb.wait_audit(PATIENCE, ev="accepted", id="z3")
        ebb.finish("z")
        check(answers(ebb, "z1", "z2", "z3") == ["superseded", "done", "done"], "drained, smaller, back")
        check(ebb.journal(ev="end", order=order), "size is what it is only when the busy one has gone")
        settles(ebb, first, b)
        check(ebb.pool("a")["size"] == 1, "as scaled")

        check(ebb.command("scale a 2")["ev"] == "done", "larger again")
        ebb.begin("a", 1, until="q")
        for line in ("scale a 1 id=q1", "drain a id=q2", "scale a 2 id=q3"):
            ebb.send(line)
        ebb.wait_audit(PATIENCE, ev="accepted", id="q3")
        ebb.finish("q")
        check(answers(ebb, "q1", "q2", "q3") == ["done", "done", "done"], "a drained pool can be scaled")
        settles(ebb, b)
        check(ebb.command("resume a")["ev"] == "done", "and is back")
        settles(ebb, first, second, b)

        pid = ebb.begin("a", 1, until="k")["pid"]
        for line in ("scale a 0 id=k1", "scale a 2 id=k2", "drain a id=k3", "refill a id=k4"):
            ebb.send(line)
        ebb.wait_audit(PATIENCE, ev="accepted", id="k4")
        ebb.finish("k")
        check(answers(ebb, "k1", "k2", "k3", "k4") == ["done", "done", "superseded", "done"], "all taken back")
        settles(ebb, first, second, b)
        again = ebb.done(ebb.order("a", 1, ["work", 0.1]))
        check(again["pid"] == pid, "the busy one was kept")

        ebb.begin("a", 0, until="r")
        ebb.send("retire a/0 refill=no id=r1")
        ebb.send("refill a/0 id=r2")
        ebb.wait_audit(PATIENCE, ev="accepted", id="r2")
        ebb.finish("r")
        check(answers(ebb, "r1", "r2") == ["done", "done"], "a retirement stays, its empty slot does not")
        settles(ebb, first, second, b)
        check(ebb.pool("a")["size"] == 2, "at its size")
        check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")


def retirement_in_a_pool_drained_later():
    with Ebb({"a": {}}, watch=False) as ebb:
        ebb.ready()
        ebb.begin("a", 0)
        ebb.configure({"a": {"command": "/bin/false"}})
        ebb.command("reload")
        ebb.send("retire a/0 id=retire")
        ebb.wait_audit(PATIENCE, ev="accepted", id="retire")
        ebb.finish()
        ebb.wait_audit(PATIENCE, ev="backoff")
        check(answer(ebb, "retire") is None, "no successor is up")
        ebb.send("drain a id=drain")
        check(answers(ebb, "retire", "drain") == ["done", "done"], "none is wanted any more")
        ebb.configure()
        ebb.command("reload")
        check(ebb.command("resume a")["ev"] == "done", "back")
        settles(ebb, ("a", 0))


def two_requests():
    with Ebb({"reports": {"size": 4}}, CALM) as ebb:
        ebb.ready()
        jobs = [ebb.begin("reports", slot)["order"] for slot in range(4)]
        wait_for(lambda: all(w["state"] == "busy" for w in ebb.pool("reports")["workers"]), PATIENCE, "all are busy")
        ebb.send("retire reports id=r1")
        ebb.wait_audit(PATIENCE, ev="retire", reason="request")
        ebb.send("retire reports id=r2")  # the watch's choice for the first may still be on its way to the board
        wait_for(lambda: len(ebb.audit(ev="retire")) == 2, PATIENCE, "a second is chosen")
        ebb.send(b"retire reports id=r3\nretire reports id=r4\n")
        chosen = wait_for(lambda: len(r := ebb.audit(ev="retire")) == 4 and r, PATIENCE, "and the last two")
        check({r.get("by") for r in chosen} == {"watch"}, f"by the watch: {chosen}")
        check(sorted(r["slot"] for r in chosen) == [0, 1, 2, 3], f"each another one: {chosen}")
        ebb.finish()
        check(answers(ebb, "r1", "r2", "r3", "r4") == ["done"] * 4, "and answered")
        check(not ebb.audit(ev="refused"), f"nothing too much: {ebb.audit(ev='refused')}")
        check(all(ebb.journal(ev="end", order=job) for job in jobs), "all jobs were finished")
        check(len(ebb.audit(ev="retire")) == 4, "and no more")


def killed_while_it_starts_them():
    size = 100
    script = "exec 9<>$EBB_LEASE; while :; do flock 9; flock -u 9; sleep 2 9>&-; done"
    with Ebb({"many": {"size": size, "command": f"/bin/sh -c '{script}'"}}, start=False, watch=False) as ebb:
        ebb.start(serve=False)
        some = wait_for(lambda: len(n := leaders(ebb)) >= 10 and n, PATIENCE, "some are started")
        ebb.process.kill()
        ebb.process.wait()
        print(f"{len(leaders(ebb))} of {size} were started ({len(some)} seen)")
        ebb.start()
        wait_for(lambda: len(leaders(ebb)) >= size, PATIENCE, "all are there")
        settles(ebb, *(("many", slot) for slot in range(size)))
        check(len(ebb.audit(ev="takeover")) >= len(some), "those that were started are taken over")


main(pool_out_and_back, pool_out_and_back_beside_a_stray, pool_back_while_its_worker_goes,
     request_of_a_pool_that_goes, orphans_behind_a_stray, footprint_that_is_shared, wishes_that_cancel_each_other,
     retirement_in_a_pool_drained_later, two_requests, killed_while_it_starts_them)
