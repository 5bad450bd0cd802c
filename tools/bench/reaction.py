#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench-reaction: how far past its threshold is a process that grows as fast as it can, when somebody knows?

sensor: the confirmed event, in the hands of a process that waits for it like ebb-watch. ebb-watch: its command in the hands of
ebbd, for which it has also walked the worker's page tables (what would be freed?). statm: what a poller sees. `~`: the growth
was ended before; its rate times the time.
"""
import argparse
import csv
import pathlib
import subprocess
import tempfile

from bench import Ebb, events, monotonic_ns, percentile, wait_for
from fault import machine

MIB = 1 << 20
LIMIT_MIB, END_BYTES = 64, 192 * MIB
PAGES = {"4k": 4, "2m": 2048}  # KiB
AIM_MS, AIM_MIB = 1, 4


def by_sensor(build, quick):
    command = [build / "bench" / "reaction", *(["--quick"] if quick else [])]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for line in output:
        if line.startswith("#"):
            print("skipped:", line[2:])
    for row in csv.DictReader(line for line in output if not line.startswith("#")):
        yield row["pages"], row["method"], float(row["ms"]), float(row["bytes"])


def by_watch(build, pages, rounds):
    """Real daemons: an idle worker crosses its limit; from there to the watch's command in the audit."""
    worker = build / "bench" / "worker"
    with tempfile.TemporaryDirectory(prefix="ebb-bench.") as directory:
        log = pathlib.Path(directory) / "log"
        # Under pressure, or after it, workers would go for other reasons than this one.
        pool = ("pressure_some = 100%\npressure_full = 100%\n[pool:burst]\n"
                f"command = {worker} burst {log} {LIMIT_MIB} {PAGES[pages]}\n"
                f"footprint_limit = {LIMIT_MIB}M\nmin_lifetime = 0\n")
        with Ebb(build, pool) as ebb:
            wait_for(lambda: sum(event[0] == "term" for event in events(log)) >= rounds, 60 + 3 * rounds)
            asked = {record["pid"]: monotonic_ns(record) for record in ebb.audit()
                     if record["ev"] == "retire" and record["reason"] == "footprint"}
        crossed = {pid: at for what, at, _, pid in events(log) if what == "crossed"}
        past = {pid: (at, int(bytes_)) for what, at, bytes_, pid in events(log) if what == "past"}
    for pid, (end, reached) in past.items():
        at = crossed.get(pid, end)  # told to go before it could say that it had crossed
        if pid in asked:
            ns = max(0, asked[pid] - at)
            yield pages, "ebb-watch", ns / 1e6, reached * ns / max(1, end - at)


def show(runs):
    print(f"\n  {'pages':<6}{'':<22}{'runs':>5}{'median ms':>12}{'p99 ms':>10}{'median MiB':>13}{'p99 MiB':>11}")
    summary = []
    for (pages, method), values in runs.items():
        ms, mib = [v[0] for v in values], [v[1] / MIB for v in values]
        row = [percentile(ms, 0.5), percentile(ms, 0.99), percentile(mib, 0.5), percentile(mib, 0.99)]
        marks = ["~" if value * MIB > END_BYTES else " " for value in row[2:]]
        print(f"  {pages:<6}{method:<22}{len(values):>5}{row[0]:>12.3f}{row[1]:>10.3f}{marks[0]:>3}{row[2]:>10.2f}"
              f"{marks[1]:>3}{row[3]:>8.2f}")
        summary.append([pages, method, len(values), *(round(value, 4) for value in row)])
    return summary


def judge(summary):
    for pages, method, _, _, ms, _, mib in summary:
        if not method.startswith("statm"):
            kept = "kept  " if ms < AIM_MS and mib < AIM_MIB else "MISSED"
            print(f"  {kept} {pages} {method}: p99 {ms:.3f} ms, {mib:.2f} MiB; aim: under {AIM_MS} ms and {AIM_MIB} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build")
    parser.add_argument("--quick", action="store_true", help="a few runs: shows that it works, not how soon it acts")
    args = parser.parse_args()
    build = pathlib.Path(args.bin).resolve()
    print(machine(), flush=True)
    runs = {}
    for pages, method, ms, past in by_sensor(build, args.quick):
        runs.setdefault((pages, method), []).append((ms, past))
    if not runs:
        return
    for pages in PAGES:
        for _, method, ms, past in by_watch(build, pages, 2 if args.quick else 40):
            runs.setdefault((pages, method), []).append((ms, past))
    summary = show(dict(sorted(runs.items(), key=lambda item: item[0][0], reverse=True)))
    print()
    judge(summary)
    with open(build / "bench-reaction.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["pages", "method", "runs", "median_ms", "p99_ms", "median_mib", "p99_mib"], *summary])


if __name__ == "__main__":
    main()
