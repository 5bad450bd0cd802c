#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The main job on real input: the same jobs twice, first with the memory rules off, then on.

    demo.py --bin DIR       where ebbd, ebb-watch and ebb are

Two pools of ordinary Python workers parse the machine's package lists: `reports`, whose workers keep all that they have
parsed, and `thumbs`, whose workers stay small. Exit status 1 if a job was lost, nothing was retired, or a pool ended
below its size. Everything happens in a temporary folder, which is removed; no process is left.
"""
import argparse
import collections
import datetime
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, HERE)
from demo_worker import REPORT_BYTES, REPORTS, THUMB_BYTES  # noqa: E402
from spool import Spool  # noqa: E402

SECONDS = 24  # in which the jobs of one run arrive
POOLS = {"reports": 3, "thumbs": 2}
PER_SECOND = {"reports": 5, "thumbs": 12}
# Room for some ten reports; a fresh worker holds about 5 MiB.
LIMIT = "96M"
TICK_S = 0.2
PATIENCE_S = 30
MIB = 1 << 20

CONFIG = """
[ebb]
# The host's own pressure would blur the comparison.
pressure_some   = off
pressure_full   = off

[pool:reports]
command         = '{python}' '{worker}' reports '{spool}/reports' '{packages}'
size            = {reports}
footprint_limit = {limit}
min_lifetime    = 1s

[pool:thumbs]
command         = '{python}' '{worker}' thumbs '{spool}/thumbs' '{packages}'
size            = {thumbs}
footprint_limit = {limit}
min_lifetime    = 1s
"""


class Failed(Exception):
    """Something that the demo cannot go on without. The text says what."""


class Display:
    """One live line on a terminal; elsewhere a line every few seconds."""

    EVERY_S = 5

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.shown_at = 0.0
        self.text = ""  # of the live line, while there is one

    def live(self, text):
        self.text = text
        if self.terminal:
            columns = shutil.get_terminal_size().columns
            print("\r" + text[: columns - 1].ljust(columns - 1), end="", flush=True)
        elif time.monotonic() - self.shown_at >= self.EVERY_S:
            print(text, flush=True)
            self.shown_at = time.monotonic()

    def line(self, text=""):
        """Below the live line, which stays as it was last."""
        if self.text:
            print("" if self.terminal else self.text)
        self.text, self.shown_at = "", 0.0
        print(text, flush=True)


def package_lists(to):
    """All package lists of this machine in one file; compressed ones as far as apt's helper is there to read them."""
    helper = "/usr/lib/apt/apt-helper"
    with open(to, "wb") as file:
        for path in ["/var/lib/dpkg/status"] + sorted(glob.glob("/var/lib/apt/lists/*Packages*")):
            if path.endswith((".lz4", ".gz", ".xz", ".zst", ".bz2")):
                if os.access(helper, os.X_OK):
                    subprocess.run([helper, "cat-file", path], stdout=file, stderr=subprocess.DEVNULL, check=False)
            elif os.access(path, os.R_OK):
                with open(path, "rb") as source:
                    shutil.copyfileobj(source, file)
    if os.path.getsize(to) == 0:
        raise Failed("there is no package list to parse: neither /var/lib/dpkg/status nor /var/lib/apt/lists")
    return os.path.getsize(to)


def schedule():
    """(second, pool, name, text) of every job, in the order of arrival. The same for both runs."""
    jobs, kinds = [], sorted(REPORTS)
    for i in range(SECONDS * PER_SECOND["reports"]):
        text = f"{kinds[i % len(kinds)]} {i * REPORT_BYTES}"
        jobs.append((i / PER_SECOND["reports"], "reports", f"report-{i:04}", text))
    for i in range(SECONDS * PER_SECOND["thumbs"]):
        jobs.append((i / PER_SECOND["thumbs"], "thumbs", f"thumb-{i:04}", str(i * THUMB_BYTES)))
    return sorted(jobs)


def footprint(pid):
    """Anonymous, shared and swapped bytes: read here from /proc rather than believed from ebb."""
    total = 0
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:")):
                    total += int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


class Run:
    """One pass over all jobs, with its own run directory, configuration and spools."""

    def __init__(self, title, limit, folder, programs, packages, display):
        self.title, self.folder, self.programs, self.display = title, folder, programs, display
        self.run_dir = os.path.join(folder, "run")
        os.makedirs(folder)
        self.spools = {pool: Spool(os.path.join(folder, "spool", pool), create=True) for pool in POOLS}
        self.config = os.path.join(folder, "ebb.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(python=sys.executable, worker=os.path.join(HERE, "demo_worker.py"), limit=limit,
                                     spool=os.path.join(folder, "spool"), packages=packages, **POOLS))
        self.jobs = schedule()
        self.ebbd = None
        self.pids = set()  # of all workers ever seen
        self.peak = 0

    def program(self, name):
        return os.path.join(self.programs, name)

    def ebb(self, *words, **options):
        return subprocess.run([self.program("ebb"), *words, "--run-dir", self.run_dir], check=False, text=True,
                              stdin=subprocess.DEVNULL, **options)

    def status(self):
        """Pools by name; None while there is nothing to read."""
        shown = self.ebb("status", "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return {pool["name"]: pool for pool in json.loads(shown.stdout)["pools"]} if shown.returncode == 0 else None

    # Life.

    def start(self):
        with open(os.path.join(self.folder, "log"), "wb") as log:
            # A session of its own: an interrupt from the terminal is for the demo, which then stops ebbd in order.
            self.ebbd = subprocess.Popen([self.program("ebbd"), "--config", self.config, "--run-dir", self.run_dir],
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.wait_for(self.at_size, "the pools do not come to their size")

    def stop(self):
        """As a deploy script would. Workers that are somehow left find their spool gone, and leave."""
        if self.ebbd is None:
            return
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second interrupt must not leave anything behind
        if self.ebbd.poll() is None:
            self.ebb("send", "--wait", "stop", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self.ebbd.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.ebbd.terminate()
                self.ebbd.wait()
        self.ebbd = None
        shutil.rmtree(os.path.join(self.folder, "spool"), ignore_errors=True)
        until = time.monotonic() + PATIENCE_S
        while self.left() and time.monotonic() < until:
            time.sleep(TICK_S)
        if self.left():
            raise Failed(f"workers that do not leave: {self.left()}")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def left(self):
        """Workers that are still there."""
        left = []
        for pid in self.pids:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if self.folder.encode() in file.read():
                        left.append(pid)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return left

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, condition, what):
        until = time.monotonic() + PATIENCE_S
        while not condition():
            if self.ebbd.poll() is not None:
                raise Failed(f"ebbd has ended with {self.ebbd.returncode}:\n{self.log()}")
            if time.monotonic() > until:
                raise Failed(f"{what} within {PATIENCE_S} s:\n{self.log()}")
            time.sleep(TICK_S / 4)

    def at_size(self):
        pools = self.status()
        return pools is not None and all(name in pools and pools[name]["ready"] >= POOLS[name] for name in POOLS)

    # The jobs.

    def run(self):
        """Feed the jobs as they are due, until all are done."""
        started, fed = time.monotonic(), 0
        deadline = started + SECONDS * 2 + PATIENCE_S
        while True:
            second = time.monotonic() - started
            while fed < len(self.jobs) and self.jobs[fed][0] <= second:
                _, pool, name, text = self.jobs[fed]
                self.spools[pool].put(name, text)
                fed += 1
            for spool in self.spools.values():
                spool.requeue()
            self.look(second)
            if self.done() == len(self.jobs) or time.monotonic() > deadline or self.ebbd.poll() is not None:
                break
            time.sleep(TICK_S)
        try:
            self.wait_for(self.at_size, "a pool is not back at its size")
        except Failed as failed:
            self.display.line(str(failed))

    def done(self):
        return sum(len(spool.names("done")) for spool in self.spools.values())

    def look(self, second):
        pools = self.status()
        if pools is None:
            return
        sizes = {}
        for name, pool in pools.items():
            pids = [worker["pid"] for worker in pool["workers"] if worker["pid"]]
            self.pids.update(pids)
            sizes[name] = [footprint(pid) for pid in pids]
        total = sum(map(sum, sizes.values()))
        self.peak = max(self.peak, total)
        workers = "  ".join(name + " " + " ".join(f"{size // MIB:3}" for size in sizes[name]) for name in POOLS)
        retired = sum(pool["retired"] for pool in pools.values())
        self.display.live(f"{self.title:<9} {second:3.0f} s  {self.done():4}/{len(self.jobs)} jobs  MiB: {workers}  "
                          f"all {total // MIB} (peak {self.peak // MIB})  retired {retired}")

    # What came of it. Asked for while ebbd still runs.

    def outcome(self):
        pools = self.status() or {}
        done = self.done()
        return Outcome(
            title=self.title, done=done, lost=len(self.jobs) - done, twice=self.twice(), peak=self.peak,
            retired=sum(pool["retired"] for pool in pools.values()),
            refilled=sum(pool["refilled"] for pool in pools.values()),
            gap_s=self.longest_gap_s(),
            below_size=[name for name, size in POOLS.items() if name not in pools or pools[name]["ready"] < size])

    def twice(self):
        """Jobs that were begun or ended more than once."""
        n = 0
        for spool in self.spools.values():
            starts, ends = spool.runs()
            n += sum(max(starts.get(name, 0), ends.get(name, 0)) > 1 for name in starts.keys() | ends.keys())
        return n

    def longest_gap_s(self):
        """In which a pool was short of a worker, from the audit; None: no worker has gone."""
        there, size, short_since, longest = collections.Counter(), {}, {}, None
        shown = self.ebb("events", "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in shown.stdout.splitlines():
            record = json.loads(line)
            pool, at = record.get("pool"), datetime.datetime.strptime(record["t"], "%Y-%m-%dT%H:%M:%S.%fZ")
            if record["ev"] == "exited":
                size.setdefault(pool, there[pool])
                there[pool] -= 1
                longest = longest or 0.0
                if there[pool] < size[pool]:
                    short_since.setdefault(pool, at)
            elif record["ev"] == "refill":
                there[pool] += 1
                if pool in short_since and there[pool] >= size[pool]:
                    longest = max(longest, (at - short_since.pop(pool)).total_seconds())
        return longest

    def show_sawtooth(self):
        """Of the slot of `reports` that has had the most workers."""
        workers = (self.status() or {}).get("reports", {}).get("workers", [])
        slot = max(workers, key=lambda worker: worker["generation"] or 0)["slot"] if workers else 0
        self.ebb("trace", f"reports/{slot}")


Outcome = collections.namedtuple("Outcome", "title done lost twice peak retired refilled gap_s below_size")


def table(off, on):
    def row(title, a, b, more=""):
        return f"  {title:<32}{a:>11}{b:>11}   {more}".rstrip()

    def gap(outcome):
        return "-" if outcome.gap_s is None else f"{outcome.gap_s * 1000:.0f} ms"

    return "\n".join([
        row("", "rules off", "rules on"),
        row("jobs done", off.done, on.done),
        row("jobs lost", off.lost, on.lost),
        row("jobs run twice", off.twice, on.twice),
        row("workers retired", off.retired, on.retired),
        row("workers refilled", off.refilled, on.refilled),
        row("peak footprint of all workers", f"{off.peak / MIB:.0f} MiB", f"{on.peak / MIB:.0f} MiB",
            f"{off.peak / on.peak:.1f} to 1" if on.peak else ""),
        row("longest time short of a worker", gap(off), gap(on)),
    ])


def verdict(off, on):
    """What went wrong, in words."""
    wrong = []
    for run in off, on:
        wrong += [f"{run.title}: {run.lost} jobs were lost"] if run.lost else []
        wrong += [f"{run.title}: {run.twice} jobs were run twice"] if run.twice else []
        wrong += [f"{run.title}: pool {name} ended below its size" for name in run.below_size]
    return wrong + ([] if on.retired else ["nothing was retired"])


def demo(folder, programs, display):
    packages = os.path.join(folder, "packages")
    size = package_lists(packages)
    runs = [Run("rules off", "off", os.path.join(folder, "off"), programs, packages, display),
            Run("rules on", LIMIT, os.path.join(folder, "on"), programs, packages, display)]
    display.line(f"{len(runs[0].jobs)} jobs over {size // MIB or 1} MiB of package lists, twice: first nobody is "
                 f"retired, then whoever holds over {LIMIT}.")
    outcomes = []
    for run in runs:
        try:
            run.start()
            run.run()
            outcomes.append(run.outcome())
            display.line()
            if run is runs[-1]:
                display.line(table(*outcomes) + "\n")
                run.show_sawtooth()
        finally:
            run.stop()
    return verdict(*outcomes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, metavar="DIR", help="where ebbd, ebb-watch and ebb are")
    programs = os.path.abspath(parser.parse_args().bin)
    for name in "ebbd", "ebb-watch", "ebb":
        if not os.access(os.path.join(programs, name), os.X_OK):
            parser.error(f"there is no {name} in {programs}")
    folder = tempfile.mkdtemp(prefix="ebb-demo-")
    display = Display()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        wrong = demo(folder, programs, display)
    except Failed as failed:
        wrong = [str(failed)]
    except KeyboardInterrupt:
        display.line("interrupted")
        sys.exit(130)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what in wrong:
        print(f"demo: {what}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
