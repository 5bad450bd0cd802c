#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What superlance's memmon does: an event listener of supervisord that looks at each process now and then, and restarts those
that hold more than a limit. RSS, as there.

    queue_memmon.py LIMIT_BYTES
"""
import os
import sys

from supervisor import childutils


def rss(pid):
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


def main(limit):
    rpc = childutils.getRPCInterface(os.environ)
    while True:
        childutils.listener.wait(sys.stdin, sys.stdout)
        for process in rpc.supervisor.getAllProcessInfo():
            name = f"{process['group']}:{process['name']}"
            if process["group"] != "memmon" and process["pid"] and rss(process["pid"]) > limit:
                print(f"restarting {name}", file=sys.stderr, flush=True)
                rpc.supervisor.stopProcess(name)
                rpc.supervisor.startProcess(name)
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
