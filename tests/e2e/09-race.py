#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A thousand retire requests race a worker that takes 1 ms jobs as fast as it can: does every job that started also
finish, and is none run twice?

Actors: ebbd and ebb-watch; pool race, two C workers (tests/lib/racer.c) on a queue that counts starts and ends and
gives a dead worker's unfinished job to its successor; the test as a deploy script that goes on asking. Once for each
lease pattern: fetch, then lock; lock, then fetch.
"""
# exclusive: needs both processors
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import mmap  # noqa: E402
import struct  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402

from ebbtest import BUILD, PATIENCE, SLOWER, Ebb, check, main, wait_for  # noqa: E402

REQUESTS = 1000
SIZE = 2
SLOTS, JOBS = 64, 4 << 20  # as in racer.c
RACER = os.path.join(BUILD, "lib/racer")


class Queue:
    """The racers' queue, as racer.c lays it out."""

    def __init__(self, path):
        size = int(subprocess.run([RACER], capture_output=True, check=False).stdout)
        with open(path, "w+b") as file:
            file.truncate(size)
            self.map = mmap.mmap(file.fileno(), size)
        self.arrays = 16 + 2 * 4 * SLOTS

    def head(self):
        return dict(zip(("next", "closed", "overlaps", "redelivered"), struct.unpack_from("<4I", self.map, 0)))

    def close(self):
        struct.pack_into("<I", self.map, 4, 1)

    def unfinished_claims(self):
        return [claim for claim in struct.unpack_from(f"<{SLOTS}I", self.map, 16 + 4 * SLOTS) if claim]

    def counts(self):
        """Starts and finishes of each job that was ever claimed."""
        n = self.head()["next"]
        return self.map[self.arrays:self.arrays + n], self.map[self.arrays + JOBS:self.arrays + JOBS + n]


def storm(ebb):
    """Ask again and again, each worker as soon as its successor is up; how many requests were sent."""
    sent = 0
    deadline = time.monotonic() + 100 * SLOWER
    while sent < REQUESTS or len(ebb.audit(ev="exited")) < REQUESTS / 4:
        check(time.monotonic() < deadline, f"asked only {sent} times, {len(ebb.audit(ev='exited'))} have gone")
        for slot in range(SIZE):
            ebb.send(f"retire race/{slot} id=r{sent}")
            sent += 1
        if sent % 10 == 0:
            ebb.send(f"retire race id=r{sent}")
            sent += 1
        time.sleep(0.01)
    return sent


def every_answer(ebb, sent):
    """Each request is settled exactly once."""
    def settled():
        answers = {}
        for record in ebb.audit():
            if record["ev"] in ("refused", "done") and str(record.get("id", "")).startswith("r"):
                answers.setdefault(record["id"], []).append(record["ev"])
        return len(answers) == sent and answers
    answers = wait_for(settled, PATIENCE, f"all {sent} requests are settled")
    check(all(len(events) == 1 for events in answers.values()), "each exactly once")


def race(pattern):
    with Ebb({}, start=False) as ebb:
        path = os.path.join(ebb.home, "queue")
        queue = Queue(path)
        ebb.pools = {"race": {"command": f"{RACER} {path} {pattern}", "size": SIZE, "grace": "20s"}}
        ebb.configure()
        ebb.start()
        ebb.ready()
        sent = storm(ebb)
        every_answer(ebb, sent)
        queue.close()
        ebb.ready()
        exits = ebb.audit(ev="exited")
        ebb.stop()

        head, (starts, finishes) = queue.head(), queue.counts()
        print(f"{pattern}: {sent} requests, {len(exits)} workers gone, {len(starts)} jobs, "
              f"{head['redelivered']} given out again, {sum(e.get('signal') == 15 for e in exits)} by signal")
        check(len(starts) > REQUESTS / 4, f"jobs were done: {len(starts)}")
        unequal = [job for job, (s, f) in enumerate(zip(starts, finishes)) if s != f]
        check(not unequal, f"started and never finished: jobs {unequal[:20]}")
        twice = [job for job, s in enumerate(starts) if s > 1]
        check(not twice, f"run twice: jobs {twice[:20]}")
        left = sorted(job for job, s in enumerate(starts) if s == 0)
        if pattern == "lock-fetch":
            check(not left, f"fetched and never started, so lost: jobs {left[:20]}")
        check(left == sorted(claim - 1 for claim in queue.unfinished_claims()), f"lost: {left[:20]}")
        check(head["overlaps"] == 0, f"{head['overlaps']} times two workers were in one slot")
        bad = [e for e in exits if e.get("signal") not in (None, 15) or e.get("exit_code") not in (None, 0)]
        check(not bad, f"each left in order: {bad[:5]}")


def fetch_then_lock():
    race("fetch-lock")


def lock_then_fetch():
    race("lock-fetch")


main(fetch_then_lock, lock_then_fetch)
