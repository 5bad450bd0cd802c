#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker that does as it is told and writes down everything that happens to it.

    worker.py SPOOL [--pattern fetch-lock|lock-fetch|once] [--lease use|never|late] [--threads N]
                    [--ballast MIB] [--trims] [--slow SECONDS]

Orders are JSON files, claimed by rename, from SPOOL/<pool>.<slot>/ and then from SPOOL/<pool>/. An order holds `steps`
(see Worker.STEPS), an `id`, and maybe `label`, `lease` (false: do it without the lease) and `thread` (do it in the
background, without the lease). Everything is written to SPOOL/journal, one JSON object a line, by one write each.
"""
import argparse
import contextlib
import gc
import json
import mmap
import os
import signal
import sys
import threading
import time

import ebb_worker  # beside this file: the test puts it there

MIB = 1 << 20
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}
UNRECORDED = FAULTS | {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


def touch(mib, shared=False):
    """Memory that is really there: every page written, with bytes that do not compress to nothing."""
    flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, mib * MIB, flags=flags)
    memory.madvise(mmap.MADV_NOHUGEPAGE)  # a fault a page, whatever this machine prefers
    for page in range(0, mib * MIB, mmap.PAGESIZE):
        memory[page:page + 512] = os.urandom(512) if page % MIB == 0 else b"%512d" % page
    return memory


class Journal:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.who = {"pool": os.environ.get("EBB_POOL"), "slot": int(os.environ.get("EBB_SLOT", -1)),
                    "gen": int(os.environ.get("EBB_GENERATION", 0))}

    def write(self, ev, **more):
        record = {"t": time.time(), "ev": ev, "pid": os.getpid(), **self.who, **more}
        os.write(self.fd, json.dumps(record).encode() + b"\n")


class Worker:
    def __init__(self, options):
        self.options = options
        self.journal = Journal(os.path.join(options.spool, "journal"))
        pool, slot = os.environ.get("EBB_POOL", "none"), os.environ.get("EBB_SLOT", "0")
        self.boxes = [os.path.join(options.spool, name) for name in (f"{pool}.{slot}", pool)]
        self.working = set()  # ids of the orders that are being worked on under the lease
        self.kept, self.taken = [], []
        self.order, self.lease = None, None  # of the first thread
        self.claims = []  # paths, also of what has been begun or put back since

    # What an order can ask for.
    def keep(self, mib):
        self.kept.append(touch(mib))

    def take(self, mib):
        self.taken.append(touch(mib))

    def give(self):
        for memory in self.taken:
            memory.close()
        self.taken.clear()

    def drop(self):
        for memory in self.kept:
            memory.close()
        self.kept.clear()

    def litter(self, mib):
        """Garbage that only the collector finds, which is told not to look by itself."""
        gc.disable()
        for _ in range(mib):
            heap = [bytearray(MIB)]
            heap.append(heap)

    def shm(self, mib):
        self.kept.append(touch(mib, shared=True))

    def creep(self, mib, step, pause):
        for _ in range(0, mib, step):
            self.keep(step)
            time.sleep(pause)

    def work(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(left)

    def again(self):
        """Read all that is kept once more, so that what was swapped out comes back in."""
        for memory in self.kept:
            sum(memory[page] for page in range(0, len(memory), mmap.PAGESIZE))

    def thrash(self, until):
        """The same over and over, until there is such a file."""
        while not os.path.exists(until):
            self.again()

    def helper(self, mib, seconds):
        """A child that goes on with the job, and so keeps the lease that it inherits."""
        if os.fork() == 0:
            memory = touch(mib)
            self.journal.write("helper", order=self.order)
            self.work(seconds)
            self.journal.write("helped", order=self.order)
            os._exit(len(memory) == 0)

    def until(self, path):
        """Until there is such a file."""
        while not os.path.exists(path):
            time.sleep(0.02)

    def helper_until(self, path):
        """A child that goes on with the job until there is such a file."""
        if os.fork() == 0:
            self.journal.write("helper", order=self.order)
            self.until(path)
            self.journal.write("helped", order=self.order)
            os._exit(0)

    def turns(self, number, seconds, *labels):
        """That many short jobs in a row, of these kinds in turn (for an order that is done without the lease)."""
        for i in range(number):
            with self.lease.job(labels[i % len(labels)]):
                self.work(seconds)

    def children(self, number, label, mib):
        """Children that take a job each, at one time, through a lease of their own, and then end (likewise)."""
        pids = []
        for _ in range(number):
            if (pid := os.fork()) == 0:
                lease = ebb_worker.Lease(shared=True)
                with lease.job(label):
                    memory = touch(mib)
                    self.work(0.3)
                os._exit(len(memory) == 0)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)

    def daemon(self, mib):
        """A grandchild in a session of its own, that holds memory and ends only when it is killed."""
        up_r, up_w = os.pipe()
        if (child := os.fork()) == 0:
            os.setsid()
            if os.fork() == 0:
                for number in set(signal.valid_signals()) - UNRECORDED:
                    signal.signal(number, signal.SIG_IGN)
                if self.lease is not None:
                    self.lease.close()  # as daemons do with all files that they inherit
                memory = touch(mib)
                self.journal.write("daemon", order=self.order, mib=mib)
                os.write(up_w, b"1")
                while memory:
                    time.sleep(3600)
            os._exit(0)
        os.close(up_w)
        os.waitpid(child, 0)
        os.read(up_r, 1)
        os.close(up_r)

    def scribble(self, offset, text, times=1):
        """Whatever a broken worker may write into its lease."""
        fd = os.open(os.environ["EBB_LEASE"], os.O_RDWR | os.O_CLOEXEC)
        os.pwrite(fd, text.encode("latin-1") * times, offset)
        os.close(fd)

    def leave(self, code):
        self.journal.write("exit", code=code)
        os._exit(code)

    def kill(self, number):
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        time.sleep(10)

    STEPS = {"keep": keep, "take": take, "give": give, "drop": drop, "litter": litter, "shm": shm, "creep": creep, "work": work,
             "until": until, "helper_until": helper_until, "again": again, "thrash": thrash, "helper": helper,
             "turns": turns, "children": children,
             "daemon": daemon, "scribble": scribble, "leave": leave, "kill": kill}

    # Life.
    def trim(self):
        """Ordered to give memory back."""
        self.journal.write("trim")
        if self.options.trims:
            self.drop()

    def on_signal(self, number, _frame):
        job = next(iter(self.working), None)
        self.journal.write("signal", signal=signal.Signals(number).name, job=job)
        if number == signal.SIGTERM and job is None:
            for claimed in self.claims:
                self.put_back(claimed)
            sys.exit(0)

    def run(self, order):
        for name, *arguments in order["steps"]:
            self.STEPS[name](self, *arguments)

    def do(self, order, lease):
        self.order = order["id"]
        self.working |= {order["id"]} if lease or self.options.pattern == "once" else set()
        self.journal.write("start", order=order["id"], lease=bool(lease))
        self.run(order)
        self.journal.write("end", order=order["id"], lease=bool(lease))
        self.working.discard(order["id"])

    def background(self, order):
        self.journal.write("start", order=order["id"], lease=False)
        self.run(order)
        self.journal.write("end", order=order["id"], lease=False)

    def fetch(self, timeout):
        """Claim the oldest order; (path, order) or None."""
        until = time.monotonic() + timeout
        while True:
            for box in self.boxes:
                for name in sorted(os.listdir(box)) if os.path.isdir(box) else ():
                    if name.startswith("."):
                        continue
                    claimed = os.path.join(box, f".{name}.{os.getpid()}")
                    self.claims.append(claimed)
                    try:
                        os.rename(os.path.join(box, name), claimed)
                    except FileNotFoundError:
                        continue
                    with open(claimed, encoding="utf-8") as file:
                        return claimed, json.load(file)
            if time.monotonic() >= until:
                return None
            time.sleep(0.01)

    def put_back(self, claimed):
        """Unless it was begun, or is back."""
        box, name = os.path.split(claimed)
        with contextlib.suppress(FileNotFoundError):
            os.rename(claimed, os.path.join(box, name[1:].rpartition(".")[0]))

    def without_lease(self, order):
        if order.get("thread"):
            threading.Thread(target=self.background, args=(order,), daemon=True).start()
        else:
            self.do(order, lease=False)

    def fetch_then_lock(self, lease):
        while True:
            claim = self.fetch(timeout=1.0)
            if claim is None:
                continue
            claimed, order = claim
            if lease is None or order.get("thread") or not order.get("lease", True):
                os.unlink(claimed)
                self.without_lease(order)
                continue
            begun = False
            try:
                with lease.job(order.get("label", "-")):
                    begun = True
                    os.unlink(claimed)
                    self.do(order, lease=True)
            finally:  # ordered out, or a signal while the lease was ebbd's: nothing was begun
                if not begun:
                    self.put_back(claimed)
            self.journal.write("released", order=order["id"])

    def once(self, lease):
        """One order, and the end."""
        while (claim := self.fetch(timeout=1.0)) is None:
            pass
        os.unlink(claim[0])
        if lease is None or not claim[1].get("lease", True):
            self.do(claim[1], lease=False)
            return
        with lease.job(claim[1].get("label", "-")):
            self.do(claim[1], lease=True)

    def lock_then_fetch(self, lease):
        while True:
            with lease.turn() as turn:
                claim = self.fetch(timeout=0.3)
                if claim is not None:
                    os.unlink(claim[0])
                    turn.label(claim[1].get("label", "-"))
                    self.do(claim[1], lease=True)

    def get_ready(self):
        """As the lease does it; or, with --slow, so slowly that others can see it hold the lease."""
        release = self.lease._release
        self.lease._release = lambda: (self.work(self.options.slow), release())
        self.lease.ready()
        self.lease._release = release

    @staticmethod
    def own(name):
        with open(f"/proc/self/{name}", encoding="ascii") as file:
            return file.read().strip()

    def main(self):
        for number in set(signal.valid_signals()) - UNRECORDED:
            try:
                signal.signal(number, self.on_signal)
            except (OSError, ValueError):
                pass  # the C library keeps a few for itself
        if self.options.ballast:
            self.kept.append(touch(self.options.ballast))
        mask = os.umask(0)
        os.umask(mask)
        self.journal.write("up", umask=mask, uid=os.getuid(), gid=os.getgid(), groups=os.getgroups(), cwd=os.getcwd(),
                           leads=os.getsid(0) == os.getpgid(0) == os.getpid(), files=os.listdir("/proc/self/fd"),
                           stdin=os.readlink("/proc/self/fd/0"), blocked=len(signal.pthread_sigmask(0, [])),
                           oom_score_adj=self.own("oom_score_adj"), environ=dict(os.environ))
        if self.options.lease == "late":
            time.sleep(self.options.late)
        if self.options.lease != "never":
            self.lease = ebb_worker.Lease(shared=self.options.threads > 1, trim=self.trim)
            if self.options.no_copy:
                self.lease._own = None
            self.get_ready()
        self.journal.write("ready")
        loop = {"lock-fetch": self.lock_then_fetch, "fetch-lock": self.fetch_then_lock, "once": self.once}[
            self.options.pattern]
        others = [threading.Thread(target=loop, args=(ebb_worker.Lease(shared=True),), daemon=True)
                  for _ in range(self.options.threads - 1)]
        for thread in others:
            thread.start()
        try:
            loop(self.lease)
        finally:  # jobs of other threads are finished; what waits at the lease is not waited for
            while self.working:
                time.sleep(0.01)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("spool")
    parser.add_argument("--pattern", default="fetch-lock", choices=["fetch-lock", "lock-fetch", "once"])
    parser.add_argument("--lease", default="use", choices=["use", "never", "late"])
    parser.add_argument("--late", type=float, default=0, help="seconds before the first lock, with --lease late")
    parser.add_argument("--slow", type=float, default=0, help="seconds from its first lock to its unlock")
    parser.add_argument("--threads", type=int, default=1, help="job threads, each with a lease of its own")
    parser.add_argument("--no-copy", action="store_true", help="label jobs in the file alone")
    parser.add_argument("--trims", action="store_true", help="let go of what is kept when ordered to give memory back")
    parser.add_argument("--ballast", type=int, default=0, help="MiB that a fresh worker holds")
    return parser.parse_args()


if __name__ == "__main__":
    Worker(options()).main()
