#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""ebb-watch --record: is what was judged in the field judged the same way again by simulate --replay, and explained?

Actors: ebbd and ebb-watch with EBB_RECORD, or ebb-watch started by hand; pool reports, two Python workers with a limit of
64 MiB; simulate. A job leaves slot 0 over the limit, once while retirements are held, and then free to go.
"""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import BUILD, MIB, PATIENCE, Ebb, check, main, wait_for  # noqa: E402

POOL = {"reports": {"size": 2, "footprint_limit": "64M"}}


def replay(*arguments):
    return subprocess.run([os.path.join(BUILD, "simulate"), "--replay", *arguments], capture_output=True, text=True,
                          timeout=60, check=False)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def record(scene, **more):
    """A pool that records; the tape's path, when it has stopped."""
    with Ebb(POOL, environ={"EBB_RECORD": more.pop("path")}) as ebb:
        ebb.ready()
        scene(ebb)
        return [r for r in ebb.audit(ev="retire") if r.get("by") == "watch"]


def held_and_let_go(ebb):
    ebb.command("hold reports what=retire")
    ebb.done(ebb.order("reports", 0, ["keep", 128], label="a secret label"))
    ebb.holds("reports", 0, 128)
    lines = len(read(ebb.environ["EBB_RECORD"]).splitlines())
    wait_for(lambda: len(read(ebb.environ["EBB_RECORD"]).splitlines()) > lines + 1, PATIENCE, "it is judged meanwhile")
    ebb.command("resume reports")
    ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=0, generation=2)
    lines = len(read(ebb.environ["EBB_RECORD"]).splitlines())
    wait_for(lambda: len(read(ebb.environ["EBB_RECORD"]).splitlines()) > lines + 1, PATIENCE, "and afterwards")


def tape_of(name):
    return os.path.join(os.environ.get("TMPDIR", "/tmp"), f"ebbt-{os.getpid()}-{name}.tape")


def decisions_are_the_same_again():
    path = tape_of("same")
    try:
        retired = record(held_and_let_go, path=path)
        check([r["reason"] for r in retired] == ["footprint"], f"one was retired: {retired}")
        check(os.stat(path).st_mode & 0o777 == 0o600, "what it says is for nobody else")
        done = replay(path)
        check(done.returncode == 0 and ", 1 acts, 0 decided otherwise" in done.stdout, f"replayed: {done}")
        act = re.search(r"^ *#(\d+) .* footprint reports/0 ", done.stdout, re.M)
        check(act, f"and said to whom: {done.stdout}")
        check("secret" not in read(path), "labels of jobs are not recorded")

        why = replay("--at", act.group(1), "--explain", "reports/0", path).stdout
        check(f"#{act.group(1)} reports/0: footprint" in why, f"explained: {why}")
        check(re.search(rf"^  footprint +wants +\d+ +{64 * MIB} ", why, re.M), f"with its numbers: {why}")
        before = replay("--at", str(int(act.group(1)) - 1), "--explain", "reports/0", path).stdout
        check("reports/0: stays" in before and re.search(r"^  hold +refuses", before, re.M), f"held before: {before}")
        check(replay("--explain", "reports/9", path).returncode == 2, "nobody of that name")
        another_decision_is_told(path)
    finally:
        os.unlink(path)


def another_decision_is_told(path):
    """Had the limit been another one, so would have been the decision."""
    changed = path + ".changed"
    text = read(path)
    check(f'"footprint_limit_bytes":{64 * MIB}' in text, "the limit is in it")
    with open(changed, "w", encoding="utf-8") as file:
        file.write(text.replace(f'"footprint_limit_bytes":{64 * MIB}', f'"footprint_limit_bytes":{640 * MIB}'))
    try:
        done = replay(changed)
        check(done.returncode == 1 and " 0 acts, 1 decided otherwise" in done.stdout, f"it would stay: {done}")
    finally:
        os.unlink(changed)


def a_killed_watch_goes_on_in_the_same_file():
    path = tape_of("killed")

    def kill_it(ebb):
        sessions = lambda: read(path).count('{"tape":')  # noqa: E731
        wait_for(lambda: sessions() == 1, PATIENCE, "the first one records")
        os.kill(ebb.status()["watch"]["pid"], signal.SIGKILL)
        wait_for(lambda: sessions() == 2, PATIENCE, "so does the second")
        ebb.done(ebb.order("reports", 1, ["keep", 128]))
        ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=1, generation=2)
    try:
        record(kill_it, path=path)
        done = replay(path)
        check(done.returncode == 0 and ", 1 acts, 0 decided otherwise" in done.stdout, f"replayed: {done}")
    finally:
        os.unlink(path)


def it_ends_at_its_size_and_judging_goes_on():
    path, size = tape_of("full"), 1500
    with Ebb(POOL, watch=False) as ebb:
        ebb.ready()
        command = [os.path.join(BUILD, "ebb-watch"), "--run-dir", ebb.run_dir, "--record", path, "--record-size", str(size)]
        with open(os.path.join(ebb.home, "watch.log"), "wb") as log:
            watch = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: "has come to its size" in read(log.name), PATIENCE, "it is full, and that is said")
            check(os.stat(path).st_size <= size, "not a byte more")
            check(read(path).endswith("}\n"), "the last line is whole")
            check(replay(path).returncode == 0, "and can be replayed")
            ebb.done(ebb.order("reports", 0, ["keep", 128]))
            ebb.wait_audit(PATIENCE, ev="retire", pool="reports", slot=0, reason="footprint")
        finally:
            watch.terminate()
            watch.wait(timeout=PATIENCE)
            os.unlink(path)


def what_cannot_be_recorded_into_is_left_alone():
    """A FIFO would stop the loop."""
    path = tape_of("fifo")
    os.mkfifo(path)
    try:
        retired = record(lambda ebb: (ebb.done(ebb.order("reports", 0, ["keep", 128])),
                                      ebb.wait_audit(PATIENCE, ev="retire", reason="footprint")), path=path)
        check(retired, "it judges all the same")
    finally:
        os.unlink(path)


main(decisions_are_the_same_again, a_killed_watch_goes_on_in_the_same_file, it_ends_at_its_size_and_judging_goes_on,
     what_cannot_be_recorded_into_is_left_alone)
