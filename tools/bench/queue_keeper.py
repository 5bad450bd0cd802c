#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Keeps as many workers as there should be running, and does nothing else: what any init does (Restart=always).

    queue_keeper.py COMMAND... with %POOL% in it, which is replaced by the job type
"""
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
from queue_jobs import POOLS  # noqa: E402

PAUSE_S = 0.1  # between a worker's end and the next; systemd's RestartSec=


def main():
    def start(pool):
        return subprocess.Popen([word.replace("%POOL%", pool) for word in sys.argv[1:]], stdin=subprocess.DEVNULL)

    workers = {start(pool): pool for pool, size in POOLS.items() for _ in range(size)}
    while True:
        time.sleep(PAUSE_S)
        for worker in [worker for worker in workers if worker.poll() is not None]:
            pool = workers.pop(worker)
            workers[start(pool)] = pool


if __name__ == "__main__":
    main()
