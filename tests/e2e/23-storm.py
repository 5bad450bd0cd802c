#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""ebbd and ebb-watch are killed at random moments, over and over: is each job done exactly once, none of them interrupted,
each pool back at its size at once, and nothing left behind?

Actors: ebbd and ebb-watch; four pools on queues that count (tests/lib/stormy.py) with jobs of 1 ms to 2 s: two that lock,
then fetch (Python, and the shell SDK's example), from queues that forget what they have handed out; two that fetch, then
lock, from queues that deliver again. The test as the killer, as an impatient deploy script, and as who fills the queues.
EBB_STORM sets how often each of the two daemons is killed, EBB_STORM_SEED makes one storm's choices again; `make soak` is
long.
"""
# once: a storm without eBPF differs in nothing but how late the watch acts
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import collections  # noqa: E402
import fcntl  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from ebbtest import (LIB, PATIENCE, ROOT, SLOWER, Ebb, Failure, TornLines, check, leftovers, main, running,  # noqa: E402
                     seconds, stays, wait_for)
from machine import attempt, read, write  # noqa: E402

sys.path.append(os.path.join(ROOT, "user/sdk/python"))
from stormy import Queue, start_of  # noqa: E402

KILLS = int(os.environ.get("EBB_STORM", 15))
SEED = int(os.environ.get("EBB_STORM_SEED", time.time_ns() % 1_000_000))
SIZE = 3
BACKLOG = 8
PATTERNS = {"orders": "lock-fetch", "shell": "lock-fetch", "mails": "fetch-lock", "thumbs": "fetch-lock"}
SHORTEST, LONGEST = 0.001, 2.0
AT_SIZE_SECONDS = 1  # after the last start

SHELL_JOB = """name=${1##*/}
echo "start $name" >>"$QUEUE/journal"
sleep "${name##*-}"
echo "end $name" >>"$QUEUE/journal"
"""


def passes(found, what):
    """Wait until nothing is found any more."""
    until = time.monotonic() + PATIENCE * SLOWER
    while left := found():
        check(time.monotonic() < until, f"{what}: {left}")
        time.sleep(0.1)


class Queues:
    """Keeps them filled, and delivers again what the dead had claimed where a queue does that; in a thread."""

    def __init__(self, home, seed):
        self.random = random.Random(seed)
        self.queues = {pool: Queue(os.path.join(home, "queue", pool), create=True) for pool in PATTERNS}
        self.put = {pool: 0 for pool in PATTERNS}
        self.again, self.open, self.error = 0, True, None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def turn(self):
        for pool, queue in self.queues.items():
            for _ in range(BACKLOG - len(queue.names("new")) if self.open else 0):
                # As many of a magnitude as of any other.
                length = SHORTEST * (LONGEST / SHORTEST) ** self.random.random()
                queue.put(f"{self.random.choice(('short', 'sweet'))}-{self.put[pool]:06d}-{length:.3f}")
                self.put[pool] += 1
            if PATTERNS[pool] == "fetch-lock":
                self.again += queue.deliver_again()

    def run(self):
        try:
            while not self.ended.wait(0.03):
                self.turn()
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def empty(self):
        check(not self.error, f"the queues are kept: {self.error!r}")
        return not any(queue.names(folder) for queue in self.queues.values() for folder in ("new", "claimed"))

    def close(self):
        """Nothing new, and wait for all that there is."""
        self.open = False
        try:
            wait_for(self.empty, 3 * PATIENCE, "all jobs are done")
        except Failure:
            check_jobs(self)  # which may know better what is wrong
            raise
        finally:
            self.ended.set()
            self.thread.join()


def pools(home):
    def command(pool):
        queue = os.path.join(home, "queue", pool)
        if pool == "shell":
            return f"/bin/sh {home}/lib/worker.sh {queue} /bin/sh {home}/lib/job.sh"
        return f"/usr/bin/python3 -S -B {home}/lib/stormy.py {queue} {PATTERNS[pool]}"
    return {pool: {"size": SIZE, "command": command(pool), "environment": f"QUEUE={home}/queue/{pool}",
                   "footprint_limit": "off" if pool == "shell" else "24M"} for pool in PATTERNS}


def prepare(ebb):
    shutil.copy(os.path.join(LIB, "stormy.py"), os.path.join(ebb.home, "lib"))
    shutil.copy(os.path.join(ROOT, "user/sdk/shell/worker.sh"), os.path.join(ebb.home, "lib"))
    write(os.path.join(ebb.home, "lib/job.sh"), SHELL_JOB)
    ebb.pools = pools(ebb.home)
    ebb.configure()
    return Queues(ebb.home, SEED)


def watch_of(pid):
    """ebbd's ebb-watch, as (pid, pidfd), or None: opened first, then looked at."""
    for child in read(f"/proc/{pid}/task/{pid}/children").split():
        try:
            pidfd = os.pidfd_open(int(child))
        except ProcessLookupError:
            continue
        try:
            if read(f"/proc/{child}/comm") == "ebb-watch\n" and start_of(child):
                return int(child), pidfd
        except (FileNotFoundError, ProcessLookupError):
            pass
        os.close(pidfd)
    return None


class Storm:
    def __init__(self, ebb):
        self.ebb, self.random = ebb, random.Random(SEED)
        self.kills = {"ebbd": 0, "ebb-watch": 0}
        self.orders, self.undo = 0, []

    def pause(self):
        """Often so short that a daemon is hit while it starts, else long enough for it to have got to work."""
        time.sleep(self.random.uniform(0, 0.03) if self.random.random() < 0.3 else self.random.uniform(0, 0.8))

    def kill_ebbd(self):
        self.ebb.process.kill()
        self.ebb.process.wait()
        self.kills["ebbd"] += 1
        if self.random.random() < 0.2:
            self.pause()
        self.ebb.start(serve=False)

    def kill_watch(self):
        watch = watch_of(self.ebb.process.pid)
        if not watch:
            return
        signal.pidfd_send_signal(watch[1], signal.SIGKILL)
        os.close(watch[1])
        self.kills["ebb-watch"] += 1

    def order(self):
        """Commands of a deploy script, which are soon taken back, and more than once, should nobody have heard it."""
        self.undo = self.undo[-6:]
        lines = list(self.undo)
        for _ in range(self.random.randint(0, 3)):
            pool, slot = self.random.choice(list(PATTERNS)), self.random.randrange(SIZE)
            line, undo = self.random.choice((
                (f"retire {pool}", None), (f"retire {pool}/{slot}", None), ("hold all for=200ms", None), ("reload", None),
                (f"scale {pool} {SIZE - 1}", f"scale {pool} {SIZE}"), (f"scale {pool} +1", f"scale {pool} {SIZE}"),
                (f"drain {pool}", f"resume {pool}"), (f"retire {pool}/{slot} refill=no", f"refill {pool}/{slot}")))
            lines.append(line)
            self.undo += [undo] if undo else []
        self.orders += len(lines) if heard(self.ebb, *lines) else 0

    def rage(self):
        while min(self.kills.values()) < KILLS:
            self.order()
            self.pause()
            check(self.ebb.process.poll() is None, "ebbd does not end by itself")
            short = min(self.kills, key=self.kills.get)
            victim = short if self.random.random() < 0.6 else self.random.choice(list(self.kills))
            self.kill_watch() if victim == "ebb-watch" else self.kill_ebbd()
            self.ebb.audit()  # before it is rotated away


def full(ebb):
    """All pools at size and nobody on the way out."""
    found = {name: ebb.pool(name)["workers"] for name in PATTERNS}
    return all(sorted(w["slot"] for w in workers if w["state"] in ("ready", "idle", "busy")) == list(range(SIZE)) ==
               sorted(w["slot"] for w in workers) for workers in found.values())


def heard(ebb, *lines):
    """Is there somebody to read them?"""
    try:
        ebb.send("\n".join(lines))
        return True
    except OSError:
        return False


def calm_down(ebb):
    """Take back all that was ordered."""
    lines = ["resume all", *(f"refill {pool}" for pool in PATTERNS), *(f"scale {pool} {SIZE}" for pool in PATTERNS)]
    wait_for(lambda: heard(ebb, *lines), PATIENCE, "ebbd reads")
    try:
        wait_for(lambda: full(ebb), PATIENCE, "all pools are at size")
    except Failure:
        print(ebb.ebb("status"))  # which worker is missing, and what is there in its place
        raise


def no_processor():
    """Seconds so far in which somebody waited for one; 0 where the kernel does not count them."""
    path = "/proc/pressure/cpu"
    return int(read(path).split("total=")[1].split()[0]) / 1e6 if os.path.exists(path) else 0


def last_start(ebb):
    """Kill both once more; after how many seconds each slot had a worker again, by the audit, and without one reason for
    being late: that others had the processors."""
    ebb.process.kill()
    ebb.process.wait()
    known, started, others = len(ebb.audit()), time.time(), no_processor()
    ebb.start()
    places = {(pool, slot) for pool in PATTERNS for slot in range(SIZE)}

    def filled():
        since = {(r["pool"], r["slot"]): seconds(r) - started for r in reversed(ebb.audit()[known:])
                 if r["ev"] in ("takeover", "refill")}
        return places <= set(since) and since
    after = max(wait_for(filled, PATIENCE, "each slot has a worker").values())
    return after, max(after - (no_processor() - others), 0)


def check_jobs(queues):
    for pool, queue in queues.queues.items():
        runs = queue.runs()
        done, again = queue.names("done"), sum(n - 1 for n in runs["start"].values())
        print(f"{pool}: {len(done)} jobs ({PATTERNS[pool]}), {again} begun again")
        check(len(done) == len(set(done)) == queues.put[pool] == len(runs["end"]), f"{pool}: each job is done")
        broken = [name for name in runs["start"] if runs["start"][name] != runs["end"][name]]
        check(not broken, f"{pool}: none is interrupted: {broken[:10]}")
        check(PATTERNS[pool] == "fetch-lock" or not again, f"{pool}: none is done twice")
        check(not runs["overlap"], f"{pool}: never two workers in one slot: {runs['overlap']}")


def check_audit(ebb, storm):
    records = ebb.audit()
    count = collections.Counter(r["ev"] for r in records)
    reasons = collections.Counter(r["reason"] for r in records if r["ev"] == "retire")
    print("audit:", *(f"{count[ev]} {ev}," for ev in ("start", "takeover", "retire", "fenced", "exited", "refill")),
          f"retired because of {dict(reasons)}; {storm.orders} commands")
    check(count["takeover"] >= KILLS, f"workers were taken over: {count}")
    asked = reasons["request"] + reasons["scale"] + reasons["drain"]
    check(asked >= KILLS / 5 and reasons["footprint"], f"workers were retired for all kinds of reasons: {reasons}")
    backoff = [r for r in records if r["ev"] == "backoff"]
    check(not backoff, f"no worker failed, so no slot waits: {backoff[:5]}")
    hard = [r for r in records if r["ev"] == "signalled" and r["signal"] == signal.SIGKILL]
    check(not hard, f"nobody had to be killed: {hard[:5]}")


def named_in(run_dir):
    """Processes with the run directory in their command line: ours and our watches."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found += [int(pid)] if run_dir.encode() in file.read().split(b"\0") else []
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def lease_of(pid):
    try:
        entries = read(f"/proc/{pid}/environ").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((os.path.basename(e) for e in entries if e.startswith("EBB_LEASE=")), None)


def holdings(ebb):
    """What daemons at rest hold."""
    return {"ebbd's descriptors": len(os.listdir(f"/proc/{ebb.process.pid}/fd")),
            "ebb-watch's descriptors": len(os.listdir(f"/proc/{ebb.status()['watch']['pid']}/fd")),
            "run directory": sorted(name for name in os.listdir(ebb.run_dir) if not name.startswith("audit")),
            "pins": sorted(ebb.pins())}


def compare(now, before):
    """What is not as it was. A watch that takes over pinned programs need not hold them all itself."""
    return {what: (before[what], has) for what, has in now.items()
            if (has > before[what] if what == "ebb-watch's descriptors" else has != before[what])}


def left_over(ebb):
    """Leases and processes beyond those of the workers on the board."""
    leases = {f"{name}.{w['slot']}.{w['generation']}" for name in PATTERNS for w in ebb.pool(name)["workers"]}
    watch = watch_of(ebb.process.pid)
    if not watch:
        return {"no ebb-watch"}
    os.close(watch[1])
    return {*set(os.listdir(os.path.join(ebb.run_dir, "lease"))) ^ leases,
            *{lease_of(pid) for pid in leftovers(ebb.run_dir)} - leases - {None},
            *set(named_in(ebb.run_dir)) ^ {ebb.process.pid, watch[0]}}


def storm():
    print(f"seed {SEED}, {KILLS} kills each")
    with Ebb({}, start=False) as ebb:
        queues = prepare(ebb)
        ebb.audit_lines = TornLines(ebb.audit_lines.path)
        ebb.start()
        ebb.ready()
        wait_for(lambda: all(w["footprint_bytes"] for pool in PATTERNS for w in ebb.pool(pool)["workers"]), PATIENCE,
                 "the watch has had its first look")
        before = holdings(ebb)
        queues.thread.start()
        storm_ = Storm(ebb)
        started = time.monotonic()
        storm_.rage()
        calm_down(ebb)
        after, late = last_start(ebb)
        print(f"killed: {storm_.kills} in {time.monotonic() - started:.0f} s; "
              f"each slot had a worker {after * 1000:.0f} ms after the last start")
        check(late < AT_SIZE_SECONDS * SLOWER, f"each pool is at its size within {AT_SIZE_SECONDS} s: {after} ({late})")
        queues.close()
        wait_for(lambda: full(ebb), PATIENCE, "all pools are at size")
        passes(lambda: compare(holdings(ebb), before), "the daemons hold what they held")
        print("at rest, as before:", *(f"{n} {what}" for what, n in before.items() if isinstance(n, int)))
        passes(lambda: left_over(ebb), "nothing is left over")
        ebb.stop()
        pins = ebb.pins("")
        check(not pins, f"no pinned object is left, nor a folder for them: {pins}")
        check(not os.listdir(os.path.join(ebb.run_dir, "lease")), "no lease is left")
        check("control" not in os.listdir(ebb.run_dir), "no FIFO is left")
        check(not named_in(ebb.run_dir), f"no daemon is left: {named_in(ebb.run_dir)}")
        check_jobs(queues)
        check_audit(ebb, storm_)


def one_alone(ebb):
    """The only worker there is, by its processes."""
    pids = [pid for pid in leftovers(ebb.run_dir) if os.getsid(pid) == pid]
    return pids[0] if len(pids) == 1 else None


def killed_while_it_starts_a_worker():
    """Between clone and exec nobody can tell whose child that is: the next ebbd must not be quicker than its exec."""
    asked = threading.Event()
    signal.signal(signal.SIGIO, lambda *_: asked.set())
    with Ebb({"slow": {"command": "lib/slow", "ready_timeout": "2s"}}, watch=False, start=False) as ebb:
        slow = os.path.join(ebb.home, "lib/slow")
        write(slow, f"#!/bin/sh\nexec {ebb.worker()}\n")
        os.chmod(slow, 0o755)
        ebb.pools["slow"]["command"] = slow
        ebb.configure()
        # Who opens a file that somebody has a lease on, waits until that is given up: so does exec.
        with open(slow, "rb") as file:  # not for writing, or exec would be refused
            attempt("no leases on files", fcntl.fcntl, file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            ebb.start(serve=False)
            wait_for(asked.is_set, PATIENCE, "exec waits")
            ebb.process.kill()
            ebb.process.wait()
            ebb.start(serve=False)
            stays(lambda: len(ebb.audit(ev="start")) == 1, 0.5, "the next ebbd waits too")
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        wait_for(lambda: len(ebb.audit(ev="start")) == 2, PATIENCE, "and goes on then")
        ebb.wait_audit(PATIENCE, ev="ready", slot=0)
        check([r["generation"] for r in ebb.audit(ev="ready")] == [1], f"it has taken over the first: {ebb.audit()}")
        check(one_alone(ebb) == ebb.audit(ev="takeover")[0]["pid"], f"and made no other: {leftovers(ebb.run_dir)}")


UNKNOWN = """use Fcntl ':flock';
open(my $lease, '+<', $ENV{EBB_LEASE}) or die;
$0 = 'a worker with a title that takes all the room of its environment ' . 'x' x 4000;
while (1) {
  flock($lease, LOCK_EX);
  seek($lease, 0, 0); sysread($lease, my $order, 1);
  exit if $order eq 'X';
  select(undef, undef, undef, 0.05);
  flock($lease, LOCK_UN);
  select(undef, undef, undef, 0.05);
}
"""


def lost_without_a_trace():
    """Neither the board nor its environment tells of a worker: its slot is filled again, and it leaves by its lease."""
    with Ebb({"unknown": {"command": "/usr/bin/perl lib/unknown.pl"}}, watch=False, start=False) as ebb:
        write(os.path.join(ebb.home, "lib/unknown.pl"), UNKNOWN)
        ebb.pools["unknown"]["directory"] = ebb.home
        ebb.configure()
        ebb.start()
        pid = ebb.wait_audit(PATIENCE, ev="ready")["pid"]
        wait_for(lambda: not lease_of(pid), PATIENCE, "its environment is overwritten")
        ebb.process.kill()
        ebb.process.wait()
        write(os.path.join(ebb.run_dir, "board"), "damaged")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)
        wait_for(lambda: not running(pid), PATIENCE, "it reads that it is not wanted")
        ebb.process.kill()  # a lease that was locked at that moment keeps its name until somebody looks again
        ebb.process.wait()
        ebb.start()
        leases = os.listdir(os.path.join(ebb.run_dir, "lease"))
        check(leases == ["unknown.0.2"], f"and nothing is left of it: {leases}")


def end_unseen():
    """How a worker ends that another ebbd has started, nobody can tell: that is no reason to let its slot wait."""
    with Ebb({"reports": {}}, watch=False) as ebb:
        ebb.ready()
        ebb.process.kill()
        ebb.process.wait()
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover")
        ebb.order("reports", 0, ["leave", 0])
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)
        check(not ebb.audit(ev="backoff"), f"{ebb.audit(ev='backoff')}")


main(storm, killed_while_it_starts_a_worker, lost_without_a_trace, end_unseen)
