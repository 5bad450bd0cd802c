#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Work cut into pieces, each in a process that ends: does each slot do one piece after the other, as many as fit, without
ever interrupting one, whatever is asked for meanwhile and whoever dies?

Actors: ebbd; pieces that do one order and end, with and without their lease; an operator; the test in place of the watch,
where ebbd believes that there is one; the watch itself.
"""
# once: the watch counts no turns here
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import signal  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, main, running, stays, wait_for  # noqa: E402
from machine import write  # noqa: E402

BARE = {"mode": "oneshot", "worker": ["--pattern", "once", "--lease", "never"]}
LEASED = {"mode": "oneshot", "worker": ["--pattern", "once"]}


def begin(ebb, pool, slot, name="finish"):
    """A piece that goes on until finish(): its order, and its pid."""
    order = ebb.order(pool, slot, ["until", os.path.join(ebb.spool, name)])
    return order, ebb.wait_journal(PATIENCE, ev="start", order=order)["pid"]


def finish(ebb, name="finish"):
    write(os.path.join(ebb.spool, name), "")


def untouched(ebb):
    check(not ebb.signals() and not ebb.audit(ev="signalled"), f"nobody gets a signal: {ebb.signals()}")


def ended(ebb):
    """ebbd ends when those have that it waits for."""
    check(ebb.process.wait(PATIENCE) == 0, f"ebbd ended with {ebb.process.returncode}")
    ebb.process = None


def answer(ebb, line):
    record = ebb.command(line)
    return record.get("reason") or record["ev"]


def one_after_the_other():
    with Ebb({"pieces": {**BARE, "size": 2}}, watch=False) as ebb:
        orders = [ebb.order("pieces", None, ["work", 0.01]) for _ in range(8)]
        pids = {ebb.done(order)["pid"] for order in orders}
        check(len(pids) == 8, f"each in a process of its own: {pids}")
        check(not ebb.audit(ev="backoff"), "that they were young is no failure")
        _order, pid = begin(ebb, "pieces", 0)
        wait_for(lambda: ebb.slot("pieces", 0).get("pid") == pid and ebb.pool("pieces")["jobs"] == 8, PATIENCE,
                 "those that were done are counted")
        pool = ebb.pool("pieces")
        check([w["state"] for w in pool["workers"]] == ["busy", "busy"], f"at work as long as they are there: {pool}")
        check(pool["ready"] == 2 and not pool["warnings"] and not pool["backoff"], f"all is well: {pool}")
        finish(ebb)
        ebb.wait_audit(PATIENCE, ev="exited", pid=pid)
        ebb.send("stop")
        for slot in range(2):  # the ones that wait for their orders
            ebb.order("pieces", slot, ["work", 0])
        ended(ebb)
        untouched(ebb)


def that_failed_are_started_later():
    """By exit code, by signal, and however long they have lived."""
    keys = {**BARE, "ready_timeout": "50ms", "recycle_exit_codes": "0 7"}
    with Ebb({"coded": keys, "killed": keys, "well": keys}, watch=False) as ebb:
        ebb.order("coded", 0, ["work", 0.3], ["leave", 3])
        ebb.order("killed", 0, ["kill", int(signal.SIGKILL)])
        ebb.order("well", 0, ["leave", 7])
        failed = [ebb.wait_audit(PATIENCE, ev="backoff", pool=pool) for pool in ("coded", "killed")]
        check((failed[0]["exit_code"], failed[1]["signal"]) == (3, 9), f"how: {failed}")
        for pool in ebb.pools:
            ebb.wait_audit(PATIENCE, ev="ready", pool=pool, generation=2)
            check(ebb.done(ebb.order(pool, 0, ["work", 0]))["gen"] == 2, f"{pool} is at the next piece")
        wait_for(lambda: [ebb.pool(pool)["jobs"] for pool in ebb.pools] == [1, 1, 2], PATIENCE, "done ones are counted")
        check(not ebb.audit(ev="backoff", pool="well"), "7 is no failure")
        check(not ebb.audit(ev="warning"), f"none of this is worth a warning: {ebb.audit(ev='warning')}")
        ebb.terminate()


def are_waited_for():
    """Without a lease, nothing proves that one is between jobs: none is signalled, whatever is asked for."""
    with Ebb({"pieces": {**BARE, "size": 2, "ready_timeout": "50ms"}}, watch=False) as ebb:
        order, pid = begin(ebb, "pieces", 0)
        for line in ("retire pieces/0", "trim pieces/0"):
            check(answer(ebb, line) == "unleased", f"{line}: nothing proves it idle")
        check(answer(ebb, "retire pieces") == "no-worker", "nor any other")
        ebb.send("drain pieces")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        ebb.send("resume pieces")
        ebb.wait_audit(PATIENCE, ev="resume", slot=0)
        wait_for(lambda: ebb.slot("pieces", 0)["state"] == "busy", PATIENCE, "it works on")
        ebb.pools["pieces"]["environment"] = "V=2"
        ebb.configure()
        check(answer(ebb, "reload") == "done", "reloaded")
        ebb.wait_audit(PATIENCE, ev="due", slot=0, reason="roll")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "it comes to its end")
        ebb.wait_audit(PATIENCE, ev="ready", slot=0, generation=2)
        order, pid = begin(ebb, "pieces", 0, "again")
        check(ebb.journal(ev="up", pid=pid)[0]["environ"]["V"] == "2", "the next one is as the file says")
        ebb.send("scale pieces 0 id=scale")
        ebb.wait_audit(PATIENCE, ev="due", slot=0, reason="scale")
        ebb.process.send_signal(signal.SIGTERM)
        ebb.wait_audit(PATIENCE, ev="stop")
        check(ebb.process.poll() is None and running(pid), "ebbd waits for it")
        finish(ebb, "again")
        ebb.order("pieces", 1, ["work", 0])
        check(ebb.done(order)["pid"] == pid, "to its end")
        ended(ebb)
        untouched(ebb)


def with_a_lease():
    with Ebb({"pieces": LEASED, "idle": LEASED}, watch=False) as ebb:
        order, pid = begin(ebb, "pieces", 0)
        wait_for(lambda: answer(ebb, "trim pieces/0") == "done", PATIENCE, "it is known to use its lease")
        ebb.send("retire pieces/0 id=retire")
        ebb.wait_audit(PATIENCE, ev="due", pool="pieces")
        check(not ebb.signals() and running(pid), "no signal within it")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "it comes to its end")
        ebb.wait_audit(PATIENCE, ev="ready", pool="pieces", generation=2)
        ebb.wait_audit(PATIENCE, ev="done", id="retire")
        ebb.wait_journal(PATIENCE, ev="ready", pool="idle")
        wait_for(lambda: answer(ebb, "trim idle/0") == "done", PATIENCE, "likewise")
        check(answer(ebb, "retire idle/0") == "done", "one that has not begun goes at once")
        check([s["job"] for s in ebb.signals(pool="idle")] == [None], f"by a signal: {ebb.signals()}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="idle", generation=2)
        check(ebb.pool("idle")["jobs"] == 0, "that was no piece done")
        ebb.terminate()


class Stage:
    """ebbd with something that it takes for the watch, and that never says anything: the test does."""

    def __init__(self, pools):
        self.ebb = ebb = Ebb(pools, start=False)
        script = os.path.join(ebb.home, "mute")
        write(script, "#!/bin/sh\nexec sleep 1000\n")
        os.chmod(script, 0o755)
        ebb.environ["EBB_WATCH"] = script
        ebb.start()

    def __enter__(self):
        return self.ebb.__enter__()

    def __exit__(self, *error):
        return self.ebb.__exit__(*error)


def waits(ebb, pool="pieces"):
    return [worker["waits"] for worker in ebb.pool(pool)["workers"]]


def say(ebb, line):
    return answer(ebb, f"{line} by=watch")


def until_they_fit():
    with Stage({"pieces": {**BARE, "size": 0}, "service": {}}) as ebb:
        ebb.wait_audit(PATIENCE, ev="ready", pool="service")
        check(say(ebb, "hold pieces what=refill for=1m") == "done", "the watch sees no room")
        ebb.send("scale pieces 3")
        wait_for(lambda: waits(ebb) == [True] * 3, PATIENCE, "pieces wait")
        check(say(ebb, "refill pieces/1") == "done", "but for one")
        pid = ebb.wait_audit(PATIENCE, ev="ready", pool="pieces", slot=1)["pid"]
        check(waits(ebb) == [True, False, True], f"the others wait: {waits(ebb)}")
        check(say(ebb, "refill pieces/1") == "not-waiting", "let pass once")
        ebb.done(ebb.order("pieces", 1, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="exited", pid=pid)
        wait_for(lambda: waits(ebb) == [True] * 3, PATIENCE, "for one piece")
        stays(lambda: len(ebb.audit(ev="ready", pool="pieces")) == 1, 2.5, "for as long as the watch holds them")
        check(say(ebb, "hold pieces what=refill for=1m") == "done" and len(ebb.audit(ev="hold")) == 1, "said once")
        check(say(ebb, "hold pieces what=refill for=10ms") == "done", "it holds them no more")
        for slot, generation in ((0, 1), (1, 2), (2, 1)):
            ebb.wait_audit(PATIENCE, ev="ready", pool="pieces", slot=slot, generation=generation)
        check(ebb.audit(ev="resume", pool="pieces"), "that it ran out is said")
        ebb.terminate()


def an_operator_has_the_last_word():
    with Stage({"pieces": BARE, "service": {}}) as ebb:
        ebb.wait_audit(PATIENCE, ev="ready", pool="service")
        ebb.wait_audit(PATIENCE, ev="ready", pool="pieces")  # by itself: the watch says nothing
        check(answer(ebb, "hold all what=refill for=1m") == "done", "an operator holds")
        ebb.done(ebb.order("pieces", 0, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="exited", pool="pieces")
        check(say(ebb, "refill pieces/0") == "not-waiting", "the watch cannot lift that")
        check(say(ebb, "hold all what=refill for=10ms") == "done", "nor make it shorter")
        check(ebb.command("note watch text=turn")["ev"] == "done" and not ebb.audit(ev="resume", pool="pieces"), "a turn later")
        check(ebb.pool("pieces")["hold"] and waits(ebb) == [False], "it is still held")
        ebb.process.kill()
        ebb.process.wait()
        ebb.start()
        check(ebb.pool("pieces")["hold"] and ebb.command("retire service/0 refill=no")["ev"] == "done", "also by the next")
        check(say(ebb, "hold all what=refill for=1m") == "done", "and the watch's is another one")
        check(answer(ebb, "resume all") == "done", "until the operator says so: both are over")
        check(answer(ebb, "refill service/0") == "done", "also for the service")
        ebb.wait_audit(PATIENCE, ev="ready", pool="pieces", generation=2)
        ebb.wait_audit(PATIENCE, ev="ready", pool="service", generation=2)
        check(say(ebb, "hold service what=refill for=1m") == "done", "the watch holds a service")
        order = ebb.order("service", 0, ["leave", 0])
        ebb.wait_journal(PATIENCE, ev="exit", pool="service")
        gone = ebb.wait_audit(PATIENCE, ev="exited", pool="service", generation=2)
        check(order and gone and ebb.command("note watch text=turn")["ev"] == "done", "a turn has passed")
        check(not ebb.audit(ev="refill", pool="service", generation=3), "its slot stays empty")
        check(say(ebb, "hold service what=refill for=10ms") == "done", "no longer")
        ebb.wait_audit(PATIENCE, ev="ready", pool="service", generation=3)
        ebb.terminate()


def outlive_ebbd():
    with Ebb({"bare": BARE, "leased": LEASED, "dead": BARE}, watch=False) as ebb:
        ebb.done(ebb.order("bare", 0, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="ready", pool="bare", generation=2)
        (bare, bare_pid), (leased, leased_pid) = begin(ebb, "bare", 0), begin(ebb, "leased", 0)
        _order, dead = begin(ebb, "dead", 0)
        ebb.process.kill()
        ebb.process.wait()
        os.kill(dead, signal.SIGKILL)
        wait_for(lambda: not running(dead), PATIENCE, "one dies meanwhile")
        ebb.start()
        for pool, pid in (("bare", bare_pid), ("leased", leased_pid)):
            ebb.wait_audit(PATIENCE, ev="takeover", pool=pool, pid=pid)
            check(ebb.slot(pool, 0)["state"] == "busy", f"at work: {ebb.slot(pool, 0)}")
        ebb.wait_audit(PATIENCE, ev="ready", pool="dead", generation=2)
        check(ebb.pool("bare")["jobs"] == 1, "what was done was done")
        check(answer(ebb, "retire bare/0") == "unleased", "as before")
        finish(ebb)
        check([ebb.done(order)["pid"] for order in (bare, leased)] == [bare_pid, leased_pid], "they come to their end")
        ebb.wait_audit(PATIENCE, ev="ready", pool="bare", generation=3)
        ebb.wait_audit(PATIENCE, ev="ready", pool="leased", generation=2)
        check(not ebb.audit(ev="backoff"), "how they ended nobody knows: no failure")
        check(not ebb.audit(ev="signalled"), "nobody was told to go")
        ebb.terminate()


def with_the_watch():
    with Ebb({"pieces": {**LEASED, "size": 2, "footprint_limit": "128M"}}, {"reserve": "1M"}) as ebb:
        ebb.ready()
        orders = [ebb.order("pieces", None, ["work", 0.1]) for _ in range(4)]
        for order in orders:
            ebb.done(order)
        wait_for(lambda: ebb.pool("pieces")["jobs"] == 4, PATIENCE, "four are done")
        check(not ebb.audit(ev="warning"), f"and nothing is strange about it: {ebb.audit(ev='warning')}")
        ebb.terminate()


main(one_after_the_other, that_failed_are_started_later, are_waited_for, with_a_lease, until_they_fit,
     an_operator_has_the_last_word, outlive_ebbd, with_the_watch)
