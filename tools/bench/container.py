# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A "container": a memory cgroup with a limit and swap, a cgroup of version 2 that tells the pressure in it, and what went on
there over time. Whatever is started in it, with all descendants, is in both.

What is borrowed from the machine is given back, also after an interrupt (tests/lib/machine.py).
"""
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "../../tests/lib"))
from machine import memory_cgroup, pressure_cgroup, read  # noqa: E402

MIB = 1 << 20
EVERY_S = 0.2
UNLIMITED_MIB = 1 << 20


def fields(path):
    """Of a file of `key value` lines."""
    return {key: int(value) for key, value in (line.split() for line in read(path).splitlines())}


def pressure_us(path):
    """(some, full): for how long tasks have waited for memory so far."""
    totals = {line.split()[0]: int(line.rsplit("total=", 1)[1]) for line in read(path).splitlines()}
    return totals["some"], totals["full"]


class Sample:
    """Of one moment. Bytes; microseconds since the cgroup was made; pages since the machine was started."""

    def __init__(self, memory, pressed):
        stat = fields(os.path.join(memory, "memory.stat"))
        if "total_rss" in stat:  # version 1
            self.resident = stat["total_rss"] + stat["total_shmem"]
            self.swap, self.refaults = stat["total_swap"], stat["total_workingset_refault_anon"]
        else:
            self.resident = stat["anon"] + stat["shmem"]
            self.swap = int(read(os.path.join(memory, "memory.swap.current")))
            self.refaults = stat["workingset_refault_anon"]
        self.some_us, self.full_us = pressure_us(os.path.join(pressed, "memory.pressure"))
        self.cpu_us = fields(os.path.join(pressed, "cpu.stat"))["usage_usec"]
        self.swapped_out = fields("/proc/vmstat")["pswpout"]
        self.at = time.monotonic()

    @property
    def held(self):
        """What the processes hold: resident or in swap."""
        return self.resident + self.swap


class Usage:
    """What happened between two samples, and the largest and mean of all in between."""

    def __init__(self, samples):
        first, last = samples[0], samples[-1]
        self.seconds = max(last.at - first.at, 1e-9)
        self.peak = max(sample.held for sample in samples)
        self.mean = sum(sample.held for sample in samples) / len(samples)
        self.peak_resident = max(sample.resident for sample in samples)
        self.peak_swap = max(sample.swap for sample in samples)
        # At most: no more than the whole machine wrote, and no more than came to be there, or had been read before.
        rises = sum(max(0, b.swap - a.swap) for a, b in zip(samples, samples[1:]))
        page = os.sysconf("SC_PAGE_SIZE")
        self.swap_written = min((last.swapped_out - first.swapped_out) * page, rises + (last.refaults - first.refaults) * page)
        self.some = (last.some_us - first.some_us) / 1e6 / self.seconds
        self.full = (last.full_us - first.full_us) / 1e6 / self.seconds
        self.cpu_s = (last.cpu_us - first.cpu_us) / 1e6


class Container:
    """with Container(loans, 1024) as container: container.popen([...]). Samples itself meanwhile."""

    def __init__(self, loans, limit_mib=None):
        self.group = memory_cgroup(loans, limit_mib or UNLIMITED_MIB)
        self.pressed = pressure_cgroup(loans, self.group)
        self.limit_bytes = limit_mib * MIB if limit_mib else None
        self.samples = []
        self.watchers = []  # called with each sample
        self.loans = loans
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    @property
    def pressure(self):
        return os.path.join(self.pressed.path, "memory.pressure")

    def __enter__(self):
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.end()
        self.loans.give_back()  # ends whatever is still in

    def end(self):
        """No more samples."""
        self._ended.set()
        self._thread.join()

    def popen(self, command, **options):
        """Start it inside."""
        groups = {self.group.path, self.pressed.path}
        enter = "".join(f"echo $$ > '{path}/cgroup.procs' && " for path in sorted(groups))
        return subprocess.Popen(["/bin/sh", "-c", enter + 'exec "$@"', "sh", *map(str, command)],
                                stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def pids(self):
        return [int(pid) for pid in read(os.path.join(self.group.path, "cgroup.procs")).split()]

    def _look(self):
        self.samples.append(Sample(self.group.path, self.pressed.path))
        for watcher in self.watchers:
            watcher(self.samples[-1])

    def _follow(self):
        while not self._ended.wait(EVERY_S):
            self._look()
