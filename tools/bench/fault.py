#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench-fault: what our programs cost page faults, leases and switches between processes, against the floor.

Ratios are medians of ratios within one cycle (cost.c measures each variant once a cycle, in random order). The noise is what
two variants with nothing attached differ by: the farther end of the 95 % interval of the median of their ratio.
"""
import argparse
import csv
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys

FLOOR, NOTHING, AGAIN = "empty program", "nothing A", "nothing B"
# part, variant, of what, at most so many times that; None: no more than the noise
BUDGETS = [
    ("fault", "L0", NOTHING, None),
    ("fault", "L1, untracked", FLOOR, 1.02),
    ("fault", "L1, tracked, far", FLOOR, 1.04),
    ("fault", "L1, tracked, near", FLOOR, 1.04),
]


def interval(values):
    """Of the median, 95 %, by order."""
    values = sorted(values)
    half = 0.98 * math.sqrt(len(values))
    middle = len(values) / 2
    return values[max(0, math.floor(middle - half))], values[min(len(values) - 1, math.ceil(middle + half) - 1)]


class Costs:
    """Of one kind of work: variant -> cycle -> ns."""

    def __init__(self):
        self.of = {}

    def add(self, variant, cycle, ns):
        self.of.setdefault(variant, {})[cycle] = ns

    def ns(self, variant):
        return statistics.median(self.of[variant].values())

    def ratios(self, variant, to):
        one, other = self.of[variant], self.of[to]
        return [one[cycle] / other[cycle] for cycle in one if cycle in other]

    def ratio(self, variant, to):
        return statistics.median(self.ratios(variant, to))

    def noise(self):
        return max(abs(end - 1) for end in interval(self.ratios(AGAIN, NOTHING)))


def measure(program, part, quick):
    command = [program, *(["--quick"] if quick else []), part]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    rows = list(csv.DictReader(line for line in output if not line.startswith("#")))
    skipped = [next(csv.reader([line[2:]])) for line in output if line.startswith("#")]
    return rows, [(variant, why) for _, variant, why in skipped]


def by_work(rows):
    works = {}
    for row in rows:
        works.setdefault(row["work"], Costs()).add(row["variant"], int(row["cycle"]), float(row["ns"]))
    return works


def order(costs):
    """As a reader compares them: what is least first, and what all is measured by at the top."""
    first = [v for v in (NOTHING, AGAIN, FLOOR) if v in costs.of]
    return first + sorted((v for v in costs.of if v not in first), key=lambda v: (not v.startswith("L"), v))


def show_ratios(part, work, costs, skipped, summary):
    noise, unit = costs.noise(), {"fault": "page fault", "lease": "lock + unlock", "switch": "switch"}[part]
    print(f"\n{work}: ns per {unit}, noise {noise:.3f}, {len(costs.of[NOTHING])} cycles")
    print(f"  {'':<34}{'ns':>9}  {'to nothing':>10}  {'to empty':>10}")
    for variant in order(costs):
        to_nothing, to_floor = costs.ratio(variant, NOTHING), costs.ratio(variant, FLOOR)
        print(f"  {variant:<34}{costs.ns(variant):>9.0f}  {to_nothing:>10.3f}  {to_floor:>10.3f}")
        summary.append([part, work, variant, round(costs.ns(variant), 1), round(to_nothing, 4), round(to_floor, 4),
                        round(noise, 4)])
    for variant, why in skipped:
        print(f"  {variant:<34}  skipped: {why}")


def judge(part, work, costs):
    for of, variant, to, limit in BUDGETS:
        if of != part or variant not in costs.of or to not in costs.of:
            continue
        ratio, noise = costs.ratio(variant, to), costs.noise()
        kept = abs(ratio - 1) <= noise if limit is None else ratio <= limit
        budget = f"within the noise of {to}" if limit is None else f"at most {limit} x {to}"
        yield f"  {'kept  ' if kept else 'MISSED'} {work:<9} {variant}: {ratio:.3f}, {budget} (noise {noise:.3f})"


def show_sweeps(costs, skipped, n, summary):
    print(f"\nsweep: microseconds, without and with {n} further processes")
    for variant, what in (("none", "as the machine is"), ("strangers", f"{n} that are nobody's"),
                          ("members", f"{n} of a worker")):
        if variant in costs.of:
            more = costs.ns(variant) - costs.ns("none")
            print(f"  {what:<34}{costs.ns(variant) / 1000:>9.1f}  {more / n:>10.0f} ns a process more")
            summary.append(["sweep", "sleep", variant, round(costs.ns(variant), 1), "", "", ""])
    for variant, why in skipped:
        print(f"  {variant:<34}  skipped: {why}")


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), platform.machine())
    return f"Linux {platform.release()}, {os.cpu_count()} CPUs ({model}), load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build")
    parser.add_argument("--only", choices=["fault", "lease", "switch", "sweep"])
    parser.add_argument("--quick", action="store_true", help="one cycle: shows that it works, not what it costs")
    args = parser.parse_args()
    build = pathlib.Path(args.bin)
    everything, summary, verdicts = [], [], []
    print(machine())
    for part in ("fault", "lease", "switch", "sweep"):
        if args.only not in (None, part):
            continue
        rows, skipped = measure(build / "bench" / "cost", part, args.quick)
        everything += rows
        works = by_work(rows)
        for work in [work for work, costs in works.items() if part != "sweep" and FLOOR not in costs.of]:
            print(f"\n{work}: skipped: {dict(skipped).get(FLOOR, 'no empty program')}")
            del works[work]
        for work, costs in works.items():
            if part == "sweep":
                show_sweeps(costs, skipped, 100 if args.quick else 1000, summary)
            else:
                show_ratios(part, work, costs, skipped, summary)
                verdicts += judge(part, work, costs)
            sys.stdout.flush()
    if verdicts:
        print("\nbudgets", *verdicts, sep="\n")
    with open(build / "bench-fault.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["part", "work", "variant", "ns", "to_nothing", "to_empty", "noise"], *summary])
    with open(build / "bench-fault-raw.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["part", "work", "variant", "cycle", "ns"], *(row.values() for row in everything)])


if __name__ == "__main__":
    main()
