#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker of make bench-queue: takes one job after the other. Under ebb it holds its lease meanwhile; else it just runs.

    queue_worker.py POOL SOCKET LISTS LOG

Fetch, then lock: the queue delivers again what was not done, so what was fetched can be put back.
"""
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [HERE, os.path.join(HERE, "../../user/sdk/python")]
import ebb_worker  # noqa: E402
from queue_jobs import DO, Log  # noqa: E402
from queue_redis import Queue  # noqa: E402


def do(pool, text, lists, log):
    name, *numbers = text.split()
    log.note("begin", name, time.monotonic_ns())
    DO[pool](lists, *map(int, numbers))
    log.note("end", name, time.monotonic_ns())


def main(pool, socket, lists, log):
    queue, log, lease = Queue(socket), Log(log), ebb_worker.Lease()
    lease.ready()
    while True:
        text = queue.take(pool, timeout=1)
        if not text:
            continue
        try:
            with lease.job(pool):
                do(pool, text, lists, log)
                queue.done()
        except ebb_worker.Retired:
            queue.put_back(pool)
            raise


if __name__ == "__main__":
    main(*sys.argv[1:])
