#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Do the lease protocol, and what is decided for a pool as a whole, keep their promises in each order of steps? spin searches
all states of lease.pml and of pool.pml, one property at a time; and each step that a promise rests on is left out once, which must break that promise.

    tests/model/check.py [PROPERTY | MUTANT]…    what breaks a property is printed step by step; with TRAILS=1 also for mutants
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

MODELS = os.path.dirname(os.path.abspath(__file__))
TOOLS = "spin", "gcc"
TIMEOUT_S = 100

ASSERTED = {
    "quiet": "no signal while a job runs",
    "ours": "no signal to a process that is not the worker's",
    "fenced": "no job starts after a fence",
    "ordered": "no job starts under a lease that was locked after the order to exit",
    "kept": "no worker leaves by an order that has been taken back",
    "spared": "a spare has neither begun a job nor fetched one",
    "once": "a slot is never filled twice, nor beside a job that a dead worker's helper goes on with",
    "within": "never more than size serve, unless an ebbd has died just now",
    "prepared": "who goes when his successor is ready leaves no fewer than size serving",
    "places": "no more places are open than size, and spares or successors",
}
FORMULAS = {
    "leaves": "a due worker that is known to use its lease, or comes back to it, leaves with all that belongs to it",
    "refilled": "a slot has a worker again, and lets it work",
    "comes_back": "a pool comes back to its size, its spares, and as many places",
}
OF_POOL = "within", "prepared", "places", "comes_back"  # the others are of lease.pml
MUTANTS = (
    ("quiet", "LOCK", "the lease is not locked before the signal"),
    ("quiet", "HELD_FENCE_AND_ORDER", "the fence is not held until the signal, and X not written (either would do)"),
    ("fenced", "HELD_FENCE_AND_ORDER", "the fence is not held until the worker is gone, and X not written"),
    ("quiet", "SEEN_USE", "a free lease counts although the worker was never seen to use it"),
    ("quiet", "PROOF_OF_USE", "a worker that is taken over counts as one that uses its lease"),
    ("quiet", "FENCE_ANEW", "a fence on the board counts, although its lock has died with ebbd"),
    ("quiet", "LOCK_OF_REST", "what a dead worker has left behind is told to go without its lease"),
    ("ours", "START_TIME", "takeover does not check start time and lease of a pid on the board"),
    ("ordered", "LOCK_FIRST_READ_THEN", "the worker reads the order before it locks"),
    ("kept", "RUN_AT_TAKEOVER", "takeover does not write R"),
    ("kept", "RUN_WHEN_KEPT", "a worker is kept without R"),
    ("once", "WAIT_FOR_REST", "the slot is filled before all of the last worker are gone"),
    ("once", "CARE_FOR_REST", "takeover does not care for what a worker that died meanwhile has left behind"),
    ("once", "LOCK_OF_THE_DEAD", "what is left of a worker never seen at its lease is left alone although it holds it"),
    ("once", "SEARCH", "takeover without a board does not search for leases"),
    ("once", "NAME_FIRST", "the board does not name a new worker before it runs"),
    ("once", "WAIT_FOR_EXEC", "takeover does not wait for a new process that is not exec'ed yet"),
    ("spared", "OUR_CHILD", "a worker that was taken over is kept at its lease, although it may have fetched a job"),
    ("spared", "SPARE_ANEW", "a spare on the board counts as one, although the lock has died with ebbd"),
    ("leaves", "EXIT_ORDER", "X is not written"),
    ("leaves", "TRY_AGAIN", "a fence that was refused is not tried again"),
    ("leaves", "TELL_REST", "what a worker leaves behind is not told to go"),
    ("refilled", "SIGHT_OF_END", "the end of a worker that was taken over is not seen"),
    ("refilled", "LET_IN", "a spare is not let in when it is needed"),
    ("refilled", "SIGHT_OF_WAIT", "a worker that was taken over is not looked for at its first lock"),
    ("within", "ROOM", "a spare is let in without counting who serves"),
    ("prepared", "READY_FIRST", "it is asked out before its successor is ready"),
    ("prepared", "LET_IN", "the spare is not let in"),
    ("places", "CLOSE_PLACE", "no place is closed when a successor has taken over"),
    ("comes_back", "TOO_MANY", "nobody is asked out when the spares of an ebbd that died serve too"),
    ("comes_back", "MARK_OFF", "the mark stays on a slot whose worker has gone"),
)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


class Search:
    """All states there are, or up to the first that breaks the property: the nearest one, if it is an assertion."""

    def __init__(self, wanted, mutant):
        formula = wanted in FORMULAS
        defines = [f"-DCHECK={'progress' if formula else wanted}", f"-DMUTANT={mutant or 'NO_MUTANT'}"]
        with tempfile.TemporaryDirectory(prefix="ebb-model.") as folder:
            model = "pool.pml" if wanted in OF_POOL else "lease.pml"
            shutil.copy(os.path.join(MODELS, model), folder)
            run(["spin", "-a", *defines, model], folder)
            how = ["-DNFAIR=3"] if formula else ["-DSAFETY", "-DNOCLAIM", "-DBFS"]
            run(["gcc", "-O1" if formula and model == "pool.pml" else "-O0", "-w", *how, "-o", "pan", "pan.c"], folder)
            search = ["-a", "-f", "-N", wanted] if formula else ["-E"]
            self.report = run(["./pan", *search, "-w20", "-m100000"], folder)
            self.trail = ""
            if os.path.exists(os.path.join(folder, f"{model}.trail")):
                self.trail = in_words(run(["spin", "-t", "-p", "-g", *defines, model], folder))
        self.broken = "errors: 0" not in self.report
        self.whole = "not completed" not in self.report and "max search depth" not in self.report
        self.states = int(re.search(r"(\d+) states, stored", self.report).group(1))


def in_words(replay):
    """One line a step: who, and what it changed."""
    lines, known, step, changed = [], {}, "", {}

    def end_step():
        news = [f"{name} = {value}" for name, value in changed.items() if known.get(name) != value]
        known.update(changed)
        if step and news:
            lines.append(f"{step:8} {', '.join(news)}")
        changed.clear()

    for line in replay.splitlines():
        if "START OF CYCLE" in line:
            end_step()
            lines.append("and from here again and again:")
        statement = re.match(r"\s*\d+:\s+proc\s+\d+ \((\w+):", line)
        change = re.match(r"\s+([\w.\[\]]+) = (\w+)$", line)
        if statement:
            end_step()
            step = statement.group(1)
        elif change:
            changed[change.group(1)] = change.group(2)
    return "\n".join(lines)  # without the last step: it is the one that breaks the promise, and says all there is again


class Case(unittest.TestCase):
    def __init__(self, pool, wanted, mutant, sentence):
        super().__init__()
        self.mutant, self.name = mutant, wanted if not mutant else f"{wanted}_without_{mutant.lower()}"
        self.sentence = sentence if not mutant else f"broken when {sentence}"
        self.search = pool.submit(Search, wanted, mutant)

    def __str__(self):
        return f"{self.name}: {self.sentence}"

    def runTest(self):
        search = self.search.result()
        if self.mutant:
            self.assertTrue(search.broken, search.report)
            print(f"\n{search.trail}\n" if os.environ.get("TRAILS") else f"after {search.states} states ... ", end="", flush=True)
        else:
            self.assertFalse(search.broken, f"broken:\n{search.trail}\n{search.report}")
            self.assertTrue(search.whole, search.report)
            print(f"all {search.states} states ... ", end="", flush=True)


def main():
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        print("not installed: " + " ".join(missing))
        sys.exit(77)
    cases = [(wanted, "", sentence) for wanted, sentence in {**ASSERTED, **FORMULAS}.items()] + list(MUTANTS)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        chosen = [Case(pool, *case) for case in cases if not sys.argv[1:] or set(case) & set(sys.argv)]
        sys.exit(not unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(chosen)).wasSuccessful())


if __name__ == "__main__":
    main()
