#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Real pressure: does the idle worker whose retirement frees most go, one at a time?

Actors: ebbd and ebb-watch outside; inside a memory cgroup with a small limit and swap made by the test: pool reports,
four Python workers of different size (one of them, the largest, in a job), and a process of the test that keeps writing
to more memory than fits. The rules: pressure_some 1 %, three seconds of cooldown.
"""
# exclusive: makes memory pressure
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import subprocess  # noqa: E402
import time  # noqa: E402

from ebbtest import MIB, PATIENCE, SLOWER, Ebb, check, main, seconds  # noqa: E402
from machine import Skip, memory_cgroup, pressure_cgroup, read, swap  # noqa: E402

COOLDOWN = 3
THRASH = """
import mmap, os, sys
for path in sys.argv[2:]:
    open(path + "/cgroup.procs", "w").write(str(os.getpid()))
memory = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
while True:
    for page in range(0, len(memory), mmap.PAGESIZE):
        memory[page:page + 512] = b"%512d" % page
"""


def largest_idle_goes_one_at_a_time():
    try:
        read("/proc/pressure/memory")
    except OSError as error:
        raise Skip(f"no pressure figures: {error.strerror}") from error
    with Ebb({}, start=False) as ebb:
        swap(ebb.loans, ebb.home, 768)
        group = memory_cgroup(ebb.loans, 320)
        pressed = pressure_cgroup(ebb.loans, group)  # the machine's own pressure is no matter here
        command = group.wrap(ebb.worker(), f"{ebb.home}/worker", pressed)
        ebb.pools = {"reports": {"command": command, "size": 4, "min_ready": 1}}
        ebb.host = {"pressure_source": f"{pressed.path}/memory.pressure", "pressure_some": "1%",
                    "cooldown": f"{COOLDOWN}s"}
        ebb.configure()
        ebb.start()
        ebb.ready()
        for slot, mib in ((0, 20), (1, 80), (2, 40)):
            ebb.done(ebb.order("reports", slot, ["keep", mib]))
        busy = ebb.begin("reports", 3, ["keep", 120])["order"]
        for slot, mib in ((0, 20), (1, 80), (2, 40), (3, 120)):
            ebb.holds("reports", slot, mib)
        check(not ebb.audit(ev="retire"), "no pressure, no act")

        thrasher = subprocess.Popen(["/usr/bin/python3", "-c", THRASH, "400", group.path, pressed.path])
        try:
            started = time.time()
            elevated = ebb.wait_audit(PATIENCE, lambda r: "elevated" in str(r.get("text")), ev="pressure")
            print("pressure", elevated)
            for slot in (1, 2):
                ebb.wait_audit(PATIENCE, ev="exited", pool="reports", slot=slot, generation=1)
        finally:
            thrasher.kill()
            thrasher.wait()
        ebb.finish()
        acts = ebb.audit(ev="retire")
        check([act["reason"] for act in acts[:2]] == ["pressure"] * 2, f"for pressure: {acts}")
        check([act["slot"] for act in acts[:2]] == [1, 2], f"the one that frees most first, the busy one never: {acts}")
        check(seconds(acts[0]) >= started, "only once it was short")
        for before, after in zip(acts, acts[1:]):
            gone = ebb.audit(ev="exited", slot=before["slot"], generation=before["generation"])
            waited = seconds(after) - seconds(before) >= COOLDOWN - 0.1  # no longer than that, for one that is slow to go
            check(waited or (gone and seconds(gone[0]) <= seconds(after)), f"one at a time: {before} {after}")
            # An emulated machine is too slow to thrash all the time; where the stall has ended, no cooldown is waited for.
            check(SLOWER > 1 or waited, f"with the cooldown between: {before} {after}")
        effect = ebb.wait_audit(PATIENCE, ev="effect", pool="reports", slot=1)
        check(effect["freed_bytes"] >= 60 * MIB, f"what the act did is in the audit: {effect}")
        ebb.done(busy)
        check(not [s for s in ebb.signals() if s["job"] is not None], "no signal within a job")
        ebb.ready()


main(largest_idle_goes_one_at_a_time)
