#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A scenario (tools/simulate): are its bounds kept, does each of its mutants break those that it names, and does the seed
decide all the rest? What ebb-watch has recorded: is it decided as it was then, is another decision told, and is a tape
refused that says what cannot be?

    EBB_BUILD=build tests/scenarios/check.py FILE.ini|FILE.tape
"""
import json
import os
import re
import subprocess
import sys
import tempfile
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


def is_decided_the_same_again(path):
    """What is recorded of it, and replayed."""
    with tempfile.NamedTemporaryFile(suffix=".tape") as file:
        return complain(simulate("--set", SHORT, "--record", file.name, path), 0, 1) or is_decided_as_it_was(file.name)


def case(name, check, *arguments):
    started = time.monotonic()
    faults = check(*arguments)
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"[case] {name} {time.monotonic() - started:.1f} s {'failed' if faults else 'ok'}", flush=True)
    return not faults


NOBODY = {"acts": [], "confirm": [], "struck": [], "below_baseline": []}
IMPOSSIBLE = {  # what the complaint says of it
    "index": {"workers": [{"index": 4096}]},
    "pools": {"pools": [{"index": 0, "rank": 5}]},
    "n_workers": {"n_workers": 4097},
    "n_pools": {"n_pools": -1},
    "level": {"host": {"level": 1 << 32}},
    "worker": {"plan": {**NOBODY, "acts": [{"worker": 4096, "reason": "footprint", "limit_bytes": None}]}},
    "reason": {"plan": {**NOBODY, "acts": [{"worker": 1, "reason": "hunger", "limit_bytes": None}]}},
    "acts": {"plan": {**NOBODY, "acts": [{"worker": 1, "reason": "budget", "limit_bytes": 1}] * 17}},
    "confirm": {"plan": {**NOBODY, "confirm": [0] * 17}},
    "struck": {"plan": {**NOBODY, "struck": [4096]}},
    "below_baseline": {"plan": {**NOBODY, "below_baseline": [64]}},
    "workers": {"workers": {"index": 1}},
}


def replay(text):
    with tempfile.NamedTemporaryFile("w", suffix=".tape") as file:
        file.write(text)
        file.flush()
        return simulate("--replay", file.name)


def is_decided_as_it_was(path):
    return complain(simulate("--replay", path), 0)


def another_decision_is_told(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed, n = re.subn(r'"acts":\[\{"worker":\d+,"reason":"[a-z]+"', '"acts":[{"worker":0,"reason":"stop"', text, count=1)
    return complain(replay(changed), 1) if n else ["nothing is decided in it"]


def what_cannot_be_is_refused(path):
    with open(path, encoding="utf-8") as file:
        session = file.readline()
    faults = complain(replay(session + json.dumps({"now_ns": 1, "plan": NOBODY}) + "\n"), 0)
    for name, part in IMPOSSIBLE.items():
        done = replay(session + json.dumps({"now_ns": 1, **part}) + "\n")
        if done.returncode != 2 or f"line 2: {name}:" not in done.stderr:
            faults.append(f"{part}: {done.returncode} {done.stderr}")
    return faults


def check_tape(path):
    return [case(check.__name__, check, path)
            for check in (is_decided_as_it_was, another_decision_is_told, what_cannot_be_is_refused)]


def check_scenario(path):
    listed = simulate("--mutants", path)
    if listed.returncode:
        sys.exit(listed.stderr)
    mutants = listed.stdout.split()
    if not mutants:
        sys.exit(f"{path}: no mutant: nobody knows whether its bounds say anything")
    good = [case("bounds_are_kept", bounds_are_kept, path), case("seed_decides", seed_decides, path),
            case("is_decided_the_same_again", is_decided_the_same_again, path)]
    return good + [case(f"mutant_{name}", mutant_is_found, path, name) for name in mutants]


def main():
    path = sys.argv[1]
    sys.exit(0 if all(check_tape(path) if path.endswith(".tape") else check_scenario(path)) else 1)


if __name__ == "__main__":
    main()
