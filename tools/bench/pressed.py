#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench-pressed: how soon do the daemons act on a host that thrashes?

Processes that keep writing to more memory than their cgroup has swap all the time, on all CPUs; the swap is a file, so that
the disk is busy, too. Beside them: ebbd, ebb-watch and workers in the same cgroup (`inside`: what they need of the kernel
comes out of the same memory, too), and then in none (`beside`). Times are from what workers and this program note to what
the audit says: a command's writing to its acceptance, a job's end to the retire signal, a worker's crossing of its limit
to the command of the watch.
"""
import argparse
import csv
import os
import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/lib"))

from bench import Ebb, events, monotonic_ns, percentile, wait_for
from fault import machine
from machine import Loans, Skip, memory_cgroup, swap_file  # noqa: E402
from thrash import Thrashers  # noqa: E402

LIMIT_MIB, JOB_MIB, STEP_KIB = 8, 12, 64
GROUP_MIB, SWAP_MIB = 128, 1024
AIM_MS = 100
WHAT = ("command to accepted", "job end to retire signal", "crossing to decision")


class Commands(threading.Thread):
    """One after the other, with an id each; when they were sent."""

    def __init__(self, ebb):
        super().__init__(daemon=True)
        self.ebb, self.sent, self.over = ebb, {}, False

    def run(self):
        fd = os.open(self.ebb.run / "control", os.O_WRONLY)
        while not self.over:
            name = f"n{len(self.sent)}"
            self.sent[name] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            os.write(fd, f"note warning text=here id={name}\n".encode())
            time.sleep(0.05)
        os.close(fd)


def pools(worker, folder):
    """One whose job leaves it over its limit, one that creeps past it, and one that keeps the watch at L1 in between."""
    common = f"footprint_limit = {LIMIT_MIB}M\nmin_lifetime = 0\nready_timeout = 10m\n"
    return ("pressure_some = 100%\npressure_full = 100%\n"
            f"[pool:job]\ncommand = {worker} job {folder}/job {JOB_MIB}\n{common}"
            f"[pool:creep]\ncommand = {worker} creep {folder}/creep {LIMIT_MIB} {STEP_KIB}\n{common}"
            f"[pool:near]\ncommand = {worker} job {folder}/near {LIMIT_MIB * 3 // 4}\n{common}")


def took(ebb, commands, folder, begun_ns):
    """what -> milliseconds, of what began since then."""
    audit = ebb.audit()
    at = {kind: {record.get(key): monotonic_ns(record) for record in audit if record["ev"] == kind}
          for kind, key in (("accepted", "id"), ("signalled", "pid"), ("retire", "pid"))}
    ends = {pid: ns for what, ns, _, pid in events(folder / "job") if what == "release"}
    crossed = {pid: ns for what, ns, _, pid in events(folder / "creep") if what == "crossed"}
    return dict(zip(WHAT, ([(after[who] - ns) / 1e6 for who, ns in before.items() if who in after and ns >= begun_ns] for before, after in
                           ((commands.sent, at["accepted"]), (ends, at["signalled"]), (crossed, at["retire"])))))


def measure(build, group, within, rounds):
    with tempfile.TemporaryDirectory(prefix="ebb-bench.") as directory:
        folder = pathlib.Path(directory)
        with Ebb(build, pools(build / "bench" / "worker", folder), within=within) as ebb:
            ebb.ready(3)
            wait_for(lambda: any(record["ev"] == "watch" and "tier" in record["text"] for record in ebb.audit()), 60)
            with Thrashers(group, mib=GROUP_MIB, n=os.cpu_count() or 1) as thrashers:
                wait_for(thrashers.swapping, 60)
                begun_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                commands = Commands(ebb)
                commands.start()

                def enough():
                    return all(sum(event[0] == "term" and event[1] > begun_ns for event in events(folder / of)) >= rounds
                               for of in ("job", "creep"))
                wait_for(enough, 120 + 20 * rounds)
                commands.over = True
                commands.join()
            return took(ebb, commands, folder, begun_ns)


def show(where, times):
    for what, values in times.items():
        p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
        print(f"  {where:<8}{what:<28} n {len(values):5}   median {p50:8.2f} ms   p99 {p99:8.2f} ms   most {max(values):8.2f} ms"
              f"   {'kept' if p99 < AIM_MS else 'MISSED'}", flush=True)
        yield [where, what, len(values), round(p50, 3), round(p99, 3), round(max(values), 3)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build")
    parser.add_argument("--quick", action="store_true", help="a few rounds: shows that it works, not how soon they act")
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    build = pathlib.Path(args.bin).resolve()
    print(machine(), flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="ebb-bench.") as scratch:
        loans = Loans(scratch)
        try:
            swap_file(loans, scratch, SWAP_MIB)
            group = memory_cgroup(loans, GROUP_MIB)
            print(f"aim: p99 under {AIM_MS} ms", flush=True)
            for where, within in (("inside", group.path), ("beside", None)):
                rows += show(where, measure(build, group, within, 3 if args.quick else args.rounds))
        except Skip as skip:
            print("skipped:", skip)
            return
        finally:
            loans.give_back()
    with open(build / "bench-pressed.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["where", "what", "n", "median_ms", "p99_ms", "most_ms"], *rows])


if __name__ == "__main__":
    main()
