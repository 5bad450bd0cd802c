#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Frameworks that finish the running job when they are told to go: is each worker told once, and no more than once, itself
alone, whatever is asked for and whoever dies; and does each job come to its end?

Actors: ebbd without the watch, and one built with fault points; an operator; pre-forking workers in Python that finish
their job at a first signal, and lose it at a second one, or at one that their children get too.
"""
# once: the watch has no part in it
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import signal  # noqa: E402

from ebbtest import BUILD, PATIENCE, Ebb, check, main, running, stays, wait_for  # noqa: E402
from machine import write  # noqa: E402


class Crew(Ebb):
    """Pools of such workers, unless they say otherwise."""

    def text(self, pools=None, host=None):
        command = f"/usr/bin/python3 -B {self.home}/lib/prefork.py {self.spool}"
        pools = {name: {"command": command, "idle": "signal", "ready_timeout": "300ms", "grace": "100ms", **keys}
                 for name, keys in (self.pools if pools is None else pools).items()}
        return super().text(pools, host)

    def up(self, **wanted):
        return self.wait_journal(PATIENCE, ev="up", **wanted)["pid"]

    def begin(self, pool, slot=0, name="finish", *steps):
        """A job that goes on until finish()."""
        order = self.order(pool, slot, *steps, ["until", os.path.join(self.spool, name)])
        self.wait_journal(PATIENCE, ev="start", order=order)
        return order

    def finish(self, name="finish"):
        write(os.path.join(self.spool, name), "")

    def again(self, **more):
        """Killed, and started once more."""
        self.process.kill()
        self.process.wait()
        self.start(**more)

    def told(self, pid):
        return self.wait_journal(PATIENCE, ev="signal", pid=pid)

    def no_job_was_lost(self):
        check(not self.journal(ev="lost") and not self.journal(ev="hard"), f"each job was finished: {self.journal()}")
        told = [record["pid"] for record in self.signals()]
        check(len(told) == len(set(told)), f"nobody is told twice: {self.signals()}")


def told_once():
    with Crew({"a": {}}, watch=False) as ebb:
        pid = ebb.up()
        order = ebb.begin("a")
        stays(lambda: not ebb.audit(ev="warning"), 0.5, "no lease is expected of it")
        check(ebb.pool("a")["ready"] == 1 and ebb.audit(ev="ready", pid=pid), f"it is up: {ebb.pool('a')}")
        check(ebb.command("trim a/0")["reason"] == "unleased", "nor anything to be read in one")
        ebb.send("retire a/0 id=retire")
        check(ebb.told(pid)["job"] is not None, "in the middle of a job")
        check(ebb.slot("a", 0)["state"] == "due" and ebb.slot("a", 0)["due"] == "request", f"due: {ebb.slot('a', 0)}")
        for line in ("retire a/0 id=again", "retire a/0 gen=1 by=watch reason=scale", "drain a", "resume a", "scale a 0",
                     "scale a 1"):
            ebb.send(line)
        check(ebb.command("note warning text=seen")["ev"] == "done", "all of that is taken")
        ebb.pools["a"]["environment"] = "V=2"
        ebb.configure()
        ebb.command("reload")
        stays(lambda: len(ebb.signals()) == 1 and running(pid), 0.5, "told once, and not killed after grace")
        ebb.finish()
        ebb.done(order)
        gone = ebb.wait_audit(PATIENCE, ev="exited", pid=pid)
        check(gone["exit_code"] == 0, f"it leaves by itself: {gone}")
        second = ebb.up(gen=2)
        for name in ("retire", "again"):
            ebb.wait_audit(PATIENCE, ev="done", id=name)
        check([(r["pid"], r["signal"]) for r in ebb.audit(ev="signalled")] == [(pid, 15)], f"{ebb.audit(ev='signalled')}")
        check(ebb.command("retire a")["ev"] == "done", "an idle one goes too")
        check(not running(second) and ebb.up(gen=3), "and is replaced")
        ebb.no_job_was_lost()


def a_wish_cannot_be_untold():
    with Crew({"a": {"size": 2}}, watch=False) as ebb:
        pids = [ebb.up(slot=slot) for slot in range(2)]
        orders = [ebb.begin("a", slot) for slot in range(2)]
        ebb.send("drain a id=drain")
        ebb.told(pids[0]), ebb.told(pids[1])
        ebb.send("resume a id=resume")
        ebb.wait_audit(PATIENCE, ev="refused", id="drain")
        check([w["state"] for w in ebb.pool("a")["workers"]] == ["due"] * 2, f"they go: {ebb.pool('a')}")
        ebb.finish()
        for order in orders:
            ebb.done(order)
        for slot in range(2):
            ebb.up(slot=slot, gen=2)
        ebb.wait_audit(PATIENCE, ev="done", id="resume")
        ebb.no_job_was_lost()


def stop_waits():
    with Crew({"a": {"size": 2}}, watch=False) as ebb:
        pids = [ebb.up(slot=slot) for slot in range(2)]
        order = ebb.begin("a")
        ebb.process.send_signal(signal.SIGTERM)
        ebb.wait_audit(PATIENCE, ev="exited", pid=pids[1])
        stays(lambda: running(pids[0]) and ebb.process.poll() is None, 0.5, "without limit")
        ebb.stop_and_leave()
        check(running(pids[0]), "the second leaves it")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", pid=pids[0])
        check(ebb.slot("a", 0)["state"] == "due", "it has been told: it goes")
        ebb.finish()
        ebb.done(order)
        ebb.up(slot=0, gen=2)
        ebb.no_job_was_lost()


def one_at_a_time_at_a_reload():
    with Crew({"a": {"size": 3}}, watch=False) as ebb:
        pids = [ebb.up(slot=slot) for slot in range(3)]
        ebb.pools["a"]["environment"] = "V=2"
        ebb.configure()
        ebb.command("reload")
        for slot in range(3):
            ebb.up(slot=slot, gen=2)
        check(sorted(r["pid"] for r in ebb.signals()) == sorted(pids), f"each was told: {ebb.signals()}")
        ebb.no_job_was_lost()


def told_by_one_that_died():
    """The board says so; and where there is none, the lease."""
    with Crew({"a": {}, "b": {}, "c": {}}, watch=False) as ebb:
        pids = {pool: ebb.up(pool=pool) for pool in "abc"}
        orders = {pool: ebb.begin(pool) for pool in "abc"}
        for pool in "ab":
            ebb.send(f"retire {pool}/0")
            ebb.told(pids[pool])
        ebb.again()
        for pool in "abc":
            ebb.wait_audit(PATIENCE, ev="takeover", pid=pids[pool])
        check([ebb.slot(pool, 0)["state"] for pool in "abc"] == ["due", "due", "ready"], f"as it was: {ebb.status()}")
        ebb.process.kill()
        ebb.process.wait()
        write(os.path.join(ebb.run_dir, "board"), "damaged")
        ebb.start()
        wait_for(lambda: len(ebb.audit(ev="takeover", pid=pids["c"])) == 2, PATIENCE, "found without a board")
        check([ebb.slot(pool, 0)["state"] for pool in "abc"] == ["due", "due", "ready"], f"as it was: {ebb.status()}")
        ebb.send("drain all")
        ebb.told(pids["c"])
        stays(lambda: len(ebb.signals()) == 3, 0.5, "who was told is not told again")
        ebb.finish()
        for pool in "abc":
            ebb.done(orders[pool])
            ebb.wait_audit(PATIENCE, ev="exited", pid=pids[pool])
        ebb.command("resume all")
        for pool in "abc":
            ebb.up(pool=pool, gen=2)
        ebb.no_job_was_lost()


def start_faulty(ebb, fault):
    ebb.program, ebb.environ["EBB_FAULT"] = os.path.join(BUILD, "faulty/ebbd"), fault
    ebb.start()
    ebb.program = None
    del ebb.environ["EBB_FAULT"]


def at_most_once():
    """It dies between its note that the worker is told, and the signal: then nobody tells it, and it is shown as due."""
    for fault, told in (("tell-noted", 0), ("told-once", 1), ("accepted", 1), ("due", 1)):
        with Crew({"a": {}}, watch=False, start=False) as ebb:
            start_faulty(ebb, fault)
            pid = ebb.up()
            order = ebb.begin("a")
            ebb.send("retire a/0 id=retire")
            ebb.process.wait(PATIENCE)
            ebb.start()
            ebb.wait_audit(PATIENCE, ev="takeover", pid=pid)
            if told:
                ebb.told(pid)
            stays(lambda: len(ebb.signals()) == told, 0.3, f"{fault}: told {told} times")
            check(ebb.slot("a", 0)["state"] == "due", f"{fault}: due: {ebb.slot('a', 0)}")
            ebb.finish()
            ebb.done(order)
            if not told:
                stays(lambda: running(pid), 0.3, "it stays, since nobody tells it")
                os.kill(pid, signal.SIGTERM)
            ebb.up(gen=2)
            ebb.wait_audit(PATIENCE, ev="done", id="retire")
            ebb.no_job_was_lost()


def by_what_it_was_started_as():
    """The pool is made another kind while its worker is in a job: that one goes as it came."""
    with Crew({"a": {"idle": "lease"}, "b": {}}, watch=False, start=False) as ebb:
        ebb.pools["a"]["command"] = ebb.worker()
        ebb.configure()
        ebb.start()
        pid = ebb.wait_audit(PATIENCE, ev="ready", pool="a")["pid"]
        other = ebb.up(pool="b")
        orders = ebb.begin("a"), ebb.begin("b")
        ebb.pools = {"a": {}, "b": {"idle": "lease", "command": ebb.worker()}}
        ebb.configure()
        ebb.command("reload")
        ebb.wait_audit(PATIENCE, ev="due", pool="a", reason="roll")
        check(ebb.told(other)["signal"] == "SIGTERM", "the framework is told")
        stays(lambda: not ebb.signals(pool="a"), 0.4, "who holds its lease is not")
        ebb.again()
        ebb.wait_audit(PATIENCE, ev="takeover", pid=pid)
        wait_for(lambda: len(ebb.audit(ev="due", pool="a")) == 2, PATIENCE, "due again")
        stays(lambda: not ebb.signals(pool="a"), 0.4, "by the next ebbd neither")
        ebb.finish()
        for order in orders:
            ebb.done(order)
        ebb.up(pool="a", gen=2)
        ebb.wait_audit(PATIENCE, ev="ready", pool="b", generation=2)
        ebb.no_job_was_lost()


def of_a_pool_that_is_gone():
    """Its signal is that of its file, also after another ebbd has found a file without it."""
    with Crew({"a": {"retire_signal": "INT"}, "b": {}}, watch=False) as ebb:
        pid = ebb.up(pool="a")
        order = ebb.begin("a")
        ebb.process.kill()
        ebb.process.wait()
        del ebb.pools["a"]
        ebb.configure()
        ebb.start()
        check(ebb.told(pid)["signal"] == "SIGINT", f"as its file said: {ebb.signals()}")
        ebb.finish()
        ebb.done(order)
        wait_for(lambda: [pool["name"] for pool in ebb.status()["pools"]] == ["b"], PATIENCE, "it is gone")
        ebb.no_job_was_lost()


def what_it_leaves_behind():
    with Crew({"a": {}}, watch=False) as ebb:
        pid = ebb.up()
        order = ebb.order("a", 0, ["daemon", 1])
        ebb.done(order)
        daemon = ebb.journal(ev="daemon")[0]["pid"]
        ebb.command("retire a/0")
        ebb.up(gen=2)
        warning = ebb.wait_audit(PATIENCE, ev="warning", reason="unleased")
        check("left alone" in warning["text"] and warning["pid"] == pid, f"said: {warning}")
        check(running(daemon), "nothing proves it idle")
        ebb.no_job_was_lost()
        ebb.terminate()


main(told_once, a_wish_cannot_be_untold, stop_waits, one_at_a_time_at_a_reload, told_by_one_that_died, at_most_once,
     by_what_it_was_started_as, of_a_pool_that_is_gone, what_it_leaves_behind)
