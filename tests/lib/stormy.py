#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A queue that counts, and its worker: made of files, renamed one by one, so that nobody's death can spoil it.

    stormy.py QUEUE lock-fetch|fetch-lock

    new/<kind>-<number>-<seconds>     a job, to be done; it takes that long
    claimed/<name>.<pid>.<start>      a worker has it: that pid, which began at that clock tick
    done/<name>                       acknowledged
    slot/<slot>                       locked by the slot's worker for all its life
    journal                           a line for each `start`, `end` and `overlap`, by one write each

The worker has no handler for any signal: one that came in a job would leave a start without an end. It keeps up to two
MiB of each job. The shell SDK's example works on the same folders; its claims bear only the name of the job.
"""
import collections
import fcntl
import os
import sys
import time

import ebb_worker  # beside this file: the test puts it there

FOLDERS = "new", "claimed", "done", "slot"
MIB = 1 << 20


def start_of(pid):
    """When a process began, in clock ticks; None: there is none that could still work."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Queue:
    def __init__(self, path, create=False):
        self.path = path
        if create:
            for folder in FOLDERS:
                os.makedirs(self.place(folder))
        self.journal = os.open(self.place("journal"), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def place(self, *names):
        return os.path.join(self.path, *names)

    def names(self, folder):
        return sorted(os.listdir(self.place(folder)))

    def note(self, what, name):
        os.write(self.journal, f"{what} {name}\n".encode())

    def put(self, name):
        with open(self.place("new", name), "x", encoding="ascii"):
            pass

    def claim(self, timeout):
        """(name, path) of a job that is ours now, or None."""
        mine = f".{os.getpid()}.{start_of(os.getpid())}"
        until = time.monotonic() + timeout
        while True:
            for name in self.names("new"):
                path = self.place("claimed", name + mine)
                try:
                    os.rename(self.place("new", name), path)
                    return name, path
                except FileNotFoundError:
                    pass  # somebody else was faster
            if time.monotonic() >= until:
                return None
            time.sleep(0.01)

    def put_back(self, name, path):
        os.rename(path, self.place("new", name))

    def work(self, name, path):
        self.note("start", name)
        time.sleep(float(name.rpartition("-")[2]))
        self.note("end", name)
        os.rename(path, self.place("done", name))

    def deliver_again(self):
        """What the dead have claimed and not acknowledged; how many."""
        again = 0
        for claim in self.names("claimed"):
            name, pid, start = claim.rsplit(".", 2)
            if start_of(int(pid)) != int(start):
                try:
                    self.put_back(name, self.place("claimed", claim))
                    again += 1
                except FileNotFoundError:
                    pass  # acknowledged just before it died
        return again

    def runs(self):
        """{what: how often of each name} from the journal."""
        counts = {what: collections.Counter() for what in ("start", "end", "overlap")}
        with open(self.place("journal"), encoding="ascii") as file:
            for line in file:
                what, name = line.split()
                counts[what][name] += 1
        return counts


class Worker:
    def __init__(self, queue):
        self.queue, self.slot = queue, None
        self.kept = []
        self.lease = ebb_worker.Lease()

    def do(self, name, path):
        self.queue.work(name, path)
        self.kept.append(b"\1" * (int(name.split("-")[1]) % 3 * MIB))

    def lock_then_fetch(self):
        with self.lease.turn() as turn:
            job = self.queue.claim(timeout=0.3)
            if job:
                turn.label(job[0].partition("-")[0])
                self.do(*job)

    def fetch_then_lock(self):
        job = self.queue.claim(timeout=0.3)
        if not job:
            return
        try:
            with self.lease.job(job[0].partition("-")[0]):
                self.do(*job)
        except ebb_worker.Retired:
            self.queue.put_back(*job)
            raise

    def enter_slot(self):
        slot = os.environ["EBB_SLOT"]
        self.slot = os.open(self.queue.place("slot", slot), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self.slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.queue.note("overlap", slot)

    def run(self, pattern):
        self.enter_slot()
        self.lease.ready()
        turn = self.lock_then_fetch if pattern == "lock-fetch" else self.fetch_then_lock
        while True:
            turn()


if __name__ == "__main__":
    Worker(Queue(sys.argv[1])).run(sys.argv[2])
