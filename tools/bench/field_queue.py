#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench-queue: a queue whose workers keep what they took, in a container that cannot hold it; what helps?

The first result from the field, scaled to 1/40 (44 GB): eight workers of three job types, the same list of jobs each time;
first with memory to spare, then in a container that swaps: nothing done, ebb, and what people use today. Needs root, for
cgroups and swap. Everything borrowed is given back.
"""
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
from field import MIB, Container, Loans, Plot, Usage, judged, main, table, write_csv  # noqa: E402
from queue_jobs import SEED, schedule  # noqa: E402
from queue_journal import Journal  # noqa: E402
from queue_redis import Server  # noqa: E402
from queue_tools import TOOLS, Nothing, missing  # noqa: E402

CONTAINER_MIB, SWAP_MIB = 1024, 2048
SECONDS, QUICK_SECONDS = 75, 6  # in which the jobs arrive
PATIENCE = 3  # a run ends after so many times that, done or not
TICK_S = 0.1
LOST_S = 5  # a job that nobody has after that, and nobody has done, is lost
SPARE = "memory to spare"
AIM_PEAK, AIM_RATE, AIM_STALL = 0.5, 0.98, 0.01


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


class Result:
    """One run: facts, and a row of the table."""

    HEAD = ("", "done", "lost", "begun twice", "killed mid-job", "workers", "jobs/min", "latency p50", "p99", "CPU",
            "peak held", "mean", "swap written", "some", "full")

    def __init__(self, title, jobs, put_at, journal, left, usage, curve):
        self.title, self.journal, self.usage, self.curve = title, journal, usage, curve
        self.jobs, self.done = len(jobs), len(journal.ended_at)
        self.unfinished = min(left, self.jobs - self.done)
        self.lost = self.jobs - self.done - self.unfinished
        self.interrupted = journal.interrupted(self.lost)
        begin = min(put_at.values())
        self.seconds = max(journal.ended_at.values(), default=begin + usage.seconds) - begin
        self.rate = self.done / max(self.seconds, 1e-9) * 60
        latencies = [journal.ended_at[name] - put_at[name] for name in journal.ended_at]
        self.p50, self.p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)

    def row(self):
        u = self.usage
        return (self.title, f"{self.done}/{self.jobs}", str(self.lost), str(self.journal.twice), str(self.interrupted),
                str(len(self.journal.workers)), f"{self.rate:.0f}", f"{self.p50:.2f} s", f"{self.p99:.1f} s", f"{u.cpu_s:.0f} s",
                f"{u.peak / MIB:.0f} MiB", f"{u.mean / MIB:.0f} MiB", f"{u.swap_written / MIB:.0f} MiB", f"{u.some:.1%}",
                f"{u.full:.1%}")

    CSV = ("run", "jobs", "done", "lost", "unfinished", "begun_twice", "killed_mid_job", "workers", "seconds", "jobs_per_min",
           "latency_p50_s", "latency_p99_s", "cpu_s", "peak_bytes", "mean_bytes", "peak_resident_bytes", "peak_swap_bytes",
           "swap_written_bytes", "stall_some", "stall_full")

    def record(self):
        u = self.usage
        return (self.title, self.jobs, self.done, self.lost, self.unfinished, self.journal.twice, self.interrupted,
                len(self.journal.workers), round(self.seconds, 2), round(self.rate, 1), round(self.p50, 3),
                round(self.p99, 3), round(u.cpu_s, 2), u.peak, round(u.mean), u.peak_resident, u.peak_swap, u.swap_written,
                round(u.some, 5), round(u.full, 5))


def feed(tool, jobs, seconds, journal_path):
    """Put each job when it is due, and wait until all are done, or patience ends. job -> when it was put."""
    start, put_at, empty_since = time.monotonic(), {}, None
    while time.monotonic() - start < seconds * PATIENCE:
        while len(put_at) < len(jobs) and jobs[len(put_at)].at <= time.monotonic() - start:
            job = jobs[len(put_at)]
            put_at[job.name] = time.monotonic()
            tool.put(job)
        tool.tick()
        if len(put_at) < len(jobs) or tool.left():
            empty_since = None
        elif len(Journal(journal_path).ended_at) == len(jobs):
            break
        else:
            empty_since = empty_since or time.monotonic()
            if time.monotonic() - empty_since > LOST_S:
                break
        time.sleep(TICK_S)
    return put_at


def run(title, tool_of, limit_mib, args, server):
    """One run in a fresh container, with fresh workers."""
    folder = tempfile.mkdtemp(prefix="run-", dir=args.folder)
    server.empty()
    jobs = [job._replace(at=job.at * args.stretch) for job in schedule(args.seconds)]
    with Container(Loans(folder), limit_mib) as container:
        tool = tool_of(folder, container, args, server.socket)
        try:
            tool.start()
            first, begin = len(container.samples) - 1, time.monotonic()
            put_at = feed(tool, jobs, args.seconds * args.stretch, tool.log)
            container.end()
            left = tool.left()
        finally:
            tool.stop()
    samples = container.samples[first:]
    curve = [(max(0, sample.at - begin), sample.held / MIB) for sample in samples]
    return Result(title, jobs, put_at, Journal(tool.log), left, Usage(samples), curve)


def judge(results):
    """Of ebb, against doing nothing and against a run with memory to spare."""
    by = {result.title: result for result in results}
    ebb, nothing, spare = (by.get(title) for title in ("ebb", "nothing done", SPARE))
    aims = [("jobs lost", ebb.lost, "0", ebb.lost == 0)]
    if nothing:
        share = ebb.usage.peak / nothing.usage.peak
        aims.append(("peak held, of doing nothing", f"{share:.2f}", f"at most {AIM_PEAK}", share <= AIM_PEAK))
    if spare:
        rate = ebb.rate / spare.rate
        aims.append(("jobs per minute, of memory to spare", f"{rate:.3f}", f"at least {AIM_RATE}", rate >= AIM_RATE))
    aims.append(("stall (some)", f"{ebb.usage.some:.2%}", f"under {AIM_STALL:.0%}", ebb.usage.some < AIM_STALL))
    return judged(aims)


def keep(results, build):
    """Everything that is printed, as files."""
    write_csv(os.path.join(build, "bench-queue.csv"), [Result.CSV, *(result.record() for result in results)])
    curves = [("run", "seconds", "held_mib"),
              *((result.title, round(x, 2), round(y, 1)) for result in results for x, y in result.curve)]
    write_csv(os.path.join(build, "bench-queue-memory.csv"), curves)
    Plot("Eight workers that keep what they took: memory held (resident and swap)", "seconds", "MiB",
         [(result.title, result.curve) for result in results], [(CONTAINER_MIB, f"the container: {CONTAINER_MIB} MiB")]
         ).write(os.path.join(build, "bench-queue.svg"))


def measure(args):
    args.seconds = QUICK_SECONDS if args.quick else SECONDS
    print(f"{len(schedule(args.seconds))} jobs in {args.seconds * args.stretch:g} s, seed {SEED}, over "
          f"{os.path.getsize(args.lists) // MIB} MiB of package lists; container of {CONTAINER_MIB} MiB, swap of {SWAP_MIB} MiB in a file", flush=True)
    results, notes = [], [f"{SPARE}: a plain keeper, without limit"]
    with Server(args.folder) as server:
        for title, tool, limit_mib in [(SPARE, Nothing, None), *((tool.title, tool, CONTAINER_MIB) for tool in TOOLS)]:
            why = "not asked for" if args.only and title not in args.only else missing(tool)
            if why:
                print(f"{title}: skipped: {why}")
                continue
            results.append(run(title, tool, limit_mib, args, server))
            notes += [tool.note] if tool.note and limit_mib else []
            print(table([Result.HEAD, results[-1].row()]), flush=True)
    print("\n" + table([Result.HEAD, *(result.row() for result in results)], notes))
    if any(result.title == "ebb" for result in results):
        print("\naims", *judge(results), sep="\n")
    keep(results, args.bin)


if __name__ == "__main__":
    main("bench-queue", __doc__.splitlines()[0], measure, SWAP_MIB)
