#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Real, critical pressure: are no successors started while enough are left to serve, and is that over when it is calm?

Actors: ebbd and ebb-watch outside; inside a memory cgroup with a small limit and swap made by the test: pools reports (three
Python workers, of which one has to be there) and thumbs (one, which has to be), each of which loses a worker, and a process
of the test that keeps writing to more memory than fits. Retirements are held: this is about starts.
"""
# once: pressure is none of the sensor
# exclusive: makes memory pressure
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import subprocess  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, main, stays, wait_for  # noqa: E402
from machine import memory_cgroup, pressure_cgroup, swap  # noqa: E402

LONG = 3 * PATIENCE
THRASH = """
import mmap, os, sys
for path in sys.argv[2:]:
    open(path + "/cgroup.procs", "w").write(str(os.getpid()))
memory = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
while True:
    for page in range(0, len(memory), mmap.PAGESIZE):
        memory[page:page + 512] = b"%512d" % page
"""


def is_critical(ebb):
    return ebb.status()["watch"]["pressure"] == "critical"


def no_successors_while_it_is_critical():
    with Ebb({}, start=False) as ebb:
        swap(ebb.loans, ebb.home, 768)
        group = memory_cgroup(ebb.loans, 200)
        pressed = pressure_cgroup(ebb.loans, group)
        command = group.wrap(ebb.worker(), f"{ebb.home}/worker", pressed)
        ebb.pools = {"reports": {"command": command, "size": 3, "min_ready": 1},
                     "thumbs": {"command": command, "size": 1, "min_ready": 1}}
        ebb.host = {"pressure_source": f"{pressed.path}/memory.pressure", "pressure_some": "1%", "pressure_full": "1%"}
        ebb.configure()
        ebb.start()
        ebb.ready()
        ebb.command("hold all what=retire")
        thrasher = subprocess.Popen(["/usr/bin/python3", "-c", THRASH, "300", group.path, pressed.path])
        try:
            wait_for(lambda: is_critical(ebb), LONG, "it is critical")
            hold = ebb.wait_audit(PATIENCE, ev="hold", pool="reports", text="refill")
            check(hold["by"] == "watch", f"the watch holds refills: {hold}")
            for pool in ("reports", "thumbs"):
                ebb.order(pool, 0, ["leave", 0])
                ebb.wait_audit(LONG, ev="exited", pool=pool, slot=0, generation=1)
            ebb.wait_audit(LONG, ev="refill", pool="thumbs", slot=0, generation=2)
            stays(lambda: not is_critical(ebb) or not ebb.audit(ev="refill", pool="reports", generation=2), 8,
                  "two are left of reports, which is enough: it is not filled, for longer than one hold lasts")
            check(is_critical(ebb), "all that time it was critical")
            holds = ebb.audit(ev="hold", pool="reports", text="refill")
            check(len(holds) == 1, f"renewals are not recorded: {holds}")
        finally:
            thrasher.kill()
            thrasher.wait()
        ebb.wait_audit(LONG, ev="ready", pool="reports", slot=0, generation=2)
        check(not ebb.audit(ev="retire"), "nobody was retired")


main(no_successors_while_it_is_critical)
