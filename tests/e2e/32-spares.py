#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Workers in reserve: does one that has come to its lease take the place of whoever goes, without anything having to start,
do never more than `size` work, and does the pool come back to its spares after everything that can happen, with no job
touched?

Actors: ebbd without the watch; pool reports with spares, Python workers that write down when they come up, when they are let
in, and every signal; an operator who retires, drains, scales and reloads; an ebbd that is killed, and one that ends at
each of its fault points that matter here.
"""
# once: the watch has no part in it
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import signal  # noqa: E402

from crew import begin, fewest_up, finish, no_signal_in_a_job, pids, settles, workers  # noqa: E402
from ebbtest import BUILD, PATIENCE, Ebb, check, main, running, wait_for  # noqa: E402
from machine import write  # noqa: E402

FAULTY = os.path.join(BUILD, "faulty/ebbd")
POINTS = ["spared", "spared:3", "gate-known:2", "gate-open:2", "gate-known:3", "gate-open:3", "fenced", "told", "reaped",
          "lease-gone", "numbered:4", "started:4", "spared:4", "stopping"]


def states(ebb):
    return {slot: w["state"] for slot, w in workers(ebb).items()}


def one_takes_over():
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        pool = ebb.pool("reports")
        check((pool["size"], pool["ready"], pool["spares"]) == (2, 2, 1), f"shown as what it is: {pool}")
        check(" 1 " in ebb.ebb("status") and "spare" in ebb.ebb("status"), "to people, too")
        (spare, pid), = pids(ebb, "spare").items()
        check(not ebb.journal(ev="ready", pid=pid), "it has not come through")
        check(ebb.audit(ev="spare", slot=spare), f"the audit tells of it: {ebb.audit()}")
        check(ebb.command("retire reports/0" if spare else "retire reports/1")["ev"] == "done", "one goes")
        settles(ebb, 2, 1)
        events = [(r["ev"], r.get("slot"), r.get("generation")) for r in ebb.audit()]
        gone = 0 if spare else 1
        check(("ready", spare, 1) in events and events.index(("ready", spare, 1)) < events.index(("refill", gone, 2)),
              f"the spare is let in before anybody is started: {events}")
        check(ebb.wait_journal(PATIENCE, ev="ready", pid=pid), "it works now")
        check(states(ebb)[gone] == "spare", f"and the new one waits: {states(ebb)}")
        check(ebb.done(ebb.order("reports", spare, ["work", 0]))["pid"] == pid, "the same process")


def burst():
    """As many at a time as there are spares, again and again."""
    with Ebb({"reports": {"size": 3, "spares": 2}}, watch=False) as ebb:
        settles(ebb, 3, 2)
        for _ in range(6):
            serving = [slot for slot, state in states(ebb).items() if state != "spare"]
            before = len(ebb.audit(ev="exited"))
            ebb.send("".join(f"retire reports/{slot}\n" for slot in serving[:2]).encode())
            wait_for(lambda n=before: len(ebb.audit(ev="exited")) == n + 2, PATIENCE, "two have gone")
            settles(ebb, 3, 2)
        check(len(ebb.signals()) == 12, f"each was told once: {len(ebb.signals())}")
        check(fewest_up(ebb, 3) >= 3, "at no moment were fewer than three up, and not told to go")
        check(len(ebb.audit(ev="backoff")) == 0, "and none was taken for one that had died young")


def never_more_than_size():
    """A due worker is still at its job: the spare waits as long."""
    with Ebb({"reports": {"size": 2, "spares": 2}}, watch=False) as ebb:
        settles(ebb, 2, 2)
        serving = list(pids(ebb, "ready"))
        jobs = [begin(ebb, slot, f"finish-{slot}") for slot in serving]
        for slot in serving:
            ebb.send(f"retire reports/{slot}")
            ebb.wait_audit(PATIENCE, ev="due", slot=slot)
        later = [ebb.order("reports", None, ["work", 0]) for _ in range(2)]
        check(ebb.command("note watch text=seen")["ev"] == "done", "ebbd has had its turn")
        check(list(states(ebb).values()).count("spare") == 2, f"both still wait: {states(ebb)}")
        waiting = set(pids(ebb, "spare").values())
        finish(ebb, f"finish-{serving[0]}")
        first = ebb.done(later[0])
        check(first["pid"] in waiting, "who had waited takes the next job")
        check(ebb.done(jobs[0][0])["t"] <= first["t"], "and not before the other's was done")
        finish(ebb, f"finish-{serving[1]}")
        for order in (jobs[1][0], later[1]):
            ebb.done(order)
        settles(ebb, 2, 2)
        no_signal_in_a_job(ebb)


def what_operators_ask_for():
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        (spare, pid), = pids(ebb, "spare").items()
        check(ebb.command(f"retire reports/{spare}")["ev"] == "done", "a spare is idle by construction")
        check(ebb.audit(ev="fenced", slot=spare, pid=pid) and not ebb.audit(ev="due"), "so it goes at once")
        settles(ebb, 2, 1)
        os.kill(pids(ebb, "spare")[spare], signal.SIGKILL)
        ebb.wait_audit(PATIENCE, ev="refill", slot=spare, generation=3)
        settles(ebb, 2, 1)
        refills = len(ebb.audit(ev="refill"))
        before = pids(ebb, "spare")
        check(ebb.command("scale reports 3")["ev"] == "done", "larger")
        settles(ebb, 3, 1)
        check(ebb.audit(ev="ready", pid=before[spare]), "the spare was let in")
        check(len(ebb.audit(ev="refill")) == refills + 1, "and one was started, to wait")
        kept = pids(ebb, "spare")
        check(ebb.command("scale reports 1")["ev"] == "done", "smaller")
        settles(ebb, 1, 1)
        check(pids(ebb, "spare") == kept, "the spare is the same")
        for line, ready, spares in (("drain reports", 0, 0), ("resume reports", 1, 1), ("scale reports 0", 0, 1),
                                    ("scale reports 2", 2, 1), ("hold reports", 2, 1), ("resume reports", 2, 1)):
            check(ebb.command(line)["ev"] == "done", line)
            settles(ebb, ready, spares)
        serving = min(pids(ebb, "ready"))
        check(ebb.command(f"retire reports/{serving} refill=no")["ev"] == "done", "one place is to stay empty")
        settles(ebb, 2, 0)
        check(ebb.command("scale reports 3")["ev"] == "done", "larger again")
        settles(ebb, 3, 0)
        check(serving not in pids(ebb), f"that place is left alone: {states(ebb)}")
        check(ebb.command("refill reports")["ev"] == "done", "until somebody says otherwise")
        settles(ebb, 3, 1)
        check(serving in pids(ebb), f"{states(ebb)}")
        ebb.command("scale reports 1")
        check(ebb.command("refill reports")["ev"] == "done", "what was scaled away comes back as far as the file has it")
        settles(ebb, 2, 1)


def smaller_while_all_are_busy():
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        serving = sorted(pids(ebb, "ready"))
        spare = pids(ebb, "spare")
        jobs = [begin(ebb, slot) for slot in serving]
        ebb.send("scale reports 1 id=smaller")
        ebb.wait_audit(PATIENCE, ev="due", slot=serving[1], reason="scale")
        ebb.send("scale reports 2")
        ebb.wait_audit(PATIENCE, ev="resume", slot=serving[1])
        check(ebb.command("retire reports/%d gen=7" % serving[0])["reason"] == "other-generation", "nothing else was asked")
        ebb.send("scale reports 1")
        wait_for(lambda: len(ebb.audit(ev="due")) == 2, PATIENCE, "due again")
        finish(ebb)
        for order, pid in jobs:
            check(ebb.done(order)["pid"] == pid, "each finishes its job")
        settles(ebb, 1, 1)
        check(pids(ebb, "spare") == spare and not ebb.audit(ev="refill", generation=2), "the spare stays, none is started")
        no_signal_in_a_job(ebb)


def reloads():
    with Ebb({"reports": {"size": 1, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 1, 1)
        if 0 in (served := pids(ebb, "ready")):  # the highest number shall serve
            os.kill(served[0], signal.SIGKILL)
            wait_for(lambda: 1 in pids(ebb, "ready"), PATIENCE, "the spare takes over")
            settles(ebb, 1, 1)
        served = pids(ebb, "ready")
        for spares in (3, 1, 0, 2):
            ebb.pools["reports"]["spares"] = spares
            ebb.configure()
            check(ebb.command("reload")["ev"] == "done", "taken")
            settles(ebb, 1, spares)
            check(pids(ebb, "ready") == served, "who serves is not touched")
        ebb.pools["reports"]["environment"] = "V=2"
        ebb.configure()
        ebb.command("reload")
        wait_for(lambda: len([e for e in ebb.journal(ev="up") if e["environ"].get("V")]) == 3, PATIENCE, "all are replaced")
        settles(ebb, 1, 2)
        check(ebb.pool("reports")["stale"] == 0, "spares too")
        check(fewest_up(ebb, 2) >= 1, "and one was up at all times")


def late_ones():
    """Slower than ready_timeout: they count as serving, until it is known who they are."""
    with Ebb({"reports": {"size": 1, "spares": 1, "ready_timeout": "500ms", "worker": ["--lease", "late", "--late", "4"]}},
             watch=False) as ebb:
        wait_for(lambda: list(states(ebb).values()) == ["unleased"] * 2, PATIENCE, "both are late")
        settles(ebb, 1, 1)
        check(not ebb.signals() and not ebb.audit(ev="retire"), f"and nobody is asked out: {ebb.audit()}")


def kill(ebb):
    ebb.process.kill()
    ebb.process.wait()


def fewer_after_a_restart():
    """A place that is wanted empty is closed, rather than that of somebody who serves."""
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        (spare, _), = pids(ebb, "spare").items()
        check(ebb.command(f"retire reports/{spare} refill=no")["ev"] == "done", "its place stays empty")
        served = pids(ebb, "ready")
        kill(ebb)
        ebb.pools["reports"]["spares"] = 0
        ebb.configure()
        ebb.start()
        settles(ebb, 2, 0)
        check(pids(ebb, "ready") == served, f"who served serves: {ebb.pool('reports')}")
        check(not ebb.audit(ev="retire", reason="scale"), "and nobody was asked out")


def smaller_beside_one_that_is_left_alone():
    """Another size closes the highest numbers, also where somebody works who never takes its lease."""
    with Ebb({"reports": {"size": 3, "spares": 1, "ready_timeout": "4s"}}, watch=False, start=False) as ebb:
        script = os.path.join(ebb.home, "lib/job.sh")
        write(script, f"[ $EBB_SLOT = 0 ] && exec {ebb.worker('--lease', 'never')}\nexec {ebb.worker()}\n")
        ebb.pools["reports"]["command"] = f"/bin/sh {script}"
        ebb.configure()
        ebb.start()
        wait_for(lambda: sorted(states(ebb).values()) == ["ready"] * 3 + ["unleased"], PATIENCE, "all are there, and at work")
        check(ebb.command("scale reports 2")["ev"] == "done", "answered")
        check(states(ebb)[0] == "unleased", f"not by him: {states(ebb)}")
        check([w["slot"] for w in ebb.audit(ev="exited")] == [3], f"but by who had the highest number: {states(ebb)}")
        ebb.terminate()


def killed():
    """The locks of the spares die with it: they work, until the next ebbd has come back to size between two jobs."""
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        (spare, pid), = pids(ebb, "spare").items()
        busy, other = begin(ebb, min(pids(ebb, "ready")), "first")
        kill(ebb)
        order = ebb.order("reports", spare, ["until", os.path.join(ebb.spool, "second")])
        check(ebb.wait_journal(PATIENCE, ev="start", order=order)["pid"] == pid, "the spare works")
        ebb.start()
        settles_idle = ebb.wait_audit(PATIENCE, ev="retire", reason="scale")
        check(settles_idle["slot"] not in (spare, min(s for s, p in pids(ebb).items() if p == other)),
              f"the idle one is asked out: {settles_idle}")
        settles(ebb, 2, 1)
        check(all(running(p) for p in (pid, other)), "who is in a job goes on")
        finish(ebb, "first")
        finish(ebb, "second")
        check((ebb.done(busy)["pid"], ebb.done(order)["pid"]) == (other, pid), "to its end")
        check(len(ebb.audit(ev="retire")) == 1, f"and that is all: {ebb.audit(ev='retire')}")
        no_signal_in_a_job(ebb)


def killed_while_all_are_busy():
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        jobs = [begin(ebb, slot, f"finish-{slot}") for slot in pids(ebb, "ready")]
        (spare, _), = pids(ebb, "spare").items()
        kill(ebb)
        jobs.append(begin(ebb, spare, f"finish-{spare}"))
        ebb.start()
        due = ebb.wait_audit(PATIENCE, ev="due", reason="scale")
        check(len(ebb.audit(ev="takeover")) == 3 and due["slot"] == 2, f"the highest number is too many: {due}")
        check(ebb.command("note watch text=seen")["ev"] == "done" and not ebb.audit(ev="resume"), "and stays so")
        os.kill(jobs[0][1], signal.SIGKILL)
        ebb.wait_audit(PATIENCE, ev="resume", slot=2)  # now it is needed
        finish(ebb, "finish-2")
        for order, pid in jobs[1:]:
            finish(ebb, f"finish-{[e for e in ebb.journal(ev='start', order=order)][0]['slot']}")
            check(ebb.done(order)["pid"] == pid, "the others finish")
        settles(ebb, 2, 1)
        check(not ebb.signals(), f"and nobody was told to go: {ebb.signals()}")


def board_lost():
    """Who is a spare, nobody knows any more; and each of them may have fetched a job: none is kept waiting with it."""
    with Ebb({"reports": {"size": 2, "spares": 1}}, watch=False) as ebb:
        settles(ebb, 2, 1)
        before = pids(ebb)
        kill(ebb)
        write(os.path.join(ebb.run_dir, "board"), "damaged")
        ebb.start()
        jobs = [ebb.order("reports", None, ["until", os.path.join(ebb.spool, "finish")]) for _ in before]
        ebb.wait_audit(PATIENCE, ev="retire", reason="scale")  # one is too many: whether or not it has begun
        finish(ebb)
        for order in jobs:
            ebb.done(order)
        settles(ebb, 2, 1)
        check(len(set(before.values()) & set(pids(ebb).values())) == 2, "and nobody else goes")
        no_signal_in_a_job(ebb)


def ends_at(point):
    with Ebb({"reports": {"size": 2, "spares": 1, "grace": "1s"}}, watch=False, start=False) as ebb:
        ebb.program, ebb.environ["EBB_FAULT"] = FAULTY, point
        ebb.start(serve=False)

        def ended():
            return ebb.process.poll() is not None
        wait_for(lambda: ended() or (ebb.audit(ev="start") and ebb.pool("reports")["spares"] == 1), PATIENCE, "up, or ended")
        job = None
        if not ended():
            serving = sorted(pids(ebb, "ready"))
            job = begin(ebb, serving[1])
            for line in (f"retire reports/{serving[0]} id=one", "stop"):
                try:
                    ebb.send(line)
                except OSError:
                    break
                wait_for(lambda: ended() or [r for r in ebb.audit(id="one") if r["ev"] == "done"], PATIENCE, "answered")
        wait_for(ended, PATIENCE, f"it ends at {point}")
        ebb.program = os.path.join(BUILD, "ebbd")
        ebb.start()
        if job:
            check(running(job[1]), "who is in a job goes on")
            finish(ebb)
            check(ebb.done(job[0])["pid"] == job[1], "to its end")
        for slot in range(3):
            ebb.order("reports", slot, ["work", 0])  # who has come to its lease unseen is known when it comes again
        settles(ebb, 2, 1)
        no_signal_in_a_job(ebb)


def ends_at_each_point():
    for point in POINTS:
        print(point, flush=True)
        ends_at(point)


main(one_takes_over, burst, never_more_than_size, what_operators_ask_for, smaller_while_all_are_busy, reloads, late_ones,
     fewer_after_a_restart, smaller_beside_one_that_is_left_alone, killed, killed_while_all_are_busy, board_lost, ends_at_each_point)
