#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Do the kernel programs on the page-fault path come when they are needed, and go when they are not?

Actors: ebbd and ebb-watch; pool reports, one Python worker. It grows to more than half of its limit and gives that back;
then somebody looks on with `ebb trace --live`.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ebbtest import BUILD, PATIENCE, Ebb, Skip, main, stays, wait_for  # noqa: E402


def level(ebb):
    return ebb.status()["watch"]["level"]


def on_demand():
    with Ebb({"reports": {"footprint_limit": "200M"}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("there are no programs")
        if ebb.status()["watch"]["tier"] == "basic":
            raise Skip("no rss_stat here")
        wait_for(lambda: level(ebb) == "L0", PATIENCE, "nothing near a limit: L0")
        ebb.done(ebb.order("reports", 0, ["keep", 120]))
        wait_for(lambda: level(ebb) == "L1", PATIENCE, "over half of the limit: L1")
        ebb.done(ebb.order("reports", 0, ["drop"]))
        stays(lambda: level(ebb) == "L1", 3, "not given up at once")
        wait_for(lambda: level(ebb) == "L0", PATIENCE, "small again for a while: L0")


def while_somebody_looks_on():
    with Ebb({"reports": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("there are no programs")
        if ebb.status()["watch"]["tier"] == "basic":
            raise Skip("no rss_stat here")
        wait_for(lambda: level(ebb) == "L0", PATIENCE, "nothing to see: L0")
        looker = subprocess.Popen([os.path.join(BUILD, "ebb"), "--run-dir", ebb.run_dir, "trace", "reports/0", "--live",
                                   "--csv"], stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: level(ebb) == "L1", PATIENCE, "somebody looks on: L1")
        finally:
            looker.kill()
            looker.wait()
        wait_for(lambda: level(ebb) == "L0", PATIENCE, "nobody looks on any more: L0")


main(on_demand, while_somebody_looks_on)
