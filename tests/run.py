#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Run the tests: one line a file, then what was skipped and why, then what failed, then `N passed, N failed, N skipped`.

    tests/run.py --build DIR [--only unit|fuzz|model|scenario|bpf|e2e|proc] [-v] [pattern…]

`fuzz`: each fuzz target with the inputs that are kept for it. `scenario`: each simulated one, and what breaks it; and what
was recorded. `proc`: the end-to-end scripts once more, with the sensor that needs no BPF (as root; else the first time is
like that).

A file is run when its name contains one of the patterns. What a test prints is shown when it fails, or with -v. Counted
are test functions of cmocka and unittest programs and cases of end-to-end scripts; a program that breaks off counts as
one failure. Two files more than there are CPUs run at a time, but those with a line `# exclusive: <reason>` run alone.
Scripts with a line `# once: <reason>` are no part of `proc`.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TESTS)
sys.path.insert(0, os.path.join(TESTS, "lib"))
sys.dont_write_bytecode = True
from ebbtest import SLOWER, end_leftovers, leftovers  # noqa: E402
from machine import Loans  # noqa: E402

KINDS = ("unit", "fuzz", "model", "scenario", "bpf", "e2e", "proc")
# End-to-end scripts wait more than they compute; an emulated machine computes all the time.
AT_A_TIME = (os.cpu_count() or 1) + (2 if SLOWER == 1 else 0)
LAST_LINES = 6
TIMEOUT = 480 * SLOWER  # the longest take a minute where nothing else runs


class Test:
    def __init__(self, kind, path):
        self.kind, self.path = kind, path
        self.name = f"{kind}/{os.path.basename(path)}"
        self.exclusive = kind == "bpf" or (path.endswith(".py") and has_mark(path, "exclusive"))
        self.length = os.path.getsize(path) if path.endswith(".py") else 0  # what is begun last should be short
        self.passed = self.failed = 0
        self.skips = []  # (name, reason)
        self.output, self.seconds, self.note = "", 0.0, ""

    def command(self):
        if self.kind == "fuzz":
            return replay(self.path)
        if self.kind == "scenario":
            return [sys.executable, "-B", os.path.join(TESTS, "scenarios", "check.py"), self.path]
        return [sys.executable, "-B", self.path] if self.path.endswith(".py") else [self.path]

    def run(self, build):
        scratch = tempfile.mkdtemp(prefix="ebbt-")
        os.chmod(scratch, 0o755)
        started = time.monotonic()
        environ = {**os.environ, "EBB_BUILD": build, "TMPDIR": scratch, "PYTHONDONTWRITEBYTECODE": "1"}
        if self.kind == "proc":
            environ["EBB_SENSOR"] = "proc"
        with open(os.path.join(scratch, "output"), "w+b") as output:
            process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT,
                                       env=environ, start_new_session=True)
            code = self.wait(process)
            output.seek(0)
            self.output = output.read().decode("utf-8", "replace")
        self.seconds = time.monotonic() - started
        self.judge(code)
        self.clean(scratch)

    def wait(self, process):
        try:
            return process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.note = f" (not done after {TIMEOUT:g} s)"
        for number in (signal.SIGTERM, signal.SIGKILL):  # the first lets it tidy up
            os.killpg(process.pid, number)
            try:
                process.wait(timeout=30)
                break
            except subprocess.TimeoutExpired:
                pass
        return 1

    def judge(self, code):
        python = self.path.endswith(".py")
        count = (count_cases if self.kind in ("scenario", "e2e", "proc") else count_replays if self.kind == "fuzz" else
                 count_unittest if python else count_cmocka)
        self.passed, self.failed, self.skips = count(self.output)
        if code == 77 and not self.skips:
            self.skips = [("all of it", (self.output.strip().splitlines() or ["no reason given"])[-1])]
        elif code not in (0, 77) and not self.failed:
            self.failed = 1
            self.note = self.note or f" (ended with {code})"
        elif code == 0 and not self.passed and not self.failed and not self.skips:
            self.passed = 1

    def clean(self, scratch):
        """Give back what a test that was killed has borrowed; a process that it left behind is a failure."""
        deadline = time.monotonic() + 5  # who was sent a SIGKILL need not have gone yet
        while (left := leftovers(scratch)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if left:
            self.failed += 1
            self.note += f" (left processes behind: {left})"
            end_leftovers(scratch)
        for folder, _, files in os.walk(scratch):
            if "loans" in files:
                Loans(folder).give_back()
        shutil.rmtree(scratch, ignore_errors=True)

    def line(self):
        counts = f"{self.passed} passed" + (f", {self.failed} FAILED" if self.failed else "")
        counts += f", {len(self.skips)} skipped" if self.skips else ""
        return f"{self.name:<34} {self.seconds:6.1f} s  {counts}{self.note}"

    def last_words(self):
        """What a reader of no more than the end of a log needs: who failed, and the lines that say how."""
        said = [line for line in self.output.splitlines() if re.search(r"fail|error|expected|Traceback|!=", line, re.I)]
        return "\n    ".join([f"failed: {self.line()}", *[line.strip()[:200] for line in said[-LAST_LINES:]]])

    def record(self):
        """For a machine: what is in the line, why tests were skipped, and what a failed one printed."""
        return {"test": self.name, "seconds": round(self.seconds, 1), "passed": self.passed, "failed": self.failed,
                "skips": self.skips, "note": self.note, "output": self.output if self.failed else ""}


def has_mark(path, mark):
    with open(path, encoding="utf-8") as file:
        return re.search(rf"^# {mark}: ", file.read(), re.M) is not None


def count_cases(output):
    """End-to-end scripts: `[case] NAME 1.2 s ok|failed|skip: reason`."""
    verdicts = re.findall(r"^\[case\] (\S+) \S+ s (.*)$", output, re.M)
    skips = [(name, verdict.removeprefix("skip: ")) for name, verdict in verdicts if verdict.startswith("skip")]
    return sum(v == "ok" for _, v in verdicts), sum(v == "failed" for _, v in verdicts), skips


def count_replays(output):
    return len(re.findall(r"^\S+: ok$", output, re.M)), 0, []


def count_cmocka(output):
    """The reason of a skip is what the test printed before it."""
    passed = len(re.findall(r"^\[ +OK +\] \S", output, re.M))
    failed = len(set(re.findall(r"^\[ +FAILED +\] ([A-Za-z_]\w*)$", output, re.M)))
    skips = re.findall(r"^\[ RUN +\] (\S+)\n((?:(?!\[ ).*\n)*?)\[ +SKIPPED +\] \1$", output, re.M)
    return passed, failed, [(name, " ".join(said.split()) or "no reason given") for name, said in skips]


def count_unittest(output):
    found = re.search(r"^Ran (\d+) tests?", output, re.M)
    if not found:
        return 0, 0, []
    failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
    skips = re.findall(r"^(\S+) .*\.\.\. skipped '(.*)'$", output, re.M)
    return int(found.group(1)) - failed - len(skips), failed, skips


def replay(path):
    """A target that was not built, or that has no inputs, is a failure: nothing would be tried."""
    corpus = scripts(os.path.join(TESTS, "fuzz", "corpus", os.path.basename(path).removeprefix("fuzz_")), r".*")
    wrong = "it is not built" if not os.path.exists(path) else "its corpus is empty" if not corpus else None
    return [sys.executable, "-c", f"import sys; sys.exit('{wrong}')"] if wrong else [path, *corpus]


def programs(folder):
    if not os.path.isdir(folder):
        return []
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def scripts(folder, form):
    if not os.path.isdir(folder):
        return []
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if re.fullmatch(form, name))


def find(build, only, patterns):
    paths = {"unit": programs(os.path.join(build, "unit")) + scripts(os.path.join(TESTS, "unit"), r".*\.py"),
             "fuzz": [os.path.join(build, "fuzz", os.path.basename(path).removesuffix(".c"))
                      for path in scripts(os.path.join(TESTS, "fuzz"), r"fuzz_\w+\.c")],
             "model": scripts(os.path.join(TESTS, "model"), r".*\.py"),
             "scenario": scripts(os.path.join(TESTS, "scenarios"), r".*\.(ini|tape)"),
             "bpf": programs(os.path.join(build, "bpf-tests")),
             "e2e": scripts(os.path.join(TESTS, "e2e"), r"\d\d-.*\.py")}
    paths["proc"] = [path for path in paths["e2e"] if os.geteuid() == 0 and not has_mark(path, "once")]
    tests = [Test(kind, path) for kind in KINDS if only in (None, kind) for path in paths[kind]]
    return [test for test in tests if not patterns or any(pattern in test.name for pattern in patterns)]


def run_all(tests, build, verbose, records):
    def finish(test):
        print(test.line(), flush=True)
        if records:
            print(json.dumps(test.record()), file=records, flush=True)
        if test.failed or verbose:
            print("    " + test.output.rstrip().replace("\n", "\n    "), flush=True)

    tests = sorted(tests, key=lambda test: -test.length)
    for exclusive in (False, True):
        batch = [test for test in tests if test.exclusive == exclusive]
        with concurrent.futures.ThreadPoolExecutor(max_workers=1 if exclusive else AT_A_TIME) as pool:
            started = {pool.submit(test.run, build): test for test in batch}
            for future in concurrent.futures.as_completed(started):
                future.result()
                finish(started[future])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="where ebbd and the test programs are")
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("-v", "--verbose", action="store_true", help="show what the tests print")
    parser.add_argument("--records", type=argparse.FileType("w"), metavar="FILE", help="also one JSON object a file of tests")
    parser.add_argument("pattern", nargs="*")
    options = parser.parse_args()

    build = os.path.abspath(options.build)
    tests = find(build, options.only, options.pattern)
    started = time.monotonic()
    run_all(tests, build, options.verbose, options.records)
    skips = [(test.name, name, reason) for test in tests for name, reason in test.skips]
    for test, name, reason in skips:
        print(f"skipped: {test} {name}: {reason}")
    for test in tests:
        if test.failed:
            print(test.last_words())
    failed = sum(test.failed for test in tests)
    passed = sum(test.passed for test in tests)
    print(f"{len(tests)} files in {time.monotonic() - started:.0f} s")
    if not tests:
        print("no test of that name")
    print(f"{passed} passed, {failed} failed, {len(skips)} skipped")
    sys.exit(1 if failed or not tests else 0)


if __name__ == "__main__":
    main()
