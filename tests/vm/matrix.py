#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Do the kernel programs, and what stands on them, work on the kernels that people run?

    tests/vm/matrix.py --build DIR [KERNEL…]

A kernel is the beginning of a version (6.1), `newest`, or `all`. Each is booted in an emulated machine that runs the BPF
tests and the core end-to-end scripts; and the objects' relocations are resolved against its types and those of the same
kernel for arm64. One table: tests by kernels. The exit code is 1 if anything failed; what could not be tried is skipped,
with the reason.
"""
import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import emulator  # noqa: E402
import image  # noqa: E402
import kernel_types  # noqa: E402
from archive import Archive, Missing, image_in  # noqa: E402

USUAL = ("6.1", "6.12")
ALL = ("5.10", *USUAL, "newest")
ARCHITECTURES = ("amd64", "arm64")
# What a machine runs: names of tests/run.py. Of the end-to-end scripts those in which the watch sees and judges.
CORE = ("bpf/", "e2e/01-", "e2e/02-", "e2e/03-", "e2e/04-", "e2e/05-", "e2e/06-", "e2e/08-", "e2e/09-", "e2e/11-", "e2e/19-", "e2e/21-")
PATIENCE = 4500


class Cell:
    """One test on one kernel."""

    def __init__(self, passed=0, failed=0, skips=(), output=""):
        self.passed, self.failed, self.skips, self.output = passed, failed, list(skips), output

    def text(self):
        words = [f"{self.passed} ok"] if self.passed else []
        words += [f"{self.failed} FAILED"] if self.failed else []
        words += [f"{len(self.skips)} skipped"] if self.skips else []
        return ", ".join(words) or "-"


class Column:
    """One kernel for one architecture: cells by the name of the test."""

    def __init__(self, wanted, architecture):
        self.wanted, self.architecture = wanted, architecture
        self.name = f"{wanted} {architecture}"
        self.cells, self.notes = {}, []

    def skip(self, name, reason):
        self.cells[name] = Cell(skips=[("all of it", reason)])


def resolve(column, tree, build, scratch):
    """The objects against this kernel's types; and one that no kernel can satisfy, to see that this can fail."""
    try:
        types = kernel_types.extract(image_in(tree), os.path.join(tree, "types.btf"))
    except (ValueError, OSError) as reason:
        column.skip("relocations", str(reason))
        return
    where = os.path.join(build, "bpf-arm64" if column.architecture == "arm64" else "bpf")
    for name in ("ebb.linked.o", "probe.bpf.o"):
        done = relocate(build, os.path.join(where, name), types)
        add_relocation(column, name, done.returncode, done.stdout + done.stderr)
    done = relocate(build, os.path.join(build, "vm/missing.bpf.o"), types)
    complaints = {line.partition(":")[0] for line in done.stdout.splitlines()}
    right = done.returncode == 77 or (done.returncode == 1 and {"no_type", "no_member", "no_tracepoint"} <= complaints
                                      and "guarded" not in complaints)
    add_relocation(column, "missing.bpf.o", done.returncode if done.returncode == 77 else 0 if right else 1,
                   "what no kernel has was not refused as it should be:\n" + done.stdout + done.stderr)


def relocate(build, path, types):
    return subprocess.run([os.path.join(build, "vm/relocate"), path, types], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)


def add_relocation(column, name, code, said):
    cell = column.cells.setdefault("relocations", Cell())
    if code == 77:
        cell.skips.append((name, said.strip()))
    elif code == 0:
        cell.passed += 1
    else:
        cell.failed += 1
        cell.output += f"{name}: {said}"


def boot(column, tree, common, scratch):
    """Run the tests on it."""
    folder = os.path.join(scratch, column.wanted)
    os.mkdir(folder)
    own = os.path.join(folder, "own")
    image.write_own(own, tree, CORE)
    outcome = emulator.run(image_in(tree), (common, own), folder, PATIENCE)
    for record in outcome.records:
        column.cells[record["test"]] = Cell(record["passed"], record["failed"], record["skips"],
                                            f"{record['note']}\n{record['output']}")
    column.cells["boot"] = Cell(passed=0 if outcome.broken else 1, failed=1 if outcome.broken else 0,
                                output=f"{outcome.broken}\n{emulator.tail(folder) if outcome.broken else ''}")
    begun = f"{outcome.release}: tests begin {outcome.boot:.1f} s after the start" if outcome.boot else "did not come up"
    column.notes.append(f"{begun}, {outcome.seconds:.0f} s in all")


def run_column(column, archive, options, scratch, common):
    try:
        version, tree = archive.kernel(column.architecture, column.wanted)
    except Missing as reason:
        column.skip("boot" if column.architecture == "amd64" else "relocations", str(reason))
        return
    column.name = f"{version.partition('-')[0]} {column.architecture}"
    resolve(column, tree, options.build, scratch)
    if column.architecture == "amd64":
        boot(column, tree, common, scratch)


def names_of(columns):
    """Rows in the order of the machines, the common ones first."""
    found = dict.fromkeys(("boot", "relocations"))
    for column in columns:
        found.update(dict.fromkeys(sorted(column.cells)))
    return list(found)


def show(columns):
    names = names_of(columns)
    table = [["", *(column.name for column in columns)]]
    table += [[name, *(column.cells.get(name, Cell()).text() for column in columns)] for name in names]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())
    for column in columns:
        for name, cell in column.cells.items():
            for what, reason in cell.skips:
                print(f"skipped: {column.name}: {name} {what}: {reason}")
    for column in columns:
        for note in column.notes:
            print(f"{column.name}: {note}")


def show_failures(columns):
    for column in columns:
        for name, cell in column.cells.items():
            if cell.failed:
                print(f"--- {column.name}: {name}\n    " + cell.output.strip().replace("\n", "\n    "))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="where the programs, the tests and the objects are")
    parser.add_argument("--cache", help="where downloaded kernels are kept", default=os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ebb"))
    parser.add_argument("kernel", nargs="*")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    wanted = ALL if "all" in options.kernel else tuple(dict.fromkeys(options.kernel)) or USUAL

    columns = [Column(kernel, architecture) for architecture in ARCHITECTURES for kernel in wanted]
    scratch = tempfile.mkdtemp(prefix="ebb-vm-")
    try:
        archive = Archive(options.cache)
        archive.update()
        common = os.path.join(scratch, "common")
        image.write_common(common, options.build)
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            for done in [pool.submit(run_column, column, archive, options, scratch, common) for column in columns]:
                done.result()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    show_failures(columns)
    show(columns)
    failed = sum(cell.failed for column in columns for cell in column.cells.values())
    passed = sum(cell.passed for column in columns for cell in column.cells.values())
    skipped = sum(len(cell.skips) for column in columns for cell in column.cells.values())
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
