#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Do the benchmarks measure all that they promise? One quick round of each; what they find is no matter here.

Actors: tools/bench/fault.py, reaction.py, pressed.py, field_leak.py and field_small.py with --quick, their processes, cgroups and
swap, the kernel programs, an ebbd with a watch. make bench-queue needs packages that `make check` does not.
"""
# exclusive: makes memory pressure
# once: it chooses its sensors itself.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import csv  # noqa: E402
import glob  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import xml.etree.ElementTree  # noqa: E402

from ebbtest import BUILD, ROOT, check, main  # noqa: E402
from machine import Skip  # noqa: E402

TOOLS = os.path.join(ROOT, "tools/bench")
sys.path.insert(0, TOOLS)
import fault  # noqa: E402
import pressed  # noqa: E402
import reaction  # noqa: E402


def run_directories():
    return set(glob.glob("/dev/shm/ebbtest-*"))


def bench(script, table):
    """Its rows, and what it printed. In a build directory of its own, so that it leaves real figures alone."""
    if not os.path.exists(os.path.join(BUILD, "bench/cost")):
        raise Skip("benchmarks are not built (make build-bench)")
    if os.geteuid():
        raise Skip("needs root to attach kernel programs")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("bench", "ebb", "ebbd", "ebb-watch"):
            os.symlink(os.path.join(BUILD, name), os.path.join(folder, name))
        before = run_directories()
        done = subprocess.run([sys.executable, "-B", os.path.join(TOOLS, script), "--quick", "--bin", folder],
                              capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        check(done.returncode == 0, f"{script} ends with {done.returncode}")
        check(run_directories() <= before, f"{script} leaves nothing in memory: {run_directories() - before}")
        table = os.path.join(folder, table)
        rows = []
        if os.path.exists(table):
            with open(table, encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        for picture in (name for name in os.listdir(folder) if name.endswith(".svg")):
            tree = xml.etree.ElementTree.parse(os.path.join(folder, picture))
            check(tree.findall(".//{*}polyline"), f"{picture} shows curves")
    if not rows:
        raise Skip("nothing to measure with here: " + (done.stdout.strip().splitlines() or ["no reason given"])[-1])
    return rows, done.stdout


def costs_have_all_rows():
    rows, said = bench("fault.py", "bench-fault.csv")
    found = {(row["work"], row["variant"]): row for row in rows}
    for work in ("anon-4k", "shmem-4k", "anon-2m"):
        for _, variant, to, _ in fault.BUDGETS:
            if f"{variant:<34}  skipped" in said or f"{to:<34}  skipped" in said:
                continue
            if work == "anon-2m" and (work, variant) not in found:
                continue  # no huge page was to be had
            check((work, variant) in found, f"{work} has {variant}")
            check(float(found[work, variant]["ns"]) > 100, f"a fault takes time: {found[work, variant]}")
            check(f"{work:<9} {variant}: " in said, f"it says of {work}, {variant} whether the budget is kept")
    for work, variant in (("lease", "L0, a worker's lease"), ("switch", "empty program"), ("sleep", "members")):
        check(float(found[work, variant]["ns"]) > 100, f"{work} has {variant}")


def reactions_have_all_rows():
    rows, said = bench("reaction.py", "bench-reaction.csv")
    for pages in reaction.PAGES:
        for method in ("sensor", "sensor, CPUs busy", "statm each 10 ms", "ebb-watch"):
            of = [row for row in rows if (row["pages"], row["method"]) == (pages, method)]
            check(len(of) == 1 and int(of[0]["runs"]) > 0, f"{pages} has {method}")
        check(f"{pages} sensor: p99" in said, "it says whether the aim is reached")


def pressed_has_all_rows():
    rows, _ = bench("pressed.py", "bench-pressed.csv")
    for where in ("inside", "beside"):
        for what in pressed.WHAT:
            of = [row for row in rows if (row["where"], row["what"]) == (where, what)]
            check(len(of) == 1 and int(of[0]["n"]) > 0, f"{where} has {what}")


def leaks_are_measured():
    rows, said = bench("field_leak.py", "bench-leak.csv")
    check([row["run"].split(",")[0] for row in rows] == ["nobody watches", "ebb"] * 3, f"both runs, of all kinds: {rows}")
    check(said.count("standard error 0.") == 3, "it says how far to trust what it says")
    for row in rows:
        check(row["lost"] == row["twice"] == "0", f"each job once: {row}")
        check(int(row["peak_bytes"]) > 10 << 20, f"it sees the workers' memory: {row}")
    check(said.count("ebb: flat") == said.count("ebb: jobs a second") == 3, "it says whether the aims are reached")


def computations_are_measured():
    rows, said = bench("field_small.py", "bench-small.csv")
    check([row["run"] for row in rows][:2] == ["memory to spare", "nothing done"], f"both runs without ebb: {rows}")
    check(int(rows[0]["done"]) == int(rows[0]["pieces"]), f"with memory to spare all is done: {rows[0]}")
    check(int(rows[1]["swap_written_bytes"]) > 0, f"half of the memory is not enough: {rows[1]}")
    if "ebb: skipped" not in said:
        check("kept   ebb: results that differ from those of whole computations: 0" in said, "pieces come to the same")


main(costs_have_all_rows, reactions_have_all_rows, pressed_has_all_rows, leaks_are_measured, computations_are_measured)
