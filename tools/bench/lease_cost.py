# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the lease costs a worker per job, in Python; prints the same lines as lease_cost.c."""
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "user", "sdk", "python"))
import ebb_worker  # noqa: E402

CHUNKS, TURNS = 51, 2000


def job():
    pass


def plain():
    for _ in range(TURNS):
        job()


def leased(lease):
    for _ in range(TURNS):
        with lease.job(None):
            job()


def labelled(lease):
    for _ in range(TURNS):
        with lease.job("report 17"):
            job()


def timed(function, *args):
    start = time.perf_counter_ns()
    function(*args)
    return (time.perf_counter_ns() - start) / TURNS


def main():
    lease = ebb_worker.Lease()
    lease.ready()
    costs = {"none": [], "lease": [], "label": []}
    for _ in range(CHUNKS):
        costs["none"].append(timed(plain))
        costs["lease"].append(timed(leased, lease))
        costs["label"].append(timed(labelled, lease))
    for name, values in costs.items():
        print(name, round(statistics.median(values), 1))


if __name__ == "__main__":
    main()
