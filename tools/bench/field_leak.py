#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench-leak: workers that keep some KiB of each job, for 100,000 jobs: is memory flat, and what does that cost?

Workers that nobody watches, and ebb with a footprint_limit, side by side: each on half of the processors, which they exchange
five times a second. So what the machine and this script do meanwhile costs both the same: one after the other, two runs of
the same kind differ by more than is to be measured. Needs root, for cgroups, and two processors.

Three times, since what ebb costs is a cost by the job, whatever the job does, and so is another, which fresh workers have:
glibc gives the top of a young heap back at the end of a job and takes it again, page by page, in the next one, until the
process has once freed something larger. These workers come that far with some 90 MiB of leaks; one that is retired at
128 MiB is young for most of its life, one that nobody retires is not.
  long jobs            4 to 6 ms, by machine
  short jobs           1.2 to 2.5 ms, beside which both costs are larger
  short, steady heap   the same, where ebb's pool has MALLOC_TRIM_THRESHOLD_ in its environment, as README advises for such jobs
"""
import collections
import math
import os
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
from field import (HERE, MIB, PYTHON, Container, Ebbd, Keeper, Loans, Plot, Skip, Usage, judged, main, table, write,  # noqa: E402
                   write_csv)
from leak_worker import NUMBER_BYTES  # noqa: E402

JOBS, QUICK_JOBS = 100_000, 2_000
WORKERS, LIMIT_MIB = 2, 128
PATIENCE_S, TICK_S = 900, 0.01
EXCHANGE_S = 0.2
SHORT, LONG = "4000", "16000"  # rounds, see leak_worker.py
STEADY = {"MALLOC_TRIM_THRESHOLD_": str(64 * MIB)}
COMPARED = {"long jobs": (LONG, {}), "short jobs": (SHORT, {}), "short, steady heap": (SHORT, STEADY)}
AT_A_TIME = 256  # job numbers written at a time: they fit into a FIFO whole
AIM_RATE, AIM_GROWTH = 0.98, 1.1
UNWATCHED, EBB = "nobody watches", "ebb"


def unwatched(folder, container, _build, command, _environ):
    keeper = Keeper(folder, container)
    for i in range(WORKERS):
        keeper.run(f"worker-{i}", command)
    return keeper


def ebb(folder, container, build, command, environ):
    keeper = Ebbd(folder, container, build)
    pool = {"command": command, "size": WORKERS, "footprint_limit": f"{LIMIT_MIB}M", "min_lifetime": "1s"}
    if environ:
        pool["environment"] = " ".join(f"{name}={value}" for name, value in environ.items())
    refused = keeper.configure({"mails": pool})
    if refused:
        raise RuntimeError(refused)
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


class Run:
    """One way, on its processors, from its first job to its last."""

    def __init__(self, title, start, compared, args, jobs):
        self.title, self.folder = title, tempfile.mkdtemp(prefix="run-", dir=args.folder)
        self.feeder = Feeder(self.folder, jobs)
        self.container = Container(Loans(self.folder))
        rounds, environ = compared
        worker = [PYTHON, "-B", os.path.join(HERE, "leak_worker.py"), self.feeder.fifo, args.lists, self.feeder.log, rounds]
        self.start = lambda: start(self.folder, self.container, args.bin, worker, environ)
        self.keeper = self.begun = self.seconds = None
        self.first = 0

    def __enter__(self):
        self.container.__enter__()
        self.keeper = self.start()
        return self

    def __exit__(self, *error):
        self.container.end()
        self.keeper.stop()
        os.close(self.feeder.fd)
        self.container.__exit__(*error)

    def turn(self):
        """Are all jobs done?"""
        done = self.feeder.done()
        if self.begun is None and done:  # until then the workers start
            self.begun, self.first = time.monotonic(), len(self.container.samples) - 1
        if self.seconds is None and done >= self.feeder.jobs:
            self.seconds = time.monotonic() - self.begun
            self.container.end()
        self.feeder.feed()
        return self.seconds is not None

    def result(self):
        samples = self.container.samples[self.first:]
        curve = [(max(0, sample.at - (self.begun or 0)), sample.held / MIB) for sample in samples]
        return Result(self.title, self.feeder, self.seconds or PATIENCE_S, samples, curve)


def move(run, cpus):
    """All that runs in its container; what starts there later is a child of one of them."""
    for pid in run.container.pids():
        for thread in os.listdir(f"/proc/{pid}/task") if os.path.exists(f"/proc/{pid}") else ():
            try:
                os.sched_setaffinity(int(thread), cpus)
            except ProcessLookupError:
                pass


def side_by_side(runs):
    """How many jobs each had done when they had had both halves of the processors again, as long as both worked."""
    cpus = sorted(os.sched_getaffinity(0))
    halves = [cpus[:len(cpus) // 2], cpus[-(len(cpus) // 2):]]
    if not halves[0]:
        raise Skip("two processors are needed")
    os.sched_setaffinity(0, halves[0])
    deadline, exchange, done = time.monotonic() + PATIENCE_S, 0, []
    with runs[0], runs[1]:
        while not all(run.keeper.is_up() for run in runs) and time.monotonic() < deadline:
            time.sleep(TICK_S)
        while not all([run.turn() for run in runs]) and time.monotonic() < deadline:
            if time.monotonic() >= exchange:
                exchange = time.monotonic() + EXCHANGE_S
                if halves[0] == cpus[:len(halves[0])] and all(run.begun and run.seconds is None for run in runs):
                    done.append([run.feeder.done() for run in runs])
                halves.reverse()
                for run, half in sorted(zip(runs, halves), key=lambda pair: pair[1]):  # now this one first, now the other
                    move(run, half)
            time.sleep(TICK_S)
    os.sched_setaffinity(0, cpus)
    return done


def ratio(done):
    """Jobs a second of the second, of those of the first; and its standard error."""
    blocks = [(after[0] - before[0], after[1] - before[1]) for before, after in zip(done, done[1:])]
    each = [second / first for first, second in blocks if first]
    error = statistics.stdev(each) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    return sum(second for _, second in blocks) / max(1, sum(first for first, _ in blocks)), error


def judge(unwatched_, watched, rate):
    cpu = unwatched_.cpu_ms / watched.cpu_ms
    wrong = watched.lost + watched.twice
    return judged([
        ("jobs a second, of nobody watching", f"{rate:.3f}", f"at least {AIM_RATE}", rate >= AIM_RATE),
        ("the same by CPU time", f"{cpu:.3f}", f"at least {AIM_RATE}", cpu >= AIM_RATE),
        ("flat: peak of the last third, of the second's", f"{watched.growth:.2f}", f"at most {AIM_GROWTH}",
         watched.growth <= AIM_GROWTH),
        ("lost or twice", wrong, 0, wrong == 0)])


def keep(results, build):
    write_csv(os.path.join(build, "bench-leak.csv"), [Result.CSV, *(result.record() for result in results)])
    Plot(f"{WORKERS} workers that keep some KiB of each job", "seconds", "MiB held",
         [(result.title, result.curve) for result in results]).write(os.path.join(build, "bench-leak.svg"))


def compare(what, args, jobs):
    runs = [Run(f"{title}, {what}", start, COMPARED[what], args, jobs)
            for title, start in ((UNWATCHED, unwatched), (EBB, ebb))]
    rate, error = ratio(side_by_side(runs))
    results = [run.result() for run in runs]
    more_us = (results[1].cpu_ms - results[0].cpu_ms) * 1000
    print(table([Result.HEAD, *(result.row() for result in results)]))
    print(f"\nebb, {what}: jobs a second, of nobody watching: {rate:.3f}, standard error {error:.3f}; {more_us:.0f} us of CPU a"
          f" job more", *judge(*results, rate), "", sep="\n", flush=True)
    return results


def measure(args):
    jobs = QUICK_JOBS if args.quick else JOBS
    print(f"{jobs} jobs, {WORKERS} workers on half of the processors, footprint_limit = {LIMIT_MIB}M", flush=True)
    for what in args.only or ():
        if what not in COMPARED:
            sys.exit(f"bench-leak: there is no {what}: there are {', '.join(COMPARED)}")
    keep([result for what in args.only or COMPARED for result in compare(what, args, jobs)], args.bin)


if __name__ == "__main__":
    main("bench-leak", __doc__.splitlines()[0], measure)
