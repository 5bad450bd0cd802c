#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench-small: twice as many computations that leak as there are CPUs, where there is memory for half of them.

The second result from the field, scaled to a minute. Doing nothing: each computation is one process, and keeps what it has
parsed. ebb: the same computations cut into pieces, a process each (`mode = oneshot`), a pool for each, by `priority`. Needs
root, for cgroups and swap.
"""
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
from field import (HERE, MIB, PYTHON, Container, Ebbd, Keeper, Loans, Plot, Skip, Usage, judged, main, read, table,  # noqa: E402
                   write_csv)
from small_piece import left  # noqa: E402

CPUS = os.cpu_count()
CATEGORIES = 2 * CPUS
PIECES, QUICK_PIECES = 40, 2  # of each computation
SWAP_MIB = 2048
PATIENCE = 5  # a run ends after so many times what the pieces take with memory to spare, done or not
FIRST_S = 600  # ...and that one after so long
TICK_S, EVERY_S = 0.05, 1.0
AIM_CPU = 0.95


class Whole(Keeper):
    """All pieces of a category in one process. One that is killed begins again where it was, as its results are kept."""

    def __init__(self, folder, container, args, pieces):
        super().__init__(folder, container)
        self.lists, self.results, self.pieces = args.lists, os.path.join(folder, "results"), str(pieces)
        os.mkdir(self.results)

    def command(self, what, category):
        return [PYTHON, "-B", os.path.join(HERE, "small_piece.py"), what, str(category), self.pieces, self.results, self.lists]

    def start(self):
        for category in range(CATEGORIES):
            self.run(f"category-{category}", self.command("whole", category))

    def tick(self):
        for category, process in enumerate(self.processes):
            if process.poll() not in (None, 0):
                self.run(f"category-{category}", self.command("whole", category))
                self.processes[category] = self.processes.pop()


class Pieces(Ebbd):
    """A pool a category; the first has the highest priority. Drained when nothing is left to do."""

    command = Whole.command

    def __init__(self, folder, container, args, pieces):
        super().__init__(folder, container, args.bin)
        self.lists, self.results, self.pieces = args.lists, os.path.join(folder, "results"), str(pieces)
        os.mkdir(self.results)
        self.drained = set()

    def pools(self):
        return {f"category{category}": {"command": self.command("piece", category), "size": 1, "mode": "oneshot",
                                        "priority": CATEGORIES - category} for category in range(CATEGORIES)}

    def start(self):
        why = self.configure(self.pools())
        if why:
            raise Skip(why)
        super().start()

    def tick(self):
        for category in set(range(CATEGORIES)) - self.drained:
            if not left(self.results, category, int(self.pieces)):
                self.ebb("send", "drain", f"category{category}")
                self.drained.add(category)


class Result:
    """One run."""

    def __init__(self, title, keeper, pieces, begin, samples):
        self.title, self.usage = title, Usage(samples)
        self.pieces = pieces * CATEGORIES
        self.results = {name: read(os.path.join(keeper.results, name)) for name in os.listdir(keeper.results)
                        if not name.endswith(".new")}
        self.done = len(self.results)
        self.seconds = self.usage.seconds
        self.memory = [(max(0, s.at - begin), s.held / MIB) for s in samples]
        every = max(1, round(EVERY_S / 0.2))
        pairs = list(zip(samples[::every], samples[every::every]))
        self.cpu = [(max(0, b.at - begin), (b.cpu_us - a.cpu_us) / 1e4 / (b.at - a.at) / CPUS) for a, b in pairs]

    @property
    def cpu_use(self):
        """Of all CPU time."""
        return self.usage.cpu_s / self.seconds / CPUS

    HEAD = ("", "pieces done", "seconds", "pieces/min", "CPU use", "CPU s/piece", "peak held",
            "swap written", "some", "full")

    def row(self):
        u = self.usage
        return (self.title, f"{self.done}/{self.pieces}", f"{self.seconds:.0f}", f"{self.done / self.seconds * 60:.0f}",
                f"{self.cpu_use:.1%}", f"{u.cpu_s / max(1, self.done):.2f}",
                f"{u.peak / MIB:.0f} MiB", f"{u.swap_written / MIB:.0f} MiB", f"{u.some:.1%}", f"{u.full:.1%}")

    CSV = ("run", "pieces", "done", "seconds", "cpu_s", "cpu_use", "peak_bytes", "mean_bytes",
           "swap_written_bytes", "stall_some", "stall_full")

    def record(self):
        u = self.usage
        return (self.title, self.pieces, self.done, round(self.seconds, 2), round(u.cpu_s, 2), round(self.cpu_use, 4),
                u.peak, round(u.mean), u.swap_written, round(u.some, 5), round(u.full, 5))


def run(title, kind, limit_mib, args, pieces, patience_s):
    folder = tempfile.mkdtemp(prefix="run-", dir=args.folder)
    with Container(Loans(folder), limit_mib) as container:
        keeper = kind(folder, container, args, pieces)
        try:
            begin = time.monotonic()
            keeper.start()
            while (any(left(keeper.results, category, pieces) for category in range(CATEGORIES)) and
                   time.monotonic() - begin < patience_s):
                keeper.tick()
                time.sleep(TICK_S)
            container.end()
        finally:
            keeper.stop()
    return Result(title, keeper, pieces, begin, container.samples)


SPARE, NOTHING, EBB = "memory to spare", "nothing done", "ebb"


def judge(results):
    by = {result.title: result for result in results}
    ebb, whole = by[EBB], by[SPARE]
    wrong = sum(ebb.results[name] != text for name, text in whole.results.items() if name in ebb.results)
    return judged([
        ("CPU use", f"{ebb.cpu_use:.1%}", f"over {AIM_CPU:.0%}", ebb.cpu_use > AIM_CPU),
        ("pieces done", f"{ebb.done}/{ebb.pieces}", "all", ebb.done == ebb.pieces),
        ("results that differ from those of whole computations", wrong, 0, wrong == 0)])


def keep(results, limit_mib, build):
    write_csv(os.path.join(build, "bench-small.csv"), [Result.CSV, *(result.record() for result in results)])
    Plot(f"{CATEGORIES} computations that leak: memory held (resident and swap)", "seconds", "MiB",
         [(result.title, result.memory) for result in results], [(limit_mib, f"the container: {limit_mib} MiB")]
         ).write(os.path.join(build, "bench-small.svg"))
    Plot(f"{CATEGORIES} computations that leak: CPU use", "seconds", "% of all CPUs",
         [(result.title, result.cpu) for result in results]).write(os.path.join(build, "bench-small-cpu.svg"))


def measure(args):
    pieces = QUICK_PIECES if args.quick else PIECES
    results = [run(SPARE, Whole, None, args, pieces, FIRST_S)]
    limit_mib = results[0].usage.peak // MIB // 2
    print(f"{CATEGORIES} computations of {pieces} pieces; container of {limit_mib} MiB, half of what they take; swap in a "
          "file", flush=True)
    for title, kind in ((NOTHING, Whole), (EBB, Pieces)):
        if not args.only or title in args.only:
            try:
                results.append(run(title, kind, limit_mib, args, pieces, results[0].seconds * PATIENCE))
            except Skip as skip:
                print(f"{title}: skipped: {skip}", flush=True)
    print(table([Result.HEAD, *(result.row() for result in results)],
                [f"{SPARE}, {NOTHING}: a process each for the {CATEGORIES} computations",
                 f"{EBB}: a pool each, size = 1, mode = oneshot, priority by their order"]))
    if any(result.title == EBB for result in results):
        print("\naims", *judge(results), sep="\n")
    keep(results, limit_mib, args.bin)


if __name__ == "__main__":
    main("bench-small", __doc__.splitlines()[0], measure, SWAP_MIB)
