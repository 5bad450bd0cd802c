#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench-leak: workers that keep some KiB of each job, for 100,000 jobs: is memory flat, and what does that cost?

Each way twice, the second time in the other order, so that what the machine does meanwhile costs both the same: workers that
nobody watches, and ebb with a footprint_limit. Needs root, for cgroups.
"""
import collections
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
from field import (HERE, MIB, PYTHON, Container, Ebbd, Keeper, Loans, Plot, Usage, judged, main, table, write,  # noqa: E402
                   write_csv)
from leak_worker import NUMBER_BYTES  # noqa: E402

JOBS, QUICK_JOBS = 100_000, 2_000
WORKERS, LIMIT_MIB = 4, 64
PATIENCE_S, TICK_S = 600, 0.01
AT_A_TIME = 256  # job numbers written at a time: they fit into a FIFO whole
AIM_RATE, AIM_GROWTH = 0.98, 1.1
UNWATCHED, EBB = "nobody watches", "ebb"


def unwatched(folder, container, _, command):
    keeper = Keeper(folder, container)
    for i in range(WORKERS):
        keeper.run(f"worker-{i}", command)
    return keeper


def ebb(folder, container, build, command):
    keeper = Ebbd(folder, container, build)
    keeper.configure({"mails": {"command": command, "size": WORKERS, "footprint_limit": f"{LIMIT_MIB}M",
                                "min_lifetime": "1s"}})
    keeper.start()
    return keeper


class Feeder:
    """Hands out the numbers of all jobs, and knows when each is done."""

    def __init__(self, folder, jobs):
        self.fifo, self.log = os.path.join(folder, "fifo"), os.path.join(folder, "done")
        os.mkfifo(self.fifo)
        write(self.log, "")
        self.fd = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        self.jobs, self.fed = jobs, 0

    def feed(self):
        while self.fed < self.jobs:
            upto = min(self.jobs, self.fed + AT_A_TIME)
            numbers = b"".join(number.to_bytes(NUMBER_BYTES, "little") for number in range(self.fed, upto))
            try:
                os.write(self.fd, numbers)  # all or nothing: no more than PIPE_BUF
            except BlockingIOError:
                return
            self.fed = upto

    def done(self):
        return os.path.getsize(self.log) // NUMBER_BYTES

    def counts(self):
        with open(self.log, "rb") as file:
            data = file.read()
        return collections.Counter(data[i:i + NUMBER_BYTES] for i in range(0, len(data), NUMBER_BYTES))


class Result:
    """One run."""

    def __init__(self, title, feeder, seconds, samples, curve):
        counts = feeder.counts()
        self.title, self.jobs, self.seconds, self.usage, self.curve = title, feeder.jobs, seconds, Usage(samples), curve
        self.lost, self.twice = feeder.jobs - len(counts), sum(n > 1 for n in counts.values())
        third = len(samples) // 3  # in which each worker is retired at least once
        middle, last = samples[third:2 * third], samples[2 * third:]
        self.growth = max(s.held for s in last) / max(s.held for s in middle) if third else 1.0

    HEAD = "", "jobs", "lost", "twice", "jobs/s", "CPU ms/job", "peak held", "mean", "peak, last third to second"

    @property
    def rate(self):
        return self.jobs / self.seconds

    @property
    def cpu_ms(self):
        return self.usage.cpu_s / self.jobs * 1000

    def row(self):
        return (self.title, str(self.jobs), str(self.lost), str(self.twice), f"{self.rate:.0f}", f"{self.cpu_ms:.3f}",
                f"{self.usage.peak / MIB:.0f} MiB", f"{self.usage.mean / MIB:.0f} MiB", f"{self.growth:.2f}")

    CSV = "run", "jobs", "lost", "twice", "seconds", "cpu_s", "peak_bytes", "mean_bytes", "last_to_second_third"

    def record(self):
        return (self.title, self.jobs, self.lost, self.twice, round(self.seconds, 3), round(self.usage.cpu_s, 3),
                self.usage.peak, round(self.usage.mean), round(self.growth, 4))


def run(title, start, args, jobs):
    folder = tempfile.mkdtemp(prefix="run-", dir=args.folder)
    feeder = Feeder(folder, jobs)
    worker = [PYTHON, "-B", os.path.join(HERE, "leak_worker.py"), feeder.fifo, args.lists, feeder.log]
    begun, first, deadline = None, 0, time.monotonic() + PATIENCE_S
    with Container(Loans(folder)) as container:
        keeper = start(folder, container, args.bin, worker)
        try:
            while feeder.done() < jobs and time.monotonic() < deadline:
                if begun is None and feeder.done():  # until then the workers start
                    begun, first = time.monotonic(), len(container.samples) - 1
                feeder.feed()
                time.sleep(TICK_S)
            seconds = time.monotonic() - (begun or deadline - PATIENCE_S)
            container.end()
        finally:
            keeper.stop()
            os.close(feeder.fd)
    samples = container.samples[first:]
    curve = [(max(0, sample.at - (begun or 0)), sample.held / MIB) for sample in samples]
    return Result(title, feeder, seconds, samples, curve)


def judge(results):
    def sum_of(title, value):
        return sum(value(result) for result in results if result.title == title)

    watched = [result for result in results if result.title == EBB]
    rate = sum_of(UNWATCHED, lambda r: r.seconds) / sum_of(EBB, lambda r: r.seconds)
    cpu = sum_of(UNWATCHED, lambda r: r.usage.cpu_s) / sum_of(EBB, lambda r: r.usage.cpu_s)
    growth = max(result.growth for result in watched)
    more_us = (1 / cpu - 1) * sum_of(UNWATCHED, lambda r: r.cpu_ms) / len(watched) * 1000
    wrong = sum(result.lost + result.twice for result in watched)
    return judged([
        ("jobs a second, of nobody watching", f"{rate:.3f}", f"at least {AIM_RATE}", rate >= AIM_RATE),
        (f"the same by CPU time ({more_us:.0f} us a job more)", f"{cpu:.3f}", f"at least {AIM_RATE}", cpu >= AIM_RATE),
        ("flat: peak of the last third, of the second's", f"{growth:.2f}", f"at most {AIM_GROWTH}", growth <= AIM_GROWTH),
        ("lost or twice", wrong, 0, wrong == 0)])


def keep(results, build):
    write_csv(os.path.join(build, "bench-leak.csv"), [Result.CSV, *(result.record() for result in results)])
    Plot(f"{WORKERS} workers that keep some KiB of each job", "seconds", "MiB held",
         [(result.title, result.curve) for result in results[:2]]).write(os.path.join(build, "bench-leak.svg"))


def measure(args):
    jobs = QUICK_JOBS if args.quick else JOBS
    print(f"{jobs} jobs, {WORKERS} workers, footprint_limit = {LIMIT_MIB}M", flush=True)
    results = []
    runs = [(UNWATCHED, unwatched), (EBB, ebb)]
    for title, start in runs if args.quick else runs + runs[::-1]:
        results.append(run(title, start, args, jobs))
        print(table([Result.HEAD, results[-1].row()]), flush=True)
    print("\n" + table([Result.HEAD, *(result.row() for result in results)]))
    print("\naims", *judge(results), sep="\n")
    keep(results, args.bin)


if __name__ == "__main__":
    main("bench-leak", __doc__.splitlines()[0], measure)
