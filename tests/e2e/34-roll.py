#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""`roll`, and a reload that rolls: is each worker replaced once, between jobs, so many at a time as was asked for, with its
successor first while there is memory for that; and is it answered when all are new, whatever comes between: holds, jobs
without end, a command that cannot be started, the end of ebbd at any moment?

Actors: ebbd without the watch; pool reports of Python workers that write down when they come up, when they are let in and
every signal; a script that goes bad and is mended; an ebbd that ends at each of its fault points that matter here.
"""
# once: the watch has no part in it
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

from crew import answer, answered, begin, finish, most_there, never_fewer_nor_more, no_signal_in_a_job, pids  # noqa: E402
from crew import settles, workers  # noqa: E402
from ebbtest import BUILD, PATIENCE, Ebb, check, main, running, wait_for  # noqa: E402
from machine import write  # noqa: E402

FAULTY = os.path.join(BUILD, "faulty/ebbd")
POINTS = ["wished", "accepted", "numbered:4", "child-alone:4", "started:4", "spared:4", "ordered:2", "fenced", "told:2",
          "gate-known:4", "gate-open:4", "leader-gone:2", "reaped:2", "lease-gone", "answered"]
NO_ROOM = {"reserve": "100%"}


def all_new(ebb, before):
    check(not set(before.values()) & set(pids(ebb).values()), f"nobody of before: {before} {pids(ebb)}")


def asked(ebb):
    return [(r["slot"], r["reason"]) for r in ebb.audit(ev="retire")]


def successor_first():
    with Ebb({"reports": {"refill": "auto", "size": 3}}, watch=False) as ebb:
        settles(ebb, 3)
        before = pids(ebb)
        ebb.send("roll reports id=one")
        check(answered(ebb, "one") == ("done", None), "answered")
        settles(ebb, 3)
        all_new(ebb, before)
        check(len(ebb.audit(ev="exited")) == 3 and len(ebb.audit(ev="refill")) == 6, "each once")
        check({reason for _, reason in asked(ebb)} == {"roll"}, f"{asked(ebb)}")
        check(most_there(ebb) == 4, f"one beyond the size at a time: {most_there(ebb)}")
        check({r["slot"] for r in ebb.audit(ev="refill")} == {0, 1, 2, 3}, "in one place more, again and again")
        check(ebb.pool("reports")["stale"] == 0, "none is left")
        never_fewer_nor_more(ebb, 3)
        done = ebb.run_ebb("send", "--wait", "roll", "reports", "batch=2")
        check(done.returncode == 0, f"once more, from the command line: {done}")
        check(len(ebb.audit(ev="exited")) == 6, "each once more")


def in_batches():
    with Ebb({"reports": {"refill": "auto", "size": 4}}, watch=False) as ebb:
        settles(ebb, 4)
        before = pids(ebb)
        check(ebb.command("roll reports batch=3")["ev"] == "done", "answered")
        settles(ebb, 4)
        all_new(ebb, before)
        check(most_there(ebb) == 7, f"three beyond the size: {most_there(ebb)}")
        check(len(ebb.audit(ev="exited")) == 4, "each once")
        never_fewer_nor_more(ebb, 4)
        check(ebb.command("roll reports")["ev"] == "done", "and by one again")
        first = ebb.audit(ev="retire")[4:6]
        ready = ebb.audit(ev="exited")[4]
        check(first[1]["t"] >= ready["t"], f"the second when the first has gone: {first} {ready}")


def without_headroom():
    with Ebb({"reports": {"refill": "auto", "size": 3}}, NO_ROOM, watch=False) as ebb:
        settles(ebb, 3)
        before = pids(ebb)
        check(ebb.command("roll reports")["ev"] == "done", "answered")
        settles(ebb, 3)
        all_new(ebb, before)
        check(most_there(ebb) == 3, f"never more than the size: {most_there(ebb)}")
        check(sorted(slot for slot, _ in asked(ebb)) == [0, 1, 2] and sorted(workers(ebb)) == [0, 1, 2], "in their places")
        for one, other in zip(ebb.audit(ev="retire"), ebb.audit(ev="retire")[1:]):
            ready = ebb.audit(ev="ready", slot=one["slot"], generation=2)[0]
            check(ready["t"] <= other["t"], f"the next when the last one's successor is up: {ready} {other}")


def reload_goes_the_same_way():
    with Ebb({"reports": {"refill": "auto", "size": 2, "environment": "V=1"}}, watch=False) as ebb:
        settles(ebb, 2)
        before = pids(ebb)
        for environment in ("V=2", "V=3"):
            ebb.pools["reports"]["environment"] = environment
            ebb.configure()
            check(ebb.command("reload")["ev"] == "done", "taken")
            wait_for(lambda e=environment: ebb.pool("reports")["stale"] == 0, PATIENCE, "rolled")
            settles(ebb, 2)
        all_new(ebb, before)
        check([e["environ"]["V"] for e in ebb.journal(ev="up")] == ["1", "1", "2", "2", "3", "3"], "each once")
        never_fewer_nor_more(ebb, 2)


def taken_back():
    """The file says again what it said, while a successor is on its way: nobody is replaced."""
    with Ebb({"reports": {"refill": "auto", "size": 2, "environment": "V=1", "worker": ["--lease", "late", "--late", "2"]}},
             watch=False) as ebb:
        settles(ebb, 2)
        before = pids(ebb)
        for environment in ("V=2", "V=1"):
            ebb.pools["reports"]["environment"] = environment
            ebb.configure()
            check(ebb.command("reload")["ev"] == "done", "taken")
        settles(ebb, 2)
        check(pids(ebb) == before and len(ebb.audit(ev="exited")) == 1, "only the successor went")


def taken_back_in_a_job():
    """And so when the successor is ready, and its worker only has to finish its job: whoever keeps the pool meanwhile."""
    for killed in (False, True):
        with Ebb({"reports": {"refill": "auto", "environment": "V=1"}}, watch=False) as ebb:
            settles(ebb, 1)
            before = pids(ebb)
            order, pid = begin(ebb, 0)
            ebb.pools["reports"]["environment"] = "V=2"
            ebb.configure()
            check(ebb.command("reload")["ev"] == "done", "taken")
            ebb.wait_audit(PATIENCE, ev="due", slot=0, reason="roll")
            ebb.pools["reports"]["environment"] = "V=1"
            ebb.configure()
            check(ebb.command("reload")["ev"] == "done", "and taken back")
            if killed:
                ebb.process.kill()
                ebb.process.wait()
                ebb.start()
            finish(ebb)
            check(ebb.done(order)["pid"] == pid, "it finishes its job")
            settles(ebb, 1)
            check(pids(ebb) == before and not ebb.audit(ev="fenced", slot=0), f"and goes on: {asked(ebb)}")
            check(len(ebb.audit(ev="exited")) == 1, "only the successor went")


def taken_back_but_asked_for():
    """Somebody asked for this worker meanwhile: it goes, though nobody would be replaced for the file's sake."""
    with Ebb({"reports": {"refill": "auto", "environment": "V=1"}}, watch=False) as ebb:
        settles(ebb, 1)
        order, pid = begin(ebb, 0)
        ebb.pools["reports"]["environment"] = "V=2"
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "taken")
        ebb.wait_audit(PATIENCE, ev="due", slot=0, reason="roll")
        ebb.send("retire reports/0 id=one")
        ebb.wait_audit(PATIENCE, ev="accepted", id="one")
        ebb.pools["reports"]["environment"] = "V=1"
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "and taken back")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid and answered(ebb, "one") == ("done", None), "it goes after its job")
        settles(ebb, 1)
        check(not running(pid), "for good")
        no_signal_in_a_job(ebb)


def jobs_without_end():
    """They keep nobody waiting, and one successor waits for all of them."""
    with Ebb({"reports": {"refill": "auto", "size": 4}}, watch=False) as ebb:
        settles(ebb, 4)
        before = pids(ebb)
        jobs = [begin(ebb, slot, f"finish-{slot}") for slot in (0, 1, 2)]
        ebb.send("roll reports id=one")
        for slot in (0, 1, 2):
            ebb.wait_audit(PATIENCE, ev="due", slot=slot, reason="roll")
        wait_for(lambda: not running(before[3]) and ebb.pool("reports")["spares"] == 1, PATIENCE, "the idle one is new")
        pool = ebb.pool("reports")
        check((pool["due"], pool["ready"], pool["spares"], pool["stale"]) == (3, 1, 1, 3), f"one waits: {pool}")
        check(most_there(ebb) == 5 and answer(ebb, "one") is None, "not three")
        for slot in (2, 0, 1):
            finish(ebb, f"finish-{slot}")
            wait_for(lambda s=slot: not running(before[s]), PATIENCE, "it goes when its job is done")
        check(answered(ebb, "one") == ("done", None), "answered")
        check([ebb.done(order)["pid"] for order, _ in jobs] == [pid for _, pid in jobs], "each finished its job")
        settles(ebb, 4)
        all_new(ebb, before)
        check(len(ebb.audit(ev="refill")) == 8, f"each once: {ebb.audit(ev='refill')}")
        no_signal_in_a_job(ebb)


def good_and_bad(ebb):
    """A command that fails while there is a file: how to break it, and how to mend it."""
    script, bad = os.path.join(ebb.home, "lib/job.sh"), os.path.join(ebb.home, "bad")
    write(script, f"[ -e {bad} ] && exit 3\nexec {ebb.worker()}\n")
    ebb.pools["reports"]["command"] = f"/bin/sh {script}"
    ebb.configure()
    return lambda: write(bad, ""), lambda: os.unlink(bad)


def command_that_fails():
    """It costs nobody his worker, and the roll goes on when it is mended."""
    with Ebb({"reports": {"refill": "auto", "size": 3}}, watch=False, start=False) as ebb:
        go_bad, mend = good_and_bad(ebb)
        ebb.start()
        settles(ebb, 3)
        before = pids(ebb)
        go_bad()
        ebb.send("roll reports batch=2 id=one")
        wait_for(lambda: len(ebb.audit(ev="backoff")) >= 3, PATIENCE, "it is tried again")
        check(all(running(pid) for pid in before.values()) and ebb.pool("reports")["ready"] == 3, "nobody is lost")
        check(answer(ebb, "one") is None, "nor is it answered")
        mend()
        check(ebb.command("refill reports")["ev"] == "done", "and end the pause")
        check(answered(ebb, "one") == ("done", None), "answered")
        settles(ebb, 3)
        all_new(ebb, before)
        ebb.pools["reports"]["command"] = "/no/such/program"
        before = pids(ebb)
        ebb.configure()
        ebb.command("reload")
        wait_for(lambda: len([r for r in ebb.audit(ev="backoff") if "No such file" in r["text"]]) == 2, PATIENCE, "nor so")
        check(before.items() <= pids(ebb).items(), "nobody is lost")


def others_ask_meanwhile():
    """What waits for a roll's successor can be asked for otherwise: whoever asks is heard, and then the roll goes on."""
    with Ebb({"reports": {"refill": "auto", "size": 1}}, watch=False, start=False) as ebb:
        go_bad, mend = good_and_bad(ebb)
        ebb.start()
        settles(ebb, 1)
        before = pids(ebb)
        go_bad()
        ebb.send("roll reports id=one")
        wait_for(lambda: ebb.audit(ev="backoff") and workers(ebb)[0]["due"] == "roll", PATIENCE, "its successor does not come")
        ebb.send("retire reports/0 refill=first id=two")
        check(answered(ebb, "two") == ("refused", "no-successor"), "nor another one's")
        wait_for(lambda: workers(ebb)[0]["due"] == "roll", PATIENCE, "the roll wants it still")
        check(pids(ebb) == before and running(before[0]), "it stays")
        ebb.send("retire reports/0 refill=first by=watch reason=footprint footprint=9 limit=1")
        ebb.wait_audit(PATIENCE, ev="exited", slot=0, reason="footprint")
        mend()
        ebb.command("refill reports")
        check(answered(ebb, "one") == ("done", None), "and the roll is done")
        settles(ebb, 1)
        all_new(ebb, before)


def of_those_who_took_no_lease():
    """The file says now that workers take one: their successors can wait for those who do not, and whose jobs go on."""
    with Ebb({"reports": {"refill": "auto", "size": 2, "idle": "signal", "environment": "V=1"}}, watch=False, start=False) as ebb:
        script = os.path.join(ebb.home, "lib/job.sh")
        old = f"/usr/bin/python3 -B {ebb.home}/lib/prefork.py {ebb.spool}"
        write(script, f"[ $V = 1 ] && exec {old}\nexec {ebb.worker()}\n")
        ebb.pools["reports"].update(command=f"/bin/sh {script}")
        ebb.configure()
        ebb.start()
        ebb.wait_journal(PATIENCE, ev="up", slot=0)
        order, _ = begin(ebb, 1)
        before = pids(ebb)
        ebb.pools["reports"].update(environment="V=2", idle="lease")
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "taken")
        ebb.wait_audit(PATIENCE, ev="due", slot=1, reason="roll")
        wait_for(lambda: [ebb.pool("reports")[of] for of in ("ready", "spares", "due")] == [1, 1, 1], PATIENCE,
                 "one is new, and one waits for the other")
        spare = pids(ebb, "spare")
        finish(ebb)
        ebb.done(order)
        settles(ebb, 2)
        all_new(ebb, before)
        check(spare.items() <= pids(ebb).items() and len(ebb.audit(ev="refill")) == 4, "nobody was started in vain")
        check(not ebb.journal(ev="lost"), "nor was a job lost")


def beside_one_that_is_left_alone():
    """One that never comes to its lease serves for itself: a spare that is ready replaces any of the others all the same."""
    with Ebb({"reports": {"refill": "auto", "size": 3, "ready_timeout": "4s"}}, watch=False, start=False) as ebb:
        script = os.path.join(ebb.home, "lib/job.sh")
        write(script, f"[ $EBB_SLOT = 0 ] && exec {ebb.worker('--lease', 'never')}\nexec {ebb.worker()}\n")
        ebb.pools["reports"]["command"] = f"/bin/sh {script}"
        ebb.configure()
        ebb.start()
        wait_for(lambda: len(ebb.audit(ev="ready")) == 2 and pids(ebb, "unleased"), PATIENCE, "up")
        before = pids(ebb)
        slot = max(before)
        check(ebb.command(f"retire reports/{slot} refill=first")["ev"] == "done", "by the one that is started for it")
        check(not running(before[slot]) and running(before[0]), "it has gone")
        wait_for(lambda: len(pids(ebb)) == 3, PATIENCE, "with nobody beside")
        others = [pid for slot, pid in pids(ebb).items() if slot]
        ebb.send("roll reports id=one")
        wait_for(lambda: not any(running(pid) for pid in others), PATIENCE, "each of the others is replaced")
        wait_for(lambda: ebb.pool("reports")["ready"] == 2, PATIENCE, f"and has a successor: {ebb.pool('reports')}")
        check(running(before[0]) and not ebb.signals(slot=0), "who proves nothing is left alone")
        no_signal_in_a_job(ebb)
        ebb.terminate()


def holds():
    with Ebb({"reports": {"refill": "auto", "size": 2}}, watch=False) as ebb:
        settles(ebb, 2)
        before = pids(ebb)
        check(ebb.command("hold reports")["ev"] == "done", "held")
        ebb.send("roll reports id=one")
        check(ebb.command("note watch text=seen")["ev"] == "done", "ebbd has had its turn")
        check(pids(ebb) == before and not ebb.audit(ev="retire") and answer(ebb, "one") is None, "it waits")
        check(ebb.pool("reports")["stale"] == 2, "and that is shown")
        order, _ = begin(ebb, 0)
        ebb.command("resume reports")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        check(ebb.command("hold reports")["ev"] == "done", "held in the middle of it")
        finish(ebb)
        ebb.done(order)
        wait_for(lambda: not running(before[0]), PATIENCE, "who was asked out goes")
        wait_for(lambda: ebb.pool("reports")["ready"] == 2 and len(pids(ebb)) == 2, PATIENCE, "and has a successor")
        before = pids(ebb)
        ebb.send("roll reports id=two")
        check(ebb.command("note watch text=seen")["ev"] == "done", "and nobody else")
        check(pids(ebb) == before, "the hold holds")
        ebb.command("resume reports")
        check([answered(ebb, name) for name in ("one", "two")] == [("done", None)] * 2, "both are answered")
        all_new(ebb, before)


def answers():
    with Ebb({"reports": {"refill": "auto", "size": 2}, "other": {}}, watch=False) as ebb:
        wait_for(lambda: len(pids(ebb)) == 2 and ebb.pool("reports")["ready"] == 2, PATIENCE, "up")
        check(ebb.command("roll nosuch")["reason"] == "no-such-pool", "of no pool")
        check(ebb.command("roll reports batch=0")["reason"] == "bad-value", "by none at a time")
        order, _ = begin(ebb, 0)
        ebb.send("roll reports id=one")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        wait_for(lambda: ebb.pool("reports")["spares"] == 1 and ebb.pool("reports")["stale"] == 1, PATIENCE, "one is left")
        ebb.send("roll reports id=two")
        wait_for(lambda: ebb.pool("reports")["stale"] == 1, PATIENCE, "another one makes all of them stale, and goes on")
        check(answer(ebb, "one") is None, "with what the first was for")
        finish(ebb)
        check([answered(ebb, name) for name in ("one", "two")] == [("done", None)] * 2, "both are done then")
        begun = [r for r in ebb.audit(ev="accepted", id="two")][0]["t"]
        ups = {r["pid"]: r["t"] for r in ebb.audit(ev="refill")}
        check(all(ups[pid] >= begun for pid in pids(ebb).values()), "nobody is older than the second")
        check(ebb.command("drain reports")["ev"] == "done", "drained")
        ebb.send("roll reports id=drained")
        check(answered(ebb, "drained") == ("done", None), "a drained pool has nobody to replace")
        check(not pids(ebb), "and stays empty")
        ebb.command("resume reports")
        order, _ = begin(ebb, min(pids(ebb)), "last")
        ebb.send("roll reports id=removed")
        ebb.wait_audit(PATIENCE, lambda r: r["reason"] == "roll" and r["generation"] > 1, ev="due")
        ebb.pools.pop("reports")
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "out of the file")
        check(answered(ebb, "removed") == ("refused", "superseded"), "nobody will replace them")
        finish(ebb, "last")
        ebb.done(order)


def with_spares():
    """They are first, and what takes over from the others; nothing else is started."""
    with Ebb({"reports": {"refill": "auto", "size": 2, "spares": 2}}, watch=False) as ebb:
        settles(ebb, 2, 2)
        before = pids(ebb)
        spares = pids(ebb, "spare")
        check(ebb.command("roll reports batch=2")["ev"] == "done", "answered")
        settles(ebb, 2, 2)
        all_new(ebb, before)
        check({slot for slot, _ in asked(ebb)[:2]} == set(spares), f"spares first: {asked(ebb)}")
        check(len(ebb.audit(ev="refill")) == 8 and most_there(ebb) <= 4, "each once")
        never_fewer_nor_more(ebb, 2)


def work_once(ebb):
    """Who has come to its lease while there was no ebbd is known when it comes again."""
    for slot in range(5):
        ebb.order("reports", slot, ["work", 0])


def over_a_restart():
    with Ebb({"reports": {"refill": "auto", "size": 3}}, watch=False) as ebb:
        settles(ebb, 3)
        before = pids(ebb)
        order, pid = begin(ebb, 0)
        ebb.send("roll reports batch=2 id=one")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        for _ in range(2):
            ebb.process.kill()
            ebb.process.wait()
            ebb.start()
        check(running(pid) and answer(ebb, "one") is None, "who is in a job goes on")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "to its end")
        work_once(ebb)
        check(answered(ebb, "one") == ("done", None), "answered by the third")
        settles(ebb, 3)
        all_new(ebb, before)
        no_signal_in_a_job(ebb)


def ends_at(point):
    with Ebb({"reports": {"refill": "auto", "size": 3, "grace": "1s"}}, watch=False, start=False) as ebb:
        ebb.program, ebb.environ["EBB_FAULT"] = FAULTY, point
        ebb.start(serve=False)

        def ended():
            return ebb.process.poll() is not None
        wait_for(lambda: ended() or len(ebb.audit(ev="ready")) == 3, PATIENCE, "up")
        check(not ended(), f"{point} comes later")
        before = pids(ebb)
        job = begin(ebb, 1)
        ebb.send("roll reports id=one")
        wait_for(lambda: ended() or len(ebb.audit(ev="due")) and len(ebb.audit(ev="exited")) > 1, PATIENCE, "begun")
        if point == "answered":
            finish(ebb)
        wait_for(ended, PATIENCE, f"it ends at {point}")
        ebb.program = os.path.join(BUILD, "ebbd")
        ebb.start()
        finish(ebb)
        check(ebb.done(job[0])["pid"] == job[1], "who is in a job finishes it")
        work_once(ebb)
        if ebb.audit(ev="accepted", id="one"):
            check(answered(ebb, "one") == ("done", None), "what was accepted is done")
        settles(ebb, 3)
        if ebb.audit(ev="accepted", id="one"):
            all_new(ebb, before)
        no_signal_in_a_job(ebb)


def ends_at_each_point():
    for point in POINTS:
        print(point, flush=True)
        ends_at(point)


main(successor_first, in_batches, without_headroom, reload_goes_the_same_way, taken_back, taken_back_in_a_job,
     taken_back_but_asked_for, jobs_without_end, command_that_fails, others_ask_meanwhile, of_those_who_took_no_lease,
     beside_one_that_is_left_alone, holds, answers, with_spares, over_a_restart, ends_at_each_point)
