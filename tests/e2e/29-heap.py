#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""From when they are ready on, do the daemons allocate anything for what they do: retire by each rule and on command, refill,
wait for a job and fence, see a job end, find what a worker left behind, meet pressure?

Actors: ebbd and ebb-watch as they are, with tests/lib/heap.c preloaded, which notes each call for memory; pools of Python
workers. Under pressure: two of them in a memory cgroup with a small limit and swap made by the test, beside a process of
the test that keeps writing to more memory than fits. A journal of the test. That the hook sees anything: a reload allocates, and so does a start.
"""
# exclusive: makes memory pressure
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import json  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402

from ebbtest import BUILD, MIB, PATIENCE, Ebb, check, main, wait_for  # noqa: E402
from machine import Skip, memory_cgroup, pressure_cgroup, read, swap, write  # noqa: E402
from thrash import Thrashers  # noqa: E402

HOOK = os.path.join(BUILD, "lib/heap.so")
LINES, LINE_BYTES = 64, 1024  # of tests/lib/heap.c


class Heap:
    """What the daemons of an Ebb have allocated since a moment."""

    def __init__(self, ebb):
        self.ebb = ebb
        self.folder = os.path.join(ebb.home, "heap")
        os.mkdir(self.folder)
        ebb.environ.update(LD_PRELOAD=HOOK, EBB_HEAP=self.folder)
        self.begun = {}

    def calls(self, name):
        """(how many, the last of them) of each process of that program."""
        found = {}
        for file in os.listdir(self.folder):
            if file.startswith(name + "."):
                with open(os.path.join(self.folder, file), "rb") as heap:
                    data = heap.read()
                n = int.from_bytes(data[:8], sys.byteorder)
                lines = [data[8 + i % LINES * LINE_BYTES:][:LINE_BYTES].split(b"\0")[0].decode() for i in
                         range(max(0, n - LINES), n)]
                found[file] = n, lines
        return found

    def seal(self):
        self.begun = {name: {file: n for file, (n, _) in self.calls(name).items()} for name in ("ebbd", "ebb-watch")}
        for name, of in self.begun.items():
            check(len(of) == 1 and all(of.values()), f"one {name}, whose start was seen to allocate: {of}")

    def since(self, name):
        """Calls since then."""
        new = []
        for file, (n, lines) in self.calls(name).items():
            more = n - self.begun[name].get(file, 0)
            new += lines[-more:] if more else []
        return new

    def nothing(self, what):
        for name in ("ebbd", "ebb-watch"):
            new = self.since(name)
            check(not new, f"{name} has allocated {len(new)} times or more: {what}\n" + "\n".join(map(explain, new)))


def explain(line):
    """A call with the names of its callers, as far as they are ours."""
    what, size, *callers = line.split(" ")
    names = []
    for caller in callers:
        path, _, offset = caller.rpartition("+")
        tool = ["addr2line", "-fse", path, hex(int(offset, 16) - 1)]
        said = subprocess.run(tool, capture_output=True, text=True, check=False).stdout.split() if BUILD in path else []
        names.append(" ".join(said) or os.path.basename(caller))
    return f"  {what} {size}: " + " < ".join(names)


def hooked(pools, host=None):
    if not os.path.exists(HOOK):
        raise Skip("the hook is not built (make build-tests)")
    ebb = Ebb(pools, host, start=False)
    return ebb, Heap(ebb)


def settled(ebb, heap):
    """All are up, and the watch has figures of all of them: what is done once has been done."""
    ebb.ready()
    wait_for(lambda: all(worker["footprint_bytes"] for pool in ebb.status()["pools"] for worker in pool["workers"]),
             PATIENCE, "figures of all workers")
    heap.seal()


def next_one(ebb, pool, slot, generation):
    ebb.wait_audit(PATIENCE, ev="ready", pool=pool, slot=slot, generation=generation)


def by_footprint_in_a_job(ebb):
    """Over its limit while it works: due by command, fenced at its end."""
    release = os.path.join(ebb.home, "release")
    order = ebb.order("limit", 0, ["keep", 60], ["until", release], label="large")
    ebb.holds("limit", 0, 60)
    ebb.send("retire limit/0 id=due")
    ebb.wait_audit(PATIENCE, ev="due", pool="limit", slot=0)
    write(release, "")
    ebb.done(order)
    next_one(ebb, "limit", 0, 2)
    ebb.wait_audit(PATIENCE, ev="done", id="due")


def by_footprint(ebb):
    ebb.done(ebb.order("limit", 0, ["keep", 60]))
    record = ebb.wait_audit(PATIENCE, ev="retire", pool="limit", slot=0, generation=2)
    check(record["reason"] == "footprint", f"by its limit: {record}")
    next_one(ebb, "limit", 0, 3)


def by_creeping(ebb):
    """Over its limit between two jobs."""
    ebb.order("limit", 0, ["creep", 60, 4, 0.02], lease=False, thread=True)
    ebb.wait_audit(PATIENCE, ev="retire", pool="limit", slot=0, generation=3)
    next_one(ebb, "limit", 0, 4)


def by_budget(ebb):
    ebb.done(ebb.order("large", 0, ["keep", 320]))
    record = ebb.wait_audit(PATIENCE, ev="retire", pool="large", slot=0)
    check(record["reason"] == "budget", f"by the budget: {record}")
    next_one(ebb, "large", 0, 2)


def on_command(ebb):
    for line in ("retire many/0", "retire many", "scale many 5", "scale many 3", "hold many what=retire for=1m", "resume many",
                 "drain many", "resume many", "note warning text=seen"):
        check(ebb.command(line)["ev"] == "done", line)
    check(ebb.command("retire nobody/0")["ev"] == "refused", "what is refused, too")
    ebb.send(b"x" * 2000 + b"\n\x01\n")
    ebb.wait_audit(PATIENCE, ev="refused", reason="binary")


def by_itself(ebb):
    """It dies; and the next one leaves somebody behind."""
    generation = max(record["generation"] for record in ebb.audit(ev="ready", pool="many", slot=0))
    ebb.order("many", 0, ["kill", int(signal.SIGSEGV)])
    next_one(ebb, "many", 0, generation + 1)
    ebb.done(ebb.order("many", 0, ["daemon", 1]))
    check(ebb.command("retire many/0")["ev"] == "done", "it goes, and all of it")
    next_one(ebb, "many", 0, generation + 2)


def acts_allocate_nothing():
    pools = {"limit": {"footprint_limit": "50M"}, "large": {}, "many": {"size": 3, "grace": "1s"}}
    ebb, heap = hooked(pools, {"memory_budget": "300M"})
    with ebb:
        ebb.start()
        settled(ebb, heap)
        for act in (by_footprint_in_a_job, by_footprint, by_creeping, by_budget, on_command, by_itself):
            act(ebb)
            heap.nothing(act.__name__)
        check(ebb.command("reload")["ev"] == "done", "a reload")
        check(heap.since("ebbd"), "which allocates, and is seen to")


def journal_that_does_not_read():
    """Its socket is full before long: nobody waits for it, nothing is allocated, and what was lost is said."""
    if os.geteuid():
        raise Skip("needs root to put a journal where it belongs")
    ebb, heap = hooked({"many": {}})
    with ebb, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as journal:
        folder = os.path.join(ebb.home, "journal")
        os.mkdir(folder)
        journal.bind(os.path.join(folder, "socket"))
        script = 'mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && mount --bind "$0" /run/systemd/journal && exec "$@"'
        if subprocess.run(["unshare", "--mount", "/bin/sh", "-c", script, folder, "true"], capture_output=True, check=False).returncode:
            raise Skip("no mounts of one's own")
        ebb.through = ["unshare", "--mount", "/bin/sh", "-c", script, folder]
        ebb.start()
        settled(ebb, heap)
        for number in range(50):
            check(ebb.command(f"note warning text={number}")["ev"] == "done", "it is answered all the same")
        heap.nothing("a journal that does not read")
        entries = list(received(journal))
        check(json.loads(entries[0]["MESSAGE"])["ev"] == entries[0]["EBB_EVENT"] == "start", f"entries as the audit has: {entries[0]}")
        check(ebb.command("retire many/0")["ev"] == "done", "now it reads")
        lost = wait_for(lambda: [entry for entry in received(journal) if "EBB_LOST" in entry], PATIENCE, "it says what was lost")
        check(int(lost[0]["EBB_LOST"]) > 100, f"most of it: {lost}")


def received(journal):
    try:
        while True:
            yield dict(line.split("=", 1) for line in journal.recv(1 << 16).decode().splitlines())
    except BlockingIOError:
        pass


def pressure_allocates_nothing():
    try:
        read("/proc/pressure/memory")
    except OSError as error:
        raise Skip(f"no pressure figures: {error.strerror}") from error
    ebb, heap = hooked({})
    with ebb:
        swap(ebb.loans, ebb.home, 768)
        group = memory_cgroup(ebb.loans, 256)
        pressed = pressure_cgroup(ebb.loans, group)
        command = group.wrap(ebb.worker(), f"{ebb.home}/worker", pressed)
        ebb.pools = {"demands": {"command": command, "contribution_limit": "50%", "min_gain": "4M"}, "idle": {"command": command}}
        ebb.host = {"pressure_source": f"{pressed.path}/memory.pressure", "pressure_some": "1%", "cooldown": "1s"}
        ebb.configure()
        ebb.start()
        settled(ebb, heap)
        ebb.done(ebb.order("idle", 0, ["keep", 40]))
        ebb.holds("idle", 0, 40)
        thrashed = os.path.join(ebb.home, "thrashed")
        with Thrashers(group, pressed, mib=400):
            ebb.wait_audit(PATIENCE, lambda r: "elevated" in str(r.get("text")), ev="pressure")
            ebb.order("demands", 0, ["keep", 120], ["thrash", thrashed])
            ebb.wait_audit(PATIENCE, ev="retire", reason="pressure")
            wait_for(lambda: (ebb.slot("demands", 0).get("contribution") or 0) > 0.5, PATIENCE, "it demands the most")
            ebb.send("retire demands/0")
            write(thrashed, "")
            ebb.wait_audit(PATIENCE, ev="exited", pool="demands")
        ebb.wait_audit(60, lambda r: "calm" in str(r.get("text")), ev="pressure")
        heap.nothing("pressure that comes and goes")


main(acts_allocate_nothing, journal_that_does_not_read, pressure_allocates_nothing)
