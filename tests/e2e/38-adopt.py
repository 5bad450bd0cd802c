#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Workers that somebody else has started: is each kept as one of ebbd's own, between its jobs, itself alone; and is nobody
taken in who is not, beyond doubt, such a worker?

Actors: ebbd, mostly without the watch; the test as the supervisor that starts workers, in a process group that is not
theirs, and says `adopt`; workers in Python with a lease, without, and pre-forking ones that are told by a signal; processes
that are none; a refill_command that asks the supervisor.
"""
# once: no watch takes part
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import contextlib  # noqa: E402
import glob  # noqa: E402
import pwd  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402

from ebbtest import BUILD, PATIENCE, Ebb, check, leftovers, main, running, stays, wait_for  # noqa: E402
from machine import read, write  # noqa: E402

ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())


class Supervisor(Ebb):
    """Starts workers of the pools, all of them in the process group of a bystander."""

    def __init__(self, pools, **more):
        self.processes = []
        super().__init__({name: keys if "command" in keys or keys.get("mode") == "service" else
                          {"mode": "adopt", "user": USER.pw_name, **keys} for name, keys in pools.items()}, **more)

    def popen(self, command, user=None, **more):
        user = user or USER
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if ROOT else {}
        self.processes.append(subprocess.Popen(command, cwd="/", stdin=subprocess.DEVNULL, **{**as_user, **more}))
        return self.processes[-1]

    def bystander(self):
        if not self.processes:
            self.popen(["/bin/sleep", "1000"], process_group=0)
        return self.processes[0]

    def lease_path(self, pool, name):
        return os.path.join(self.run_dir, "adopt", pool, name)

    def make_lease(self, pool, name, content="R\n"):
        path = self.lease_path(pool, name)
        write(path, content)
        os.chmod(path, 0o600)
        if ROOT:
            os.chown(path, USER.pw_uid, USER.pw_gid)
        return path

    def environ_of(self, pool, slot, path=None):
        environ = {key: value for key, value in os.environ.items() if not key.startswith("EBB_")}
        return {**environ, "EBB_POOL": pool, "EBB_SLOT": str(slot), **({"EBB_LEASE": path} if path else {})}

    def worker_of(self, pool, slot=0, *options, name=None, program="worker", lease=True, **more):
        """Started; and between jobs, where it has a lease."""
        path = self.make_lease(pool, name or f"w{len(self.processes)}") if lease else None
        process = self.popen(["/usr/bin/python3", "-B", f"{self.home}/lib/{program}.py", self.spool, *options],
                             env=self.environ_of(pool, slot, path), **{"process_group": self.bystander().pid, **more})
        self.wait_journal(PATIENCE, ev="ready" if lease else "up", pid=process.pid)
        return process

    def adopt(self, pool, process, reason=None):
        answer = self.command(f"adopt {pool} {getattr(process, 'pid', process)}")
        check((answer["ev"], answer.get("reason")) == (("refused", reason) if reason else ("done", None)),
              f"adopt {pool} {process}: {reason} expected: {answer}")
        return answer

    def in_job(self, pool, slot=0):
        order = self.order(pool, slot, ["until", os.path.join(self.spool, "finish")])
        self.wait_journal(PATIENCE, ev="start", order=order)
        return order

    def finish(self):
        write(os.path.join(self.spool, "finish"), "")

    def gone(self, process):
        check(process.wait(PATIENCE) == 0, f"it left in order: {process.returncode}")

    def leases(self):
        return sorted(os.listdir(os.path.join(self.run_dir, "lease")))

    def again(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def discard(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        super().discard()

    def no_one_else_was_touched(self):
        check(self.bystander().poll() is None, "whose process group it is goes on")
        check(not [s for s in self.signals() if s["job"] is not None], f"no signal within a job: {self.signals()}")


def by_lease():
    with Supervisor({"a": {"size": 2}}, watch=False) as ebb:
        check(ebb.pool("a")["ready"] == 0 and not ebb.audit(ev="backoff"), "nobody is started")
        one = ebb.worker_of("a", name="mine")
        answer = ebb.adopt("a", one)
        record = ebb.audit(ev="adopt")[0]
        check((record["pool"], record["slot"], record["generation"], record["pid"], record["id"]) ==
              ("a", 0, 1, one.pid, answer["id"]), f"said: {record}")
        check(ebb.slot("a", 0)["state"] == "starting", f"not seen at its lease yet: {ebb.slot('a', 0)}")
        ebb.done(ebb.order("a", 0, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="ready", pid=one.pid)
        order = ebb.in_job("a")
        check(ebb.command("trim a/0")["ev"] == "done", "it takes orders")
        ebb.send("retire a/0 id=retire")
        ebb.wait_audit(PATIENCE, ev="due", pid=one.pid)
        stays(lambda: not ebb.signals() and one.poll() is None, 0.3, "not within its job")
        ebb.finish()
        ebb.done(order)
        ebb.gone(one)
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)
        ebb.wait_audit(PATIENCE, ev="done", id="retire")
        wait_for(lambda: not ebb.leases(), PATIENCE, "its name among ours is gone")
        lease = ebb.lease_path("a", "mine")
        check(read(lease)[0] == "R" and os.stat(lease).st_nlink == 1, "the file is its starter's, for the next one")
        check(ebb.slot("a", 0)["state"] == "empty", f"its slot is empty: {ebb.slot('a', 0)}")

        two = ebb.worker_of("a", name="mine")
        ebb.adopt("a", two)
        ebb.wait_audit(PATIENCE, ev="adopt", slot=0, generation=2, pid=two.pid)
        ebb.done(ebb.order("a", 0, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="ready", pid=two.pid)
        check(ebb.command("retire a/0")["ev"] == "done" and two.wait(PATIENCE) == 0, "an idle one goes at once")
        check([s["signal"] for s in ebb.signals()] == ["SIGTERM"] * len(ebb.signals()), f"by a signal: {ebb.signals()}")
        three = ebb.worker_of("a", 1)
        ebb.adopt("a", three)
        three.kill()
        ebb.wait_audit(PATIENCE, ev="exited", pid=three.pid)
        check(not ebb.audit(ev="backoff"), "there is nothing to be tried again")
        ebb.no_one_else_was_touched()


def its_first_job_proves_it():
    """However short, and also while ebbd reads of whom it asked about before: once adoption is answered, no job goes by."""
    with Supervisor({"a": {"size": 2}}, watch=False, start=False) as ebb:
        ebb.program, ebb.environ["EBB_FAULT"] = os.path.join(BUILD, "faulty/ebbd"), "locks-late"
        ebb.start()
        never = ebb.worker_of("a", 0, "--lease", "never")
        ebb.adopt("a", never)
        one = ebb.worker_of("a", 1)
        ebb.adopt("a", one)
        ebb.done(ebb.order("a", 1, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="ready", pid=one.pid)
        wait_for(lambda: "fault: locks-late" in read(ebb.log), PATIENCE, "its look was late")
        never.kill()


def one_that_never_comes_to_its_lease():
    with Supervisor({"a": {"ready_timeout": "200ms"}}, watch=False) as ebb:
        one = ebb.worker_of("a", 0, "--lease", "never")
        ebb.adopt("a", one)
        ebb.wait_audit(PATIENCE, ev="warning", reason="unleased")
        check(ebb.command("retire a/0")["reason"] == "unleased", "nothing proves it idle")
        ebb.send("drain a")
        ebb.wait_audit(PATIENCE, ev="due")
        stays(lambda: one.poll() is None and not ebb.signals(), 0.4, "nobody touches it")
        one.kill()
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)
        ebb.no_one_else_was_touched()


def one_whose_group_ebbd_is_in():
    """A worker's relatives prove that it uses its lease; ebbd, who keeps that locked, is none of them."""
    with Supervisor({"a": {"ready_timeout": "200ms"}}, watch=False) as ebb:
        one = ebb.worker_of("a", 0, "--lease", "never", process_group=0)
        join = "import os, sys; os.setpgid(0, int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
        ebb.process.kill()
        ebb.process.wait()
        ebb.through = ("/usr/bin/python3", "-c", join, str(one.pid))
        ebb.start()
        check(os.getpgid(ebb.process.pid) == one.pid, "it was started by a job")
        ebb.adopt("a", one)
        wait_for(lambda: ebb.audit(ev="warning", reason="unleased") or ebb.audit(ev="ready"), PATIENCE, "ebbd has looked")
        wait_for(lambda: ebb.slot("a", 0)["state"] == "unleased", PATIENCE, "it does not use it")
        check(not ebb.audit(ev="ready"), "nor is it taken for one that does")
        check(ebb.command("retire a/0")["reason"] == "unleased" and one.poll() is None, "and is left alone")
        one.kill()
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)


def by_signal():
    with Supervisor({"a": {"idle": "signal", "grace": "100ms"}}, watch=False) as ebb:
        one = ebb.worker_of("a", program="prefork", lease=False)
        ebb.adopt("a", one)
        check(ebb.audit(ev="ready", pid=one.pid) and ebb.slot("a", 0)["state"] == "ready", "it is up")
        order = ebb.in_job("a")
        ebb.send("retire a/0")
        ebb.wait_journal(PATIENCE, ev="signal", pid=one.pid)
        ebb.send("retire a/0")
        ebb.again()
        ebb.wait_audit(PATIENCE, ev="takeover", pid=one.pid)
        check(ebb.slot("a", 0)["state"] == "due", "by the next one too")
        stays(lambda: len(ebb.signals()) == 1 and one.poll() is None, 0.4, "told once")
        ebb.finish()
        ebb.done(order)
        ebb.gone(one)
        wait_for(lambda: ebb.slot("a", 0)["state"] == "empty", PATIENCE, "gone")
        check(not ebb.journal(ev="lost") and not ebb.journal(ev="hard"), "its job was finished")
        check(ebb.bystander().poll() is None, "whose process group it is goes on")


def watched():
    """The watch follows it as any other."""
    with Supervisor({"a": {}, "b": {"idle": "signal"}}) as ebb:
        one, two = ebb.worker_of("a"), ebb.worker_of("b", program="prefork", lease=False)
        ebb.adopt("a", one)
        ebb.adopt("b", two)
        ebb.holds("a", 0, 1)
        ebb.done(ebb.order("a", 0, ["keep", 40], label="big"))
        ebb.holds("a", 0, 40)
        ebb.holds("b", 0, 1)
        wait_for(lambda: ebb.slot("a", 0)["jobs"] >= 1, PATIENCE, "its jobs are counted")
        check("cannot follow" not in read(ebb.log), "both are followed")
        ebb.no_one_else_was_touched()


def zombie(ebb):
    process = ebb.popen(["/bin/true"])
    wait_for(lambda: read(f"/proc/{process.pid}/stat").rpartition(")")[2].split()[0] == "Z", PATIENCE, "it has ended")
    return process.pid


def who_is_no_worker():
    with Supervisor({"a": {"size": 3, "idle": "signal"}, "inside": {"idle": "signal"}, "full": {"size": 0},
                     "service": {"mode": "service"}}, watch=True, start=False) as ebb:
        mine = read("/proc/self/cgroup").splitlines()[-1].split(":", 2)[2]
        ebb.pools["inside"]["adopt_cgroup"] = "/no-such-cgroup"
        if ROOT:
            ebb.pools["root"] = {"mode": "adopt", "user": "root", "idle": "signal"}
        ebb.configure()
        ebb.start()
        own = ebb.wait_audit(PATIENCE, ev="ready", pool="service")["pid"]
        one = ebb.worker_of("a", program="prefork", lease=False)
        ebb.adopt("service", one, "no-adoption")
        ebb.adopt("full", one, "no-room")
        ebb.adopt("inside", one, "other-cgroup")
        ebb.adopt("nosuch", one, "no-such-pool")
        ebb.adopt("a", 2 ** 22 - 1, "no-process")
        ebb.adopt("a", zombie(ebb), "no-process")
        ours = "root" if ROOT else "a"
        ebb.adopt(ours, ebb.process.pid, "no-worker")
        ebb.adopt(ours, ebb.status()["ebbd"]["pid"], "no-worker")
        ebb.adopt(ours, wait_for(lambda: ebb.status()["watch"]["pid"], PATIENCE, "the watch runs"), "no-worker")
        ebb.adopt(ours, os.getpid(), "no-worker")
        ebb.adopt(ours, own, "in-a-pool")
        if ROOT:
            ebb.adopt("a", own, "other-user")
            ebb.adopt("root", 1, "no-worker")
            ebb.adopt("root", one, "other-user")
            if "kthreadd" in read("/proc/2/stat"):
                ebb.adopt("root", 2, "no-worker")
        ebb.adopt("a", one)
        ebb.adopt("a", one, "in-a-pool")
        ebb.in_job("a")
        child = int(read(f"/proc/{one.pid}/task/{one.pid}/children").split()[0])
        ebb.adopt("a", child, "in-a-pool")
        parent = ebb.popen(["/bin/sh", "-c", "sleep 1000 & echo $! > $0; wait", os.path.join(ebb.spool, "child")])
        inner = int(wait_for(lambda: os.path.exists(os.path.join(ebb.spool, "child")) and
                             read(os.path.join(ebb.spool, "child")), PATIENCE, "it has a child"))
        try:
            ebb.adopt("a", inner)
            ebb.adopt("a", parent, "in-a-pool")
        finally:
            inner_fd = os.pidfd_open(inner)
        ebb.pools["inside"]["adopt_cgroup"] = mine
        ebb.configure()
        ebb.command("reload")
        check(ebb.command("adopt inside %d" % parent.pid)["reason"] == "in-a-pool", "its child is")
        inside = ebb.popen(["/bin/sleep", "1000"])
        ebb.adopt("inside", inside)
        signal.pidfd_send_signal(inner_fd, signal.SIGKILL)
        check(ebb.command("hold a what=refill for=1m")["ev"] == "done", "held")
        other = ebb.worker_of("a", 2, program="prefork", lease=False)
        ebb.adopt("a", other, "hold")
        ebb.send("drain a")
        ebb.adopt("a", other, "drained")
        ebb.finish()
        check(not ebb.audit(ev="exited", pid=own) and other.poll() is None, "nobody of them was touched")
        ebb.terminate()


def whose_lease_is_none():
    """Whatever its user has put there."""
    with Supervisor({"a": {"size": 2}, "b": {}}, watch=False) as ebb:
        victim = os.path.join(ebb.home, "victim")
        write(victim, "X")
        os.chmod(victim, 0o600)

        def with_lease(path):
            return ebb.popen(["/bin/sleep", "1000"], env=ebb.environ_of("a", 0, path))

        def there(name):
            return ebb.lease_path("a", name)
        os.symlink(victim, there("link"))
        os.mkfifo(there("fifo"))
        os.mkdir(there("folder"))
        ebb.make_lease("a", "two")
        os.link(there("two"), there("names"))
        ebb.make_lease("b", "other")
        if ROOT:
            write(there("roots"), "R")
            for name in ("link", "fifo", "folder"):
                os.chown(there(name), USER.pw_uid, USER.pw_gid, follow_symlinks=False)
        bad = [there(name) for name in ("link", "fifo", "folder", "two", "missing", "", ".", "..", "../a/two")]
        bad += [ebb.lease_path("b", "other"), victim, "relative", os.path.join(ebb.run_dir, "board"), None]
        bad += [there("roots")] if ROOT else []
        for path in bad:
            ebb.adopt("a", with_lease(path), "no-lease")
        check(read(victim) == "X" and os.stat(victim).st_mode & 0o777 == 0o600, "no file of others was touched")
        check(not ebb.leases() and ebb.slot("a", 0)["state"] == "empty", "nothing is left of it")
        good = ebb.make_lease("a", "good", content="")
        one, two = with_lease(good), with_lease(good)
        ebb.adopt("a", one)
        check(os.stat(good).st_size == 256 and read(good)[0] == "R", "an empty one is made whole")
        ebb.adopt("a", two, "no-lease")  # it has two names now
        folder = os.stat(os.path.join(ebb.run_dir, "adopt/a"))
        check((folder.st_uid, folder.st_gid, folder.st_mode & 0o7777) == (USER.pw_uid, os.getegid(), 0o770), f"{folder}")
        one.kill()
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)
        wait_for(lambda: not ebb.leases(), PATIENCE, "tidy")
        ebb.terminate()


def under_another_ebbd():
    with Supervisor({"a": {"size": 4, "ready_timeout": "1s"}}, watch=False) as ebb:
        idle, busy, dead, young = [ebb.worker_of("a", slot, name=f"w{slot}") for slot in range(4)]
        for process in (idle, busy, dead):
            ebb.adopt("a", process)
        for slot in range(3):
            ebb.done(ebb.order("a", slot, ["work", 0]))
        for process in (idle, busy, dead):
            ebb.wait_audit(PATIENCE, ev="ready", pid=process.pid)
        ebb.adopt("a", young)
        order = ebb.in_job("a", 1)
        ebb.send("retire a/1 id=retire")
        ebb.wait_audit(PATIENCE, ev="due", slot=1)
        ebb.process.kill()
        ebb.process.wait()
        dead.kill()
        dead.wait()
        ebb.start()
        for process in (idle, busy, young):
            ebb.wait_audit(PATIENCE, ev="takeover", pid=process.pid)
        ebb.wait_audit(PATIENCE, ev="exited", pid=dead.pid)
        before = ["ready", "due", "empty"], ["idle", "due", "empty"]
        wait_for(lambda: [ebb.slot("a", slot)["state"] for slot in range(3)] in before, PATIENCE, "they are as they were")
        ebb.finish()
        ebb.done(order)
        ebb.gone(busy)
        ebb.wait_audit(PATIENCE, ev="done", id="retire")
        check(ebb.command("retire a/0")["ev"] == "done", "who is known to use its lease goes")
        ebb.gone(idle)
        ebb.done(ebb.order("a", 3, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="ready", pid=young.pid)
        wait_for(lambda: ebb.leases() == ["a.3.1"], PATIENCE, "no name is left but that of who is there")
        check(all(read(ebb.lease_path("a", f"w{slot}"))[0] == "R" for slot in range(4)), "all files can be used again")
        ebb.command("drain a")
        ebb.gone(young)
        ebb.no_one_else_was_touched()


def that_dies_while_it_adopts():
    for fault, adopted in (("lease-linked", False), ("wished", True), ("accepted", True)):
        with Supervisor({"a": {}}, watch=False, start=False) as ebb:
            ebb.program, ebb.environ["EBB_FAULT"] = os.path.join(BUILD, "faulty/ebbd"), fault
            ebb.start()
            ebb.program = None
            one = ebb.worker_of("a")
            ebb.send(f"adopt a {one.pid} id=adopt")
            check(ebb.process.wait(PATIENCE) == 86, f"{fault}: it ends at its point")
            ebb.start()
            check(bool(ebb.audit(ev="takeover", pid=one.pid)) == adopted, f"{fault}: adopted {adopted}")
            if not adopted:
                check(not ebb.leases() and one.poll() is None, f"{fault}: as if nothing had been said: {ebb.leases()}")
                check(read(glob.glob(ebb.lease_path("a", "*"))[0])[0] == "R", f"{fault}: nor is it told to go")
                ebb.adopt("a", one)
            if fault == "accepted":
                ebb.wait_audit(PATIENCE, ev="done", id="adopt")
            ebb.done(ebb.order("a", 0, ["work", 0]))
            ebb.wait_audit(PATIENCE, ev="ready", pid=one.pid)
            check(ebb.command("drain a")["ev"] == "done", "and goes when it is told")
            ebb.gone(one)


ASKS = """#!/bin/sh
env > "$0.$EBB_SLOT.$$.new"
id -u >> "$0.$EBB_SLOT.$$.new"
echo "umask $(umask)" >> "$0.$EBB_SLOT.$$.new"
cut -d' ' -f6 /proc/self/stat | sed "s/^/session /; s/ $$\\$/ its-own/" >> "$0.$EBB_SLOT.$$.new"
mv "$0.$EBB_SLOT.$$.new" "$0.$EBB_SLOT.$$"
while [ -e "$0.hangs" ] || [ -e "$0.hangs.$EBB_SLOT" ]; do sleep 0.05; done
[ ! -e "$0.fails" ] && [ ! -e "$0.fails.$EBB_SLOT" ] || exit 3
"""


class Asking(Supervisor):
    def __init__(self, **keys):
        super().__init__({"a": keys}, watch=False, start=False)
        self.script = os.path.join(self.spool, "asks")
        write(self.script, ASKS)
        os.chmod(self.script, 0o755)
        self.pools["a"]["refill_command"] = self.script
        self.configure()

    def mark(self, name, on=True):
        if on:
            write(f"{self.script}.{name}", "")
        else:
            os.unlink(f"{self.script}.{name}")

    def calls(self, slot=0):
        return [path for path in glob.glob(f"{self.script}.{slot}.*") if not path.endswith(".new")]

    def end(self, process):
        process.kill()
        self.wait_audit(PATIENCE, ev="exited", pid=process.pid)

    def all_calls(self):
        return self.calls("[0-9]")

    def wait_calls(self, n, slot=0):
        return wait_for(lambda: len(calls := self.calls(slot)) == n and calls, PATIENCE, f"{n} calls for {slot}")


def somebody_is_asked():
    with Asking(size=2, umask="027") as ebb:
        ebb.start()
        said = read(ebb.wait_calls(1)[0]).splitlines()
        ebb.wait_calls(1, 1)
        environ = dict(line.split("=", 1) for line in said if "=" in line)
        wanted = {"EBB_POOL": "a", "EBB_SLOT": "0", "EBB_RUN_DIR": os.path.realpath(ebb.run_dir)}
        check({key: value for key, value in environ.items() if key.startswith("EBB_")} == wanted, f"told so: {environ}")
        check(str(USER.pw_uid) in said and "session its-own" in said, f"as the user, by itself: {said}")
        check("umask 0027" in said, f"as the pool's workers leave out of modes: {said}")
        one = ebb.worker_of("a")
        ebb.adopt("a", one)
        check(len(ebb.audit(ev="summon")) == 2, f"said: {ebb.audit(ev='summon')}")
        one.kill()
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)
        ebb.wait_calls(2)
        check(len(ebb.calls(1)) == 1, "once for each slot that has become empty")
        check(ebb.command("refill a/1")["ev"] == "done", "or when somebody says so")
        ebb.wait_calls(2, 1)
        check(ebb.command("drain a")["ev"] == "done", "drained")
        check(ebb.command("note warning text=turn")["ev"] == "done" and len(ebb.calls()) == 2, "nobody is wanted")


def who_fails_is_asked_again():
    with Asking() as ebb:
        ebb.mark("fails")
        ebb.start()
        record = ebb.wait_audit(PATIENCE, ev="backoff", slot=0)
        check(record["exit_code"] == 3 and "refill_command" in record["text"], f"said: {record}")
        wait_for(lambda: ebb.slot("a", 0)["state"] == "backoff", PATIENCE, "a while later")
        one = ebb.worker_of("a")
        ebb.wait_calls(2)
        wait_for(lambda: len(ebb.audit(ev="backoff")) == 2, PATIENCE, "fails again")
        ebb.mark("fails", False)
        ebb.adopt("a", one)  # whom somebody has started meanwhile
        check(ebb.slot("a", 0)["pid"] == one.pid, "who backs off can be filled")
        stays(lambda: len(ebb.calls()) == 2, 0.3, "nobody else is asked")
        one.kill()
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)
    with Asking(ready_timeout="300ms") as ebb:
        ebb.pools["a"]["refill_command"] = "/no/such/program"
        ebb.configure()
        ebb.start()
        check("No such file" in ebb.wait_audit(PATIENCE, ev="backoff")["text"], "one that is not there")


def whoever_comes_fills_the_slot_that_waits():
    """Nobody says which call a worker comes of: as many slots are asked for as are empty all the same."""
    with Asking(size=2) as ebb:
        ebb.mark("fails.0")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="backoff", slot=0)
        ebb.wait_calls(1, 1)
        one = ebb.worker_of("a")
        ebb.adopt("a", one)
        calls = len(ebb.all_calls())
        wait_for(lambda: len(ebb.all_calls()) > calls, PATIENCE, "one is still missing, and asked for")
        ebb.end(one)
    with Asking(size=2) as ebb:
        ebb.mark("hangs.0")
        ebb.mark("fails.0")
        ebb.start()
        ebb.wait_calls(1)
        ebb.wait_calls(1, 1)
        one = ebb.worker_of("a")
        ebb.adopt("a", one)
        check(ebb.slot("a", 0)["pid"] == one.pid, "it takes the place of whom is still asked for")
        ebb.mark("hangs.0", False)
        record = ebb.wait_audit(PATIENCE, ev="backoff")
        check((record["slot"], record["exit_code"]) == (1, 3), f"nobody comes for the other one: {record}")
        ebb.wait_calls(2, 1)
        ebb.end(one)


def who_was_sent_away_is_asked_for_again():
    with Asking(size=2) as ebb:
        ebb.start()
        one, n = ebb.worker_of("a"), 1
        for closes, reason, opens in (("drain a", "drained", "resume a"), ("hold a what=refill for=1m", "hold", "resume a"),
                                      ("scale a 0", "no-room", "scale a 2")):
            ebb.wait_calls(n)
            ebb.wait_calls(n, 1)
            check(ebb.command(closes)["ev"] == "done", closes)
            ebb.adopt("a", one, reason)
            ebb.send(opens)
            n += 1
        ebb.wait_calls(n)
        ebb.wait_calls(n, 1)
        ebb.adopt("a", one)
        ebb.end(one)


def who_is_asked_otherwise_is_asked_again():
    with Asking() as ebb:
        ebb.start()
        ebb.wait_calls(1)
        ebb.pools["a"]["environment"] = "V=2"
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "taken")
        ebb.wait_calls(2)
        ebb.mark("hangs")
        ebb.pools["a"]["environment"] = "V=3"
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "taken")
        ebb.wait_calls(3)
        ebb.pools["a"]["environment"] = "V=4"
        ebb.configure()
        check(ebb.command("reload")["ev"] == "done", "taken while it hangs")
        ebb.wait_calls(4)
        ebb.mark("hangs", False)


def one_that_ends_together_with_who_was_asked():
    with Asking() as ebb:
        ebb.mark("hangs")
        ebb.start()
        ebb.wait_calls(1)
        asked = ebb.wait_audit(PATIENCE, ev="summon")["pid"]
        one = ebb.worker_of("a")
        ebb.adopt("a", one)
        ebb.done(ebb.order("a", 0, ["work", 0]))
        ebb.wait_audit(PATIENCE, ev="ready", pid=one.pid)
        ebb.process.send_signal(signal.SIGSTOP)
        try:
            one.kill()
            one.wait()
            ebb.mark("hangs", False)
            wait_for(lambda: not running(asked), PATIENCE, "the command has ended too, and well")
        finally:
            ebb.process.send_signal(signal.SIGCONT)
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)
        record = ebb.wait_audit(PATIENCE, ev="backoff")
        check("exit_code" not in record and "refill_command" not in record["text"], f"it died young: {record}")


def who_takes_long_is_only_told_of():
    with Asking(ready_timeout="300ms") as ebb:
        ebb.mark("hangs")
        ebb.start()
        warning = ebb.wait_audit(PATIENCE, ev="warning", reason="summon")
        check(running(warning["pid"]) and "has not ended" in warning["text"], f"said: {warning}")
        one = ebb.worker_of("a")
        ebb.adopt("a", one)
        one.kill()
        ebb.wait_audit(PATIENCE, ev="exited", pid=one.pid)
        stays(lambda: len(ebb.calls()) == 1, 0.3, "it is not run beside itself")
        ebb.mark("hangs", False)
        ebb.wait_calls(2)
        wait_for(lambda: len(ebb.audit(ev="warning", reason="summon")) == 2, PATIENCE, "nobody has come")
        stays(lambda: len(ebb.calls()) == 2 and len(ebb.audit(ev="warning", reason="summon")) == 2, 0.5, "that is said once")


def who_was_asked_by_one_that_died():
    for fault in (None, "summon-noted:2", "summoned:2"):
        with Asking(ready_timeout="4s") as ebb:
            if fault:
                ebb.program, ebb.environ["EBB_FAULT"] = os.path.join(BUILD, "faulty/ebbd"), fault
                ebb.start()
                one = ebb.worker_of("a")
                ebb.adopt("a", one)
                one.kill()
                ebb.process.wait(PATIENCE)
                ebb.program = None
            else:
                ebb.start()
                ebb.wait_calls(1)
                ebb.process.kill()
                ebb.process.wait()
            ebb.start()
            n = 2 if fault == "summoned:2" else 1
            stays(lambda n=n: len(ebb.calls()) <= n, 0.5, f"{fault}: who was asked has time")
            ebb.wait_calls(n + 1)
            check(len(ebb.audit(ev="refused")) == 0 and not leftovers(ebb.run_dir), "and is asked again when nobody has come")


main(by_lease, its_first_job_proves_it, one_that_never_comes_to_its_lease, one_whose_group_ebbd_is_in, by_signal,
     watched, who_is_no_worker, whose_lease_is_none, under_another_ebbd, that_dies_while_it_adopts, somebody_is_asked, who_fails_is_asked_again,
     whoever_comes_fills_the_slot_that_waits, who_was_sent_away_is_asked_for_again,
     who_is_asked_otherwise_is_asked_again, one_that_ends_together_with_who_was_asked, who_takes_long_is_only_told_of,
     who_was_asked_by_one_that_died)
