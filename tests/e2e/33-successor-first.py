#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""`retire … refill=first`: does the old worker stay until its successor is ready, so that there are never fewer, nor ever more
at work than `size`; and if the successor does not come, or ebbd ends at any moment, is nobody lost and nobody doubled?

Actors: ebbd, mostly without the watch; pool reports of Python workers that write down when they come up, when they are let in
and every signal; an operator; a command that cannot be started, and one that comes late; an ebbd that ends at each of its fault
points that matter here.
"""
# once: the watch has no part in it
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

from crew import answer, answered, begin, finish, never_fewer_nor_more, no_signal_in_a_job, settles, workers  # noqa: E402
from ebbtest import BUILD, PATIENCE, Ebb, check, main, running, seconds, wait_for  # noqa: E402
from machine import write  # noqa: E402

FAULTY = os.path.join(BUILD, "faulty/ebbd")
# Passes behind the start of two workers.
POINTS = ["wished", "accepted", "numbered:3", "lease-made:3", "child-cloned:3", "spawned:3", "started:3",
          "spared:3", "ordered", "fenced", "told", "gate-known:3", "gate-open:3", "leader-gone", "reaped", "lease-gone",
          "answered"]
MEMORY = "by=watch reason=footprint footprint=9 limit=1"


def one_by_one():
    with Ebb({"reports": {"size": 2}}, watch=False) as ebb:
        settles(ebb, 2)
        for n in range(6):
            slot = min(workers(ebb))
            ebb.send(f"retire reports/{slot} refill=first id=r{n}")
            check(answered(ebb, f"r{n}") == ("done", None), "answered")
            check(slot not in workers(ebb) or workers(ebb)[slot]["generation"] > 1, "it has gone")
            check(ebb.pool("reports")["ready"] == 2, "and its successor serves")
        settles(ebb, 2)
        never_fewer_nor_more(ebb, 2)
        numbers = {r["slot"] for r in ebb.audit(ev="refill")}
        check(numbers == {0, 1, 2}, f"one place more is enough, again and again: {numbers}")
        check(len(ebb.audit(ev="retire")) == 6 and len(ebb.audit(ev="exited")) == 6, "each once")
        shown = {w["slot"] for w in ebb.pool("reports")["workers"]}
        check(len(shown) == 2, f"and the free one is not shown: {shown}")


def several_at_once_and_unnamed():
    with Ebb({"reports": {"size": 3}}, watch=False) as ebb:
        settles(ebb, 3)
        ebb.send(b"retire reports/0 refill=first id=a\nretire reports/1 refill=first id=b\nretire reports/2 refill=first id=c\n"
                 b"retire reports refill=first id=d\n")
        check([answered(ebb, name)[0] for name in "abc"] == ["done"] * 3, "each is answered")
        check(answered(ebb, "d")[0] in ("done", "refused"), "also one that finds nobody who is not going already")
        settles(ebb, 3)
        ebb.send("retire reports refill=first id=e")
        check(answered(ebb, "e") == ("done", None), "whoever it is")
        settles(ebb, 3)
        never_fewer_nor_more(ebb, 3)


def with_the_watch():
    """It chooses, and asks for no order of its own; what was asked for counts."""
    with Ebb({"reports": {"size": 2}}) as ebb:
        ebb.ready()
        ebb.send("retire reports refill=first id=one")
        check(answered(ebb, "one") == ("done", None), "answered")
        check(ebb.audit(ev="retire")[0]["by"] == "watch", f"{ebb.audit(ev='retire')}")
        settles(ebb, 2)
        never_fewer_nor_more(ebb, 2)


def nobody_asks_twice():
    """While its successor is on its way, it comes over a limit: that is no reason to go before."""
    slow = {"footprint_limit": "60M", "worker": ["--lease", "late", "--late", "5"]}
    with Ebb({"reports": slow}) as ebb:
        ebb.ready()
        ebb.send("retire reports/0 refill=first id=one")
        ebb.done(ebb.order("reports", 0, ["keep", 100]))
        ebb.holds("reports", 0, 100)
        check(answered(ebb, "one") == ("done", None), "answered")
        check([r.get("by") for r in ebb.audit(ev="retire", slot=0)] == [None], f"asked out once: {ebb.audit(ev='retire')}")
        settles(ebb, 1)
        never_fewer_nor_more(ebb, 1)


def busy():
    """The successor waits until the job ends."""
    with Ebb({"reports": {"size": 1}}, watch=False) as ebb:
        settles(ebb, 1)
        order, pid = begin(ebb, 0)
        ebb.send("retire reports/0 refill=first id=one")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        spare = ebb.wait_audit(PATIENCE, ev="spare", slot=1)
        up = ebb.journal(ev="up", slot=1)
        check(up and up[0]["t"] <= seconds(ebb.audit(ev="due", slot=0)[0]), f"its successor is there first: {up} {spare}")
        second = ebb.order("reports", None, ["work", 0])
        wait_for(lambda: [ebb.pool("reports")[of] for of in ("due", "spares", "ready")] == [1, 1, 0], PATIENCE,
                 "and is shown waiting")
        check(ebb.command("retire reports/1")["ev"] == "done", "should it go")
        wait_for(lambda: ebb.pool("reports")["spares"] == 1, PATIENCE, "there is another one")
        check(answer(ebb, "one") is None and not ebb.journal(order=second), "nobody else works meanwhile")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "the job is finished")
        check(ebb.done(second)["t"] >= ebb.done(order)["t"], "then comes the next one")
        check(answered(ebb, "one") == ("done", None), "answered")
        settles(ebb, 1)
        never_fewer_nor_more(ebb, 1)
        check(not ebb.audit(ev="refill", slot=0, generation=2), "and nobody was started in vain")


def slow_to_leave():
    """What the last one has left behind is still there: the next successor has another place."""
    with Ebb({"reports": {"size": 2, "grace": "10s"}}, watch=False) as ebb:
        settles(ebb, 2)
        ebb.done(ebb.order("reports", 0, ["daemon", 1]))
        ebb.send("retire reports/0 refill=first id=one")
        ebb.wait_audit(PATIENCE, ev="exited", slot=0)
        ebb.send("retire reports/1 refill=first id=two")
        check(answered(ebb, "two") == ("done", None), "answered")
        check(sorted(workers(ebb)) == [0, 2, 3] and answer(ebb, "one") is None, f"meanwhile: {workers(ebb)}")
        check(answered(ebb, "one") == ("done", None), "and then the first")
        settles(ebb, 2)
        never_fewer_nor_more(ebb, 2)


def killed():
    """Before its successor is there, and when that waits for the end of a job: the mark says what to go on with."""
    slow = {"size": 2, "worker": ["--lease", "late", "--late", "1"]}
    with Ebb({"reports": slow}, watch=False) as ebb:
        settles(ebb, 2)
        ebb.send("retire reports/0 refill=first id=one")
        ebb.wait_audit(PATIENCE, ev="refill", slot=2)
        ebb.process.kill()
        ebb.process.wait()
        ebb.start()
        ebb.done(ebb.order("reports", 2, ["work", 0]))  # it came while nobody looked, or not: now it is known
        check(answered(ebb, "one") == ("done", None), "answered")
        settles(ebb, 2)
        check(ebb.audit(ev="ready", slot=2)[0]["t"] <= ebb.audit(ev="fenced", slot=0)[0]["t"], "the successor was first")
        order, pid = begin(ebb, 1)
        ebb.send("retire reports/1 refill=first id=two")
        ebb.wait_audit(PATIENCE, ev="due", slot=1)
        ebb.process.kill()
        ebb.process.wait()
        ebb.start()
        ebb.order("reports", 0, ["work", 0])  # likewise
        wait_for(lambda: len(ebb.audit(ev="due", slot=1)) == 2, PATIENCE, "due again")
        check(ebb.audit(ev="due", slot=1)[1]["reason"] == "request", "for the same reason")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "its job is finished")
        check(answered(ebb, "two") == ("done", None), "answered")
        settles(ebb, 2)
        check(len(ebb.audit(ev="refill")) == 4 and len(ebb.audit(ev="exited")) == 2, "nobody else came or went")
        no_signal_in_a_job(ebb)


def beside_a_helper():
    """Somebody has died, and its helper goes on with the job: that place cannot be filled, and is no reason to wait."""
    with Ebb({"reports": {"size": 2}}, watch=False) as ebb:
        settles(ebb, 2)
        order = ebb.order("reports", 0, ["helper_until", os.path.join(ebb.spool, "finish")], ["leave", 0])
        ebb.wait_journal(PATIENCE, ev="helper", order=order)
        ebb.wait_audit(PATIENCE, ev="exited", slot=0)
        check(ebb.command("retire reports/1 refill=first")["ev"] == "done", "answered")
        check(ebb.audit(ev="exited", slot=1) and not ebb.journal(ev="helped"), "meanwhile")
        up = ebb.journal(ev="up", slot=2)[0]
        check(up["t"] <= ebb.signals(slot=1)[0]["t"], f"its successor was up first: {up}")
        finish(ebb)
        settles(ebb, 2)
        no_signal_in_a_job(ebb)


def with_spares():
    """Nothing has to be started: a spare is as good."""
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        slot = min(s for s, w in workers(ebb).items() if w["state"] != "spare")
        check(ebb.command(f"retire reports/{slot} refill=first")["ev"] == "done", "answered")
        settles(ebb, 2, 1)
        check({r["slot"] for r in ebb.audit(ev="refill")} == {0, 1, 2}, "no place was opened for it")
        never_fewer_nor_more(ebb, 2)


def what_else_happens_meanwhile():
    """Scaled, drained, killed, asked for otherwise while the successor is on its way: the pool is what it should be."""
    slow = {"size": 2, "worker": ["--lease", "late", "--late", "2"]}
    with Ebb({"reports": slow}, watch=False) as ebb:
        settles(ebb, 2)
        for line, ready, alone in (("scale reports 3", 3, True), ("scale reports 2", 2, True), ("retire reports/{s}", 2, True),
                                   ("retire reports/{s} refill=no", 1, True), ("refill reports", 2, False),
                                   ("drain reports", 0, True), ("resume reports", 2, False), ("reload", 2, True)):
            slot = min(workers(ebb), default=0)
            if alone:
                ebb.send(f"retire reports/{slot} refill=first id=first-{line.split()[0]}-{ready}")
                wait_for(lambda s=slot: workers(ebb).get(s, {}).get("due") == "request", PATIENCE, "it waits for its successor")
                status = ebb.ebb("status")
                check("successor first: request" in status, f"and that is shown: {status}")
                check("when its successor is ready" in ebb.ebb("why", f"reports/{slot}"), "and told")
            check(ebb.command(line.format(s=slot))["ev"] == "done", line)
            settles(ebb, ready)
        slot = min(workers(ebb))
        ebb.send(f"retire reports/{slot} refill=first id=killed")
        wait_for(lambda: workers(ebb)[slot]["due"], PATIENCE, "it waits")
        os.kill(workers(ebb)[slot]["pid"], 9)
        check(answered(ebb, "killed") == ("done", None), "gone by itself")
        settles(ebb, 2)
        check(all(answer(ebb, r["id"]) for r in ebb.audit(ev="accepted")), "all is answered")
        no_signal_in_a_job(ebb)


def refills_are_held():
    """Starting somebody is what must not be now: no reason to keep what holds too much."""
    with Ebb({"reports": {"size": 2}}, watch=False) as ebb:
        settles(ebb, 2)
        check(ebb.command("hold reports what=refill for=1m")["ev"] == "done", "held")
        check(ebb.command("retire reports/0 refill=first")["reason"] == "no-successor", "it stays")
        check(workers(ebb)[0]["generation"] == 1 and not ebb.audit(ev="exited"), "nobody is lost")
        ebb.send(f"retire reports/0 refill=first {MEMORY}")
        ebb.wait_audit(PATIENCE, ev="exited", slot=0)
        check(not ebb.audit(ev="refill", generation=2), "and nobody started")
        ebb.command("resume reports")
        settles(ebb, 2)


def start_good(ebb, how):
    """Its command is another one while there is a file `bad`."""
    script = os.path.join(ebb.home, "lib/job.sh")
    write(script, f"[ -e {ebb.home}/bad ] && {how}\nexec {ebb.worker()}\n")
    ebb.pools["reports"]["command"] = f"/bin/sh {script}"
    ebb.configure()
    ebb.start()


def hopeless(keys, how):
    """Workers of the first hour are as they should be; from then on they are not."""
    with Ebb({"reports": {"size": 2, "ready_timeout": "4s", **keys}}, watch=False, start=False) as ebb:
        start_good(ebb, how)
        settles(ebb, 2)
        pids = {w["pid"] for w in workers(ebb).values()}
        write(os.path.join(ebb.home, "bad"), "")
        check(ebb.command("retire reports/0 refill=first")["reason"] == "no-successor", f"{how}: told")
        check(pids <= {w["pid"] for w in workers(ebb).values()} and not ebb.signals(), "nobody is lost")
        ebb.send(f"retire reports/1 refill=first {MEMORY}")
        ebb.wait_audit(PATIENCE, ev="exited", slot=1, generation=1)
        texts = [r["text"] for r in ebb.audit(ev="warning", reason="no-successor")]
        check(len(texts) == 2 and "stays" in texts[0] and "goes first" in texts[1], f"for memory it goes: {texts}")
        os.unlink(os.path.join(ebb.home, "bad"))
        ebb.send("refill reports")
        wait_for(lambda: ebb.pool("reports")["ready"] >= 2, PATIENCE, "full again")
        check(pids & {w["pid"] for w in workers(ebb).values()} == {ebb.audit(ev="ready", slot=0)[0]["pid"]}, "one was lost")
        ebb.terminate()


def who_dies_young():
    hopeless({}, "exit 3")


def who_is_late():
    hopeless({}, "sleep 100")


def who_is_late_in_a_lower_place():
    """The successor has the place that an earlier one left free: it is still the one that goes."""
    with Ebb({"reports": {"size": 1, "ready_timeout": "4s"}}, watch=False, start=False) as ebb:
        start_good(ebb, "sleep 100")
        settles(ebb, 1)
        check(ebb.command("retire reports/0 refill=first")["ev"] == "done", "one that comes")
        settles(ebb, 1)
        pid = workers(ebb)[1]["pid"]
        signals = ebb.signals()
        write(os.path.join(ebb.home, "bad"), "")
        check(ebb.command("retire reports/1 refill=first")["reason"] == "no-successor", "one that is late")
        ebb.wait_audit(PATIENCE, ev="due", slot=0, reason="scale")
        check(workers(ebb)[1]["pid"] == pid and running(pid), "nobody is lost")
        check(ebb.signals() == signals and len(ebb.audit(ev="exited")) == 1, f"nor told to go: {ebb.signals()}")
        os.unlink(os.path.join(ebb.home, "bad"))
        check(ebb.command("retire reports/1 refill=first")["ev"] == "done", "one that comes again")
        wait_for(lambda: ebb.pool("reports")["ready"] == 1, PATIENCE, "and serves, whoever hangs beside it")
        ebb.terminate()


def without_lease():
    """Of those no successor is ever known to be ready."""
    with Ebb({"reports": {"ready_timeout": "1s", "worker": ["--lease", "never"]}}, watch=False) as ebb:
        wait_for(lambda: workers(ebb)[0]["state"] == "unleased", PATIENCE, "unleased")
        check(ebb.command("retire reports/0 refill=first")["reason"] == "unleased", "as ever")
        check(len(workers(ebb)) == 1, "and nobody was started")
        ebb.terminate()


def ends_at(point):
    with Ebb({"reports": {"size": 2, "grace": "1s"}}, watch=False, start=False) as ebb:
        ebb.program, ebb.environ["EBB_FAULT"] = FAULTY, point
        ebb.start(serve=False)

        def ended():
            return ebb.process.poll() is not None
        wait_for(lambda: ended() or len(ebb.audit(ev="ready")) == 2, PATIENCE, "up")
        check(not ended(), f"{point} comes later")
        job = begin(ebb, 1)
        ebb.send("retire reports/0 refill=first id=one")
        wait_for(ended, PATIENCE, f"it ends at {point}")
        ebb.program = os.path.join(BUILD, "ebbd")
        ebb.start()
        check(running(job[1]), "who is in a job goes on")
        finish(ebb)
        check(ebb.done(job[0])["pid"] == job[1], "to its end")
        for slot in range(3):
            ebb.order("reports", slot, ["work", 0])  # who has come to its lease unseen is known when it comes again
        if ebb.audit(ev="accepted", id="one"):
            check(answered(ebb, "one") == ("done", None), "what was accepted is done")
            check(ebb.audit(ev="exited", slot=0, generation=1), "it has gone")
        settles(ebb, 2)
        check(len({r["pid"] for r in ebb.audit(ev="refill")} | {r["pid"] for r in ebb.audit(ev="takeover")}) <= 4,
              f"nobody beyond one successor: {ebb.audit(ev='refill')}")
        check(workers(ebb).get(1, {}).get("pid") == job[1], "nobody else is replaced")
        no_signal_in_a_job(ebb)


def ends_at_each_point():
    for point in POINTS:
        print(point, flush=True)
        ends_at(point)


main(one_by_one, several_at_once_and_unnamed, with_the_watch, nobody_asks_twice, busy, slow_to_leave, killed,
     beside_a_helper, with_spares, what_else_happens_meanwhile, refills_are_held, who_dies_young, who_is_late, who_is_late_in_a_lower_place, without_lease, ends_at_each_point)
