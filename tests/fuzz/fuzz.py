#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Run the fuzz targets with libFuzzer, one after the other: executions, edges covered, inputs found; 1 if one falls over.

    tests/fuzz/fuzz.py --build DIR [--seconds N] [noun…]

It begins with the committed corpus and what earlier runs have found (DIR/found/NOUN). An input that a target falls over is
kept in DIR/found; once that is mended, it goes into tests/fuzz/corpus/NOUN under a name that says what it is. So does what
reaches more than the committed files do, after `DIR/fuzz/fuzz_NOUN -merge=1 -set_cover_merge=1 SMALL DIR/found/NOUN`.
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
INPUT_BYTES = 4096


def last(pattern, output):
    found = re.findall(pattern, output)
    return int(found[-1]) if found else 0


def run(noun, build, seconds):
    found = os.path.join(build, "found", noun)
    os.makedirs(found, exist_ok=True)
    command = [os.path.join(build, "fuzz", f"fuzz_{noun}"), f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES}",
               "-print_final_stats=1", "-timeout=30", f"-artifact_prefix={found}-", found, os.path.join(HERE, "corpus", noun)]
    # In memory where there is such a place: some targets write files for each input.
    with tempfile.TemporaryDirectory(prefix="ebbt-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as scratch:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "TMPDIR": scratch}, check=False)
    output = done.stdout.decode("utf-8", "replace")
    print(f"{noun:<10} {last(r'number_of_executed_units: *([0-9]+)', output):>10} executions "
          f"{last(r'cov: ([0-9]+)', output):>6} edges {len(os.listdir(found)):>5} inputs"
          f"{'  FELL OVER' if done.returncode else ''}", flush=True)
    if done.returncode:
        print("    " + output[-6000:].replace("\n", "\n    "), flush=True)
    return done.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="where the targets are, built with libFuzzer")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("noun", nargs="*")
    options = parser.parse_args()
    all_nouns = sorted(os.path.basename(path)[len("fuzz_"):-len(".c")] for path in glob.glob(f"{HERE}/fuzz_*.c"))
    wrong = set(options.noun) - set(all_nouns)
    if wrong:
        parser.error(f"no such target: {' '.join(sorted(wrong))}; there are {' '.join(all_nouns)}")
    build = os.path.abspath(options.build)
    codes = [run(noun, build, options.seconds) for noun in options.noun or all_nouns]
    sys.exit(1 if any(codes) else 0)


if __name__ == "__main__":
    main()
