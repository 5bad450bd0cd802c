#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Workers come and go, thousands of them: do ebbd and ebb-watch hold no more descriptors, memory, files and map entries
at the end than at the beginning?

Actors: ebbd and ebb-watch; pool tiny, C workers that do one job of no length each (tests/lib/tiny.c); the test as a deploy
script that has all of them retired, again and again. EBB_CYCLES sets how many workers come and go; `make soak` is long.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import shutil  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402

from ebbtest import BUILD, PATIENCE, Ebb, check, main, wait_for  # noqa: E402
from machine import read  # noqa: E402

CYCLES = int(os.environ.get("EBB_CYCLES", 300))
SIZE = 8
# The first ones bring in pages that all later ones use again.
WARM_UP = max(CYCLES // 10, 8 * SIZE)
# A page of ebbd's map of its children for each 32768 pids, stacks that reach a page further than before.
SLACK_KIB = 64


def private_kib(pid):
    """Anonymous memory. The pages of board and trace, though nobody else may have them mapped, are a file's: the trace
    fills its rings in 12 hours, however many workers come and go."""
    lines = (line.split() for line in read(f"/proc/{pid}/smaps_rollup").splitlines())
    return sum(int(words[1]) for words in lines if words[0] in ("Anonymous:", "Swap:"))


def map_entries(ebb):
    """Of each pinned map that entries come into and go out of; or why there is nothing to count."""
    pins = [path for path in ebb.pins() if os.path.basename(path).startswith("map-")]
    bpftool = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not pins or not bpftool:
        return {}

    def ask(*words):
        done = subprocess.run([bpftool, "-j", "map", *words], capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"bpftool map {words}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)
    return {os.path.basename(path): len(ask("dump", "pinned", path)) for path in pins
            if ask("show", "pinned", path)["type"] == "hash"}


def files_below(folder):
    """Old audit files come by themselves, up to a bound."""
    return sorted(name for _, folders, files in os.walk(folder) for name in folders + files
                  if not name.startswith("audit."))


def holdings(ebb):
    """What must not grow: counts, which are exact, and memory."""
    daemons = {"ebbd": ebb.process.pid, "ebb-watch": ebb.status()["watch"]["pid"]}
    counts = {f"descriptors of {name}": len(os.listdir(f"/proc/{pid}/fd")) for name, pid in daemons.items()}
    counts["files in the run directory"] = len(files_below(ebb.run_dir))
    counts |= {f"entries in {name}": n for name, n in map_entries(ebb).items()}
    return counts, {f"private memory of {name}, KiB": private_kib(pid) for name, pid in daemons.items()}


class Script:
    """Has all workers retired, and waits until their successors are up."""

    def __init__(self, ebb):
        self.ebb, self.sent, self.done = ebb, 0, 0

    def answered(self):
        lines = self.ebb.audit_lines
        for record in lines.all():
            late = record["ev"] == "refused" and "id" not in record  # the watch saw a job end; its worker has gone since
            check(late or record["ev"] not in ("refused", "backoff", "warning"), f"all goes well: {record}")
            self.done += record["ev"] == "done"
        lines.records.clear()  # there will be many
        return self.done == self.sent

    def cycle(self, number):
        until = self.sent + number
        while self.sent < until:
            names = range(self.sent, self.sent + SIZE)
            self.sent += SIZE
            self.ebb.send("\n".join(f"retire tiny/{name % SIZE} id=c{name}" for name in names))
            wait_for(self.answered, PATIENCE, f"all of round {self.sent // SIZE} have a successor")


def flat():
    with Ebb({"tiny": {"size": SIZE, "command": os.path.join(BUILD, "lib/tiny"), "footprint_limit": "64M"}}) as ebb:
        ebb.ready()
        script = Script(ebb)
        script.cycle(WARM_UP)

        def followed():
            """The watch hears of the last ones a moment after ebbd."""
            return all(w["footprint_bytes"] for w in ebb.pool("tiny")["workers"])
        wait_for(followed, PATIENCE, "the watch follows all of them")
        wait_for(lambda: set(map_entries(ebb).values()) <= {0, SIZE}, PATIENCE, "an entry a worker, and none for jobs")
        counts, memory = wait_for(lambda: (h := holdings(ebb))[0] == holdings(ebb)[0] and h, PATIENCE, "they are at rest")
        if not map_entries(ebb):
            print("entries of BPF maps are not counted: there are no pins, or no bpftool")
        started = time.monotonic()
        script.cycle(CYCLES)
        seconds = time.monotonic() - started

        try:
            wait_for(lambda: holdings(ebb)[0] == counts, PATIENCE, "as much as before")
        finally:
            after, memory_after = holdings(ebb)
            print(f"{script.sent - WARM_UP} workers came and went in {seconds:.1f} s, after {WARM_UP} before")
            for what, before in {**counts, **memory}.items():
                print(f"  {what}: {before}, then {(after | memory_after).get(what)}")
        grown = {what: n for what, n in memory_after.items() if n > memory[what] + SLACK_KIB}
        check(not grown, f"memory grows: {grown}")


main(flat)
