#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# once: ebbd alone, without the watch
"""ebbd ends at any instant, or a call fails that hardly ever does: are the workers the same afterwards, none signalled in
a job, none doubled, none forgotten, and is everything answered that was accepted?

Actors: an ebbd that is killed; another one, built with fault points, that takes over from it, is given one command of
each kind, and ends at its point, or has one call fail; then an ordinary one, that takes over from that. Pool a: a helper
in the middle of a job whose leader has ended, a worker in a job, an idle one with a daemon of its own; pool b: one in a
job; pool c: one that dies while there is no ebbd; pool d: a piece of work (oneshot); pool e: one that finishes its job when
it is told to go (idle = signal), and loses it when it is told twice; pool f: one that the test has started (adopt). Which points there are, ebbd itself says: one that is never reached is a failure.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import concurrent.futures  # noqa: E402
import pwd  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402

from ebbtest import BUILD, PATIENCE, Ebb, Lines, TornLines, check, leftovers, main, running, stays, wait_for  # noqa: E402
from machine import read, write  # noqa: E402

FAULTY = os.path.join(BUILD, "faulty/ebbd")
STATUS = 86  # of an ebbd that has ended at a point
AT_ONCE = 8
# Later passes that are something else than the first one: the commands, one after the other, and their answers.
MORE = ["board-half:2", "accepted:3", "accepted:4", "answered:2", "record-torn:9", "no-lease-key:4", "no-procstat:40"]
MOST = [f"{point}:{n}" for point in ("wished", "accepted", "answered") for n in range(2, 8)] + [
    f"{point}:{n}" for point in ("record-torn", "board-half") for n in range(2, 20)] + [
    f"{point}:{n}" for point in ("numbered", "lease-made", "spawned", "started", "child-cloned", "child-alone",
                                 "gate-known", "gate-open", "reaped", "lease-gone", "no-process", "no-lease-room",
                                 "no-lease-file", "no-order", "no-procstat", "no-locks", "no-event") for n in (2, 3)]
# What cannot be had at start ends ebbd, with a message; the next one starts.
AT_START = {"no-pidfd", "no-audit-file", "no-lease-key", "no-procstat"}
# What is tried again within the second, without a word.
SILENT = {"no-order", "no-procstat", "no-proc", "no-locks"}
SAYS = {"EAGAIN": "Resource temporarily unavailable", "ENOMEM": "Cannot allocate memory", "EMFILE": "Too many open files",
        "ENOSPC": ("No space left on device", "disk full")}


def points():
    """(name, what it does) as ebbd has them."""
    listed = subprocess.run([FAULTY, "--fault-points"], capture_output=True, text=True, check=True).stdout
    return [line.split(" ", 1) for line in listed.splitlines()]


def leaders(ebb):
    """(pool, slot) of each worker that runs -> its pids; what it has forked does not lead a session."""
    places = {}
    for pid in leftovers(ebb.run_dir):
        try:
            environ = dict(entry.split("=", 1) for entry in read(f"/proc/{pid}/environ").split("\0") if "=" in entry)
            if os.getsid(pid) == pid and running(pid) and "EBB_POOL" in environ:
                places.setdefault((environ["EBB_POOL"], int(environ["EBB_SLOT"])), []).append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return places


class Scene:
    """What the ebbd with faults finds, what is asked of it, and what must be true in the end."""

    def __init__(self, ebb, fault):
        self.ebb, self.fault = ebb, fault
        self.release = os.path.join(ebb.home, "release")
        self.seen = 0
        self.foreign = []

    def ended(self):
        return self.ebb.process.poll() is not None

    def prepare(self):
        """As left behind by an ebbd that was killed."""
        ebb = self.ebb
        ebb.start()
        check(ebb.command(f"adopt f {self.start_foreign()}")["ev"] == "done", "f has its worker")
        seen = os.path.join(ebb.home, "seen")
        ebb.order("f", 0, ["until", seen])
        ebb.ready()
        write(seen, "")
        self.pids = {(r["pool"], r["slot"]): r["pid"] for r in ebb.audit(ev="ready")}
        self.helped = ebb.order("a", 0, ["helper_until", self.release], ["leave", 0])
        self.job = ebb.order("a", 1, ["until", self.release])
        daemon = ebb.order("a", 2, ["daemon", 1])
        self.due = ebb.order("b", 0, ["until", self.release + "-b"])
        ebb.wait_journal(PATIENCE, ev="helper", order=self.helped)
        ebb.wait_audit(PATIENCE, ev="exited", pool="a", slot=0)
        ebb.done(daemon)
        self.piece = ebb.order("d", 0, ["until", self.release])
        self.framework = ebb.order("e", 0, ["until", self.release])
        for order in (self.job, self.due, self.piece, self.framework):
            ebb.wait_journal(PATIENCE, ev="start", order=order)
        write(os.path.join(ebb.run_dir, "lease/gone.0.3"), "R\n".ljust(256, "\0"))
        self.kill()
        os.kill(self.pids["c", 0], signal.SIGKILL)
        wait_for(lambda: not running(self.pids["c", 0]), PATIENCE, "one dies meanwhile")

    def start_foreign(self):
        """A worker that is not ebbd's child."""
        lease = os.path.join(self.ebb.run_dir, f"adopt/f/{len(self.foreign)}")
        write(lease, "R\n".ljust(256, "\0"))
        environ = {**os.environ, "EBB_POOL": "f", "EBB_SLOT": "0", "EBB_LEASE": lease}
        self.foreign.append(subprocess.Popen(["/usr/bin/python3", "-B", f"{self.ebb.home}/lib/worker.py", self.ebb.spool],
                                             env=environ, start_new_session=True, stdin=subprocess.DEVNULL))
        pid = self.foreign[-1].pid
        wait_for(lambda: self.ebb.journal(ev="ready", pid=pid), PATIENCE, "it is up, and has come to its lease unseen")
        return pid

    def adopted(self):
        """Whoever is left is adopted, again or for the first time; or somebody new. Given work, so that its lease is known."""
        worker = self.ebb.slot("f", 0)
        if worker["state"] in ("due", "retiring") or worker["pid"]:
            return worker["state"] not in ("due", "retiring")
        left = [process.pid for process in self.foreign if process.poll() is None]
        if self.ebb.command(f"adopt f {left[0] if left else self.start_foreign()}")["ev"] != "done":
            return False
        self.ebb.order("f", 0, ["work", 0])
        return True

    def kill(self):
        self.ebb.process.kill()
        self.ebb.process.wait()

    def until(self, condition, what):
        """Wait for it; false when ebbd has ended first."""
        wait_for(lambda: self.ended() or condition(), PATIENCE, what)
        return not self.ended()

    def answered(self, name):
        return [r for r in self.ebb.audit(id=name) if r["ev"] in ("done", "refused")]

    def say(self, line, name, condition=None):
        """A command, and what follows it: its answer, if nothing else is asked for."""
        try:
            self.ebb.send(f"{line} id={name}")
        except OSError:  # it has ended before
            pass
        return self.until(condition or (lambda: self.answered(name)), f"{line} is answered")

    def commands(self):
        """One of each kind; each is left as it stands when ebbd ends."""
        ebb = self.ebb

        def replaced():
            return [r for r in ebb.audit(ev="ready", pool="c") if r["generation"] > 1]

        def runs_again(pool, slot):
            return lambda: read(os.path.join(ebb.run_dir, f"lease/{pool}.{slot}.1"))[0] == "R"

        def is_due(pool, slot):
            return lambda: [r for r in ebb.audit(ev="due", pool=pool, slot=slot) if r.get("reason") != "stop"]

        steps = (
            lambda: self.until(replaced, "who died is replaced"),
            lambda: self.say("limit b footprint=1G", "limit"),
            lambda: self.say("trim a/2", "trim"),
            lambda: self.until(runs_again("a", 2), "a/2 may keep its memory again"),
            lambda: self.say("retire a/1", "busy", is_due("a", 1)),
            lambda: self.say("retire a/2", "idle"),
            lambda: self.say("retire d/0", "piece"),
            lambda: self.say("retire e/0", "told", is_due("e", 0)),
            lambda: self.say("retire a/2 refill=first", "first"),
            lambda: self.say("retire f/0", "foreign"),
            lambda: self.until(lambda: len(ebb.audit(ev="summon")) > 1, "somebody is asked for another one"),
            lambda: self.say(f"adopt f {self.start_foreign()}", "adopt"),
            lambda: self.say("scale a 4", "more"),
            lambda: self.say("drain b", "drain", is_due("b", 0)),
            lambda: self.say("resume b", "resume"),
            lambda: self.say("roll b", "roll", lambda: ebb.audit(ev="due", pool="b", slot=0, reason="roll")),
            lambda: self.say("hold c what=retire for=1m", "hold"),
            lambda: self.say("retire c/0 refill=no", "held"),
            lambda: self.say("resume c", "again"),
            lambda: self.say("retire c/0 refill=no", "empty"),
            lambda: self.say("reload", "reload"),
        )
        return all(step() for step in steps)

    def stop(self):
        self.say("stop", "stop", lambda: self.ebb.audit(ev="stop"))
        self.let_go()
        self.ebb.order("f", 0, ["work", 0])  # who has come to its lease unseen is known when it comes again
        wait_for(self.ended, PATIENCE, "ebbd ends")

    def let_go(self):
        for path in (self.release, self.release + "-b"):
            write(path, "")

    def accepted(self, name):
        return bool(self.ebb.audit(ev="accepted", id=name))

    def sizes(self):
        """As they have to be in the end; what was not accepted may be so or not."""
        wished = self.fault.startswith("wished")  # on the board, but it died before it could say so
        b = {1} if self.accepted("resume") else {0} if self.accepted("drain") and not wished else {0, 1}
        return {"a": {4} if self.accepted("more") else {3, 4}, "b": b, "c": {0} if self.accepted("empty") else {0, 1},
                "d": {1}, "e": {1}, "f": {1}}

    def settled(self):
        """Each slot has its worker, known to use its lease, and nobody else is there."""
        if not self.adopted():  # or not any more: one that was told to leave may do so late
            return None
        pools = {pool["name"]: pool for pool in self.ebb.status()["pools"]}
        if any(pools[name]["due"] or pools[name]["ready"] not in sizes for name, sizes in self.sizes().items()):
            return None
        places = leaders(self.ebb)
        check(all(len(pids) == 1 for pids in places.values()), f"a slot is doubled: {places}")
        return all(sum(1 for of, _slot in places if of == name) == pool["ready"] for name, pool in pools.items()) and places

    def judge(self, fresh):
        """The last ebbd is up (or has just been through): everything that was begun comes to its end."""
        ebb = self.ebb
        check(ebb.command("note warning text=seen")["ev"] == "done", "its first turn is over")
        if self.accepted("foreign"):
            wait_for(lambda: self.foreign[0].poll() is not None, PATIENCE, "who was to go has gone")
        wait_for(self.adopted, PATIENCE, "f has a worker")
        now = leaders(ebb)
        check(all(len(pids) == 1 for pids in now.values()), f"a slot is doubled: {now}")
        if not os.path.exists(self.release):
            check(not ebb.audit(ev="refill", pool="a", slot=0, generation=2), "a/0 still works: its helper does")
            check(running(self.pids["a", 1]), "who is in a job goes on")
        self.let_go()
        for pool, slot in now:  # who has come to its lease unseen is known when it comes again
            ebb.order(pool, slot, ["work", 0])
        helped = ebb.wait_journal(PATIENCE, ev="helped", order=self.helped)
        for order, place in ((self.job, ("a", 1)), (self.due, ("b", 0)), (self.piece, ("d", 0))):
            check(ebb.done(order)["pid"] == self.pids[place], f"{place} has finished its job")
        ebb.done(self.framework)
        if self.fault == "tell-noted":  # nobody else tells it
            check(running(self.pids["e", 0]) and not ebb.signals(pool="e"), "it is told at most once")
            os.kill(self.pids["e", 0], signal.SIGTERM)
        for record in ebb.audit(ev="accepted"):
            wait_for(lambda name=record["id"]: self.answered(name), PATIENCE, f"{record['id']} is answered")
        places = wait_for(self.settled, PATIENCE, f"the pools are at size {self.sizes()}")
        known = {r["pid"] for r in fresh() if r["ev"] in ("takeover", "refill", "adopt")}
        check({pids[0] for pids in places.values()} <= known, f"all are known: {places} {known}")
        again = [r for r in ebb.journal(ev="up", pool="a", slot=0) if r["gen"] > 1]
        check(again[0]["t"] >= helped["t"], "nobody was started beside the helper")
        signals = [s for s in ebb.signals() if s["pool"] != "e" and s["job"] is not None]
        check(not signals, f"no signal within a job: {signals}")
        check(not ebb.journal(ev="lost") and not ebb.journal(ev="hard"), "nobody is told twice, or by his children")
        if self.accepted("told"):
            check(not running(self.pids["e", 0]), "who was told has gone")
        if self.accepted("busy"):
            check(not running(self.pids["a", 1]), "who was to go has gone")
        wait_for(self.tidy, PATIENCE, "no lease is left but those of workers")
        wait_for(lambda: {read(os.path.join(ebb.run_dir, "lease", name))[0] for name in self.leases()} == {"R"}, PATIENCE,
                 "and each of them is to run")

    def leases(self):
        return sorted(os.listdir(os.path.join(self.ebb.run_dir, "lease")))

    def tidy(self):
        return self.leases() == sorted(
            f"{w['pool']}.{w['slot']}.{w['generation']}" for pool in self.ebb.status()["pools"]
            for w in ({**w, "pool": pool["name"]} for w in pool["workers"] if w["pid"]))


def arrange():
    pools = {"a": {"size": 3}, "b": {}, "c": {}, "d": {}, "e": {}, "f": {}}
    for keys in pools.values():
        keys.update(grace="1s", ready_timeout="10s", trim_wait="100ms")
    ebb = Ebb(pools, watch=False, start=False)
    ebb.audit_lines = TornLines(os.path.join(ebb.run_dir, "audit"))
    ebb.pools["d"].update(mode="oneshot", worker=["--pattern", "once", "--lease", "never"])
    ebb.pools["e"].update(idle="signal", command=f"/usr/bin/python3 -B {ebb.home}/lib/prefork.py {ebb.spool}")
    ebb.pools["f"].update(mode="adopt", user=pwd.getpwuid(os.geteuid()).pw_name, refill_command="/bin/true")
    for pool in "de":
        del ebb.pools[pool]["trim_wait"]
    ebb.configure()
    return ebb


def start_faulty(ebb, fault):
    ebb.program, ebb.environ["EBB_FAULT"] = FAULTY, fault
    ebb.start(serve=False)
    ebb.program = os.path.join(BUILD, "ebbd")


def play(fault, does):
    """One run with one fault."""
    point = fault.partition(":")[0]
    ends = does.startswith("ends")
    with arrange() as ebb:
        scene = Scene(ebb, fault)
        scene.prepare()
        begun = len(ebb.audit())
        starts = len(ebb.audit(ev="start"))
        start_faulty(ebb, fault)
        wait_for(lambda: scene.ended() or ebb.serving(starts), PATIENCE, "ebbd is up")
        through = scene.commands()
        if through and ends:
            scene.stop()
        log = read(ebb.log)
        check("Sanitizer" not in log, f"no error of memory: {log[-3000:]}")
        early = point in AT_START and scene.ended() and len(ebb.audit(ev="start")) == starts
        check(early or fault not in AT_START, "it does not begin without that")
        if ends or early:
            check(scene.ended() and ebb.process.wait() in ({STATUS, -signal.SIGKILL} if ends else {1}),
                  f"it ends at its point: {ebb.process.returncode}")
            begun = len(ebb.audit())
            ebb.start()
        if not ends:
            check(f"fault: {point}" in log, "it was reached")
            texts = SAYS.get(does, ())
            said = log + read(os.path.join(ebb.run_dir, "audit"))
            check(point in SILENT or any(text in said for text in ([texts] if isinstance(texts, str) else texts)),
                  f"what is wrong is said: {log}")
        scene.judge(lambda: ebb.audit()[begun:])
        ebb.send("drain d id=last")
        ebb.wait_audit(PATIENCE, ev="due", pool="d", reason="drain")
        ebb.order("d", 0, ["work", 0])  # nobody ends the piece but itself
        ebb.wait_audit(PATIENCE, ev="done", id="last")
        torn = len(ebb.audit(ev="torn"))
        check(torn == (point == "half-audit-room"), f"each record is whole, or a line of its own: {ebb.audit(ev='torn')}")


def at_once(faults):
    """Several at a time; what went wrong is said of each."""
    def one(fault):
        try:
            play(*fault)
            return None
        except Exception as error:  # pylint: disable=broad-except
            return f"=== {fault[0]}: {type(error).__name__}: {error}"
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [failure for failure in pool.map(one, faults) if failure]
    print(f"{len(faults)} faults", *failures, sep="\n")
    check(not failures, f"{len(failures)} of {len(faults)}")


def with_more(listed):
    """Also some later passes; all that are known to be of interest when EBB_FAULTS asks for them."""
    does = dict(listed)
    more = MOST + MORE if os.environ.get("EBB_FAULTS") else MORE
    return listed + [(fault, does[name]) for fault in more if (name := fault.partition(":")[0]) in does]


def ends_at_each_point():
    at_once([point for point in with_more(points()) if point[1].startswith("ends")])


def each_call_that_fails():
    at_once([point for point in with_more(points()) if not point[1].startswith(("ends", "is "))])


def restart(ebb, **pool):
    """Killed, and started again with another configuration."""
    ebb.process.kill()
    ebb.process.wait()
    ebb.pools["a"].update(pool)
    ebb.configure()
    ebb.start()


def wishes_outlive_it():
    with Ebb({"a": {"size": 2}}, watch=False) as ebb:
        ebb.ready()
        check(ebb.command("scale a 3")["ev"] == "done", "larger than the file says")
        check(ebb.command("retire a/0 refill=no")["ev"] == "done", "and one is left empty")
        restart(ebb)
        check(ebb.command("resume all")["ev"] == "done", "the pool is as it was")
        check(sorted(leaders(ebb)) == [("a", 1), ("a", 2)], f"as was asked: {leaders(ebb)}")
        check(not ebb.audit(ev="refill", slot=0, generation=2), f"no refill: {ebb.audit(ev='refill')}")
        check(ebb.command("refill a/0")["ev"] == "done", "until somebody says otherwise")
        restart(ebb, size=1)
        for place in leaders(ebb):
            ebb.order(*place, ["work", 0])
        wait_for(lambda: sorted(leaders(ebb)) == [("a", 0)], PATIENCE, "or the file does")


def one_goes_for_an_unnamed_request():
    """Without a watch ebbd chooses by itself: who was chosen is known before anything is done to it."""
    for fault in ("ordered", "told"):
        with Ebb({"a": {"size": 2}}, watch=False, start=False) as ebb:
            start_faulty(ebb, fault)
            ebb.ready()
            ebb.send("retire a id=any")
            wait_for(lambda: ebb.process.poll() is not None, PATIENCE, f"{fault}: it ends")
            ebb.start()
            answer = wait_for(lambda: [r for r in ebb.audit(id="any") if r["ev"] in ("done", "refused")], PATIENCE, "answered")
            check(answer[0]["ev"] == "done", f"{fault}: somebody has gone: {answer}")
            gone = {(r["slot"], r["generation"]) for r in ebb.audit() if r["ev"] in ("exited", "signalled")}
            check(len(gone) == 1, f"{fault}: one: {gone}")


def what_is_answered_is_on_the_board():
    """Whoever has read that it is done finds it done."""
    with Ebb({"a": {"size": 2}}, watch=False, start=False) as ebb:
        start_faulty(ebb, "answered")
        ebb.ready()
        ebb.send("retire a/0 refill=no id=one")
        wait_for(lambda: ebb.process.poll() is not None, PATIENCE, "it ends as it answers")
        check(ebb.audit(ev="done", id="one"), "done, it said")
        check(ebb.slot("a", 0)["pid"] is None, f"and so it is: {ebb.slot('a', 0)}")
        ebb.start()


def one_that_never_comes_is_not_waited_for():
    with Ebb({"a": {"ready_timeout": "1s", "worker": ["--lease", "never"]}}, watch=False) as ebb:
        ebb.wait_audit(PATIENCE, ev="refill")
        for _ in ("while it may still come", "and when it is known for what it is"):
            answer = ebb.command("retire a/0")
            check((answer["ev"], answer["reason"]) == ("refused", "unleased"), f"{answer}")
        with open(os.path.join(ebb.run_dir, "lease/a.0.1"), "rb") as file:
            check(file.read(1) == b"R", "and it is not told to leave")
        ebb.terminate()
        check(not ebb.signals() and len(leaders(ebb)) == 1, "nobody touches it")


def a_stranger_at_the_gate():
    """Somebody waits at the lease of a worker that does not use it."""
    with Ebb({"a": {"ready_timeout": "1s", "worker": ["--lease", "never"]}}, watch=False) as ebb:
        ebb.wait_audit(PATIENCE, ev="refill")
        lease = os.path.join(ebb.run_dir, "lease/a.0.1")
        with subprocess.Popen(["/usr/bin/flock", lease, "/bin/true"]) as stranger:
            wait_for(lambda: [line for line in read("/proc/locks").splitlines()
                              if "->" in line and f" {stranger.pid} " in line], PATIENCE, "the stranger waits")
            ebb.wait_audit(PATIENCE, ev="warning", reason="unleased")
            ebb.send("drain a")
            ebb.wait_audit(PATIENCE, ev="due")
            check(not ebb.audit(ev="ready") and not ebb.audit(ev="fenced"), "it proves nothing of the worker")
            ebb.terminate()  # and lets the stranger in
        check(not ebb.signals() and len(leaders(ebb)) == 1, "nobody touches the worker")


def stop_that_leaves_somebody():
    with Ebb({"a": {}}, watch=False) as ebb:
        ebb.ready()
        release = os.path.join(ebb.home, "release")
        order = ebb.order("a", 0, ["until", release])
        ebb.wait_journal(PATIENCE, ev="start", order=order)
        ebb.send("stop id=stop")
        ebb.wait_audit(PATIENCE, ev="due")
        ebb.stop_and_leave()
        answers = [(r["ev"], r.get("reason")) for r in ebb.audit(id="stop") if r["ev"] != "accepted"]
        check(answers == [("refused", "superseded")], f"not all have gone: {answers}")
        write(release, "")
        ebb.done(order)


def a_look_at_the_gate_that_takes_for_ever():
    """Everything goes on, but that nobody comes through the gate; and the next ebbd lets them in."""
    with Ebb({"a": {"size": 2, "ready_timeout": "60s"}}, watch=False, start=False) as ebb:
        ebb.start()
        ebb.ready()
        scene = Scene(ebb, "locks-stuck")
        busy = ebb.order("a", 1, ["until", scene.release])
        ebb.wait_journal(PATIENCE, ev="start", order=busy)
        scene.kill()
        starts = len(ebb.audit(ev="start"))
        start_faulty(ebb, "locks-stuck")
        wait_for(lambda: ebb.serving(starts), PATIENCE, "ebbd is up")
        ebb.send("retire a/0")
        ebb.wait_audit(PATIENCE, ev="refill", slot=0, generation=2)  # and that one waits at the gate
        ebb.send("retire a/1 id=busy")
        ebb.wait_audit(PATIENCE, ev="due", slot=1)
        scene.let_go()
        ebb.done(busy)
        ebb.wait_audit(PATIENCE, ev="fenced", slot=1)
        ebb.wait_audit(PATIENCE, ev="refill", slot=1, generation=2)
        check(ebb.command("hold a for=1m")["ev"] == "done", "commands are taken")
        check(not ebb.audit(ev="ready", generation=2), "nobody is let in unseen")
        scene.kill()
        ebb.start()
        for slot in (0, 1):
            ebb.order("a", slot, ["work", 0])  # who has come to its lease unseen is known when it comes again
            ebb.wait_audit(PATIENCE, ev="ready", slot=slot, generation=2)
        check(ebb.wait_audit(PATIENCE, ev="done", id="busy"), "and what was asked is answered")


def an_answer_about_somebody_before():
    """A worker was seen past the gate; when that is known its slot has another one, which does not use its lease."""
    with Ebb({"a": {"ready_timeout": "60s"}}, watch=False, start=False) as ebb:
        worker = os.path.join(ebb.home, "worker")
        write(worker, f"#!/bin/sh\nlease=late\n[ $EBB_GENERATION = 1 ] || lease=never\n"
                      f"exec {ebb.worker()} --lease $lease --late 2\n")
        os.chmod(worker, 0o755)
        ebb.pools["a"]["command"] = worker
        ebb.configure()
        ebb.start()
        scene = Scene(ebb, "locks-late")
        pid = ebb.wait_journal(PATIENCE, ev="up")["pid"]
        order = ebb.order("a", 0, ["until", scene.release])
        scene.kill()
        ebb.wait_journal(PATIENCE, ev="start", order=order)
        start_faulty(ebb, "locks-late")
        ebb.wait_audit(PATIENCE, ev="takeover")
        os.kill(pid, signal.SIGKILL)
        ebb.wait_audit(PATIENCE, ev="refill", generation=2)
        check("fault:" not in read(ebb.log), "it is known later")
        wait_for(lambda: "fault: locks-late" in read(ebb.log), PATIENCE, "what was seen of the first one is known")
        check(ebb.command("note warning text=seen")["ev"] == "done", "and a turn is over")
        check(not ebb.audit(ev="ready"), "which says nothing of the second one")
        ebb.terminate()


# One whose loop is no more, while a thread of its still holds its files.
GOING = """
import ctypes, fcntl, os, sys, threading, time
lock = open(sys.argv[1], "w+")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(f"{os.getpid()}\\n")
lock.flush()

def linger():
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    os._exit(0)

threading.Thread(target=linger).start()
ctypes.CDLL(None).syscall(60, 0)
"""


def one_that_is_not_gone_yet():
    """Killed, but a thread of its is still in the kernel, so that its locks last."""
    with Ebb({"a": {}}, watch=False, start=False) as ebb:
        os.mkdir(ebb.run_dir)
        release = os.path.join(ebb.home, "release")
        going = subprocess.Popen(["/usr/bin/python3", "-c", GOING, os.path.join(ebb.run_dir, "lock"), release])
        try:
            wait_for(lambda: " Z " in read(f"/proc/{going.pid}/stat"), PATIENCE, "its first thread has ended")
            ebb.start(serve=False)
            stays(lambda: ebb.process.poll() is None and not os.path.exists(os.path.join(ebb.run_dir, "control")), 0.5,
                  "ebbd waits for it")
        finally:
            write(release, "")
            going.wait()
        ebb.ready()


def audit_that_cannot_be_rotated():
    """The new file cannot be opened: nothing is lost, neither of the old ones nor of what follows."""
    line = '{"t":"2000-01-01T00:00:00.000000Z","ev":"start","text":"'
    line += "x" * (512 - len(line) - 3) + '"}\n'  # so that the file is all but full
    with Ebb({"a": {}}, watch=False, start=False) as ebb:
        os.mkdir(ebb.run_dir)
        path = os.path.join(ebb.run_dir, "audit")
        write(path, line * ((8 << 20) // len(line) - 1))
        write(path + ".1", line)
        ebb.audit_lines = Lines(path)
        start_faulty(ebb, "no-audit-file:2")
        ebb.wait_audit(PATIENCE, ev="ready")
        check(ebb.command("retire a/0")["ev"] == "done", "records go on")
        check("fault: no-audit-file" in read(ebb.log), "the new one could not be opened")
        check(ebb.audit(ev="ready", generation=2), "in the file that was shifted")
        check(not os.path.exists(path + ".3"), "no old one is pushed out by each of them")
        check(read(path + ".2") == line and read(path + ".1").startswith(line * 100), "the old ones are what they were")


main(ends_at_each_point, each_call_that_fails, wishes_outlive_it, one_goes_for_an_unnamed_request,
     what_is_answered_is_on_the_board, one_that_never_comes_is_not_waited_for, a_stranger_at_the_gate, stop_that_leaves_somebody,
     a_look_at_the_gate_that_takes_for_ever, an_answer_about_somebody_before, one_that_is_not_gone_yet,
     audit_that_cannot_be_rotated)
