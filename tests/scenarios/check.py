#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A scenario (tools/simulate): are its bounds kept, does each of its mutants break those that it names, and does the seed
decide all the rest?

    EBB_BUILD=build tests/scenarios/check.py FILE.ini
"""
import os
import subprocess
import sys
import time

BUILD = os.environ.get("EBB_BUILD", "build")
SHORT = "run.lasts=30m"  # enough to draw many numbers


def simulate(*arguments):
    return subprocess.run([os.path.join(BUILD, "simulate"), *arguments], capture_output=True, text=True, check=False)


def complain(done, *allowed):
    if done.returncode in allowed:
        return []
    return [f"simulate ended with {done.returncode}: {done.stderr}{done.stdout}"]


def bounds_are_kept(path):
    return complain(simulate(path), 0)


def mutant_is_found(path, name):
    return complain(simulate("--mutant", name, path), 0)


def seed_decides(path):
    runs = [simulate("--set", SHORT, "--json", "--seed", seed, path) for seed in ("1", "1", "2")]
    faults = [fault for run in runs for fault in complain(run, 0, 1)]  # such a short run may keep no bound
    texts = [run.stdout.replace('"seed":2', '"seed":1') for run in runs]
    if texts[0] != texts[1]:
        faults.append(f"two runs of one seed differ: {texts[0]}{texts[1]}")
    if texts[0] == texts[2]:
        faults.append("another seed changes nothing")
    return faults


def case(name, check, *arguments):
    started = time.monotonic()
    faults = check(*arguments)
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"[case] {name} {time.monotonic() - started:.1f} s {'failed' if faults else 'ok'}", flush=True)
    return not faults


def main():
    path = sys.argv[1]
    listed = simulate("--mutants", path)
    if listed.returncode:
        sys.exit(listed.stderr)
    mutants = listed.stdout.split()
    if not mutants:
        sys.exit(f"{path}: no mutant: nobody knows whether its bounds say anything")
    good = [case("bounds_are_kept", bounds_are_kept, path), case("seed_decides", seed_decides, path)]
    good += [case(f"mutant_{name}", mutant_is_found, path, name) for name in mutants]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
