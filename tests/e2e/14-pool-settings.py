#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Does a worker get what its pool's configuration says, and nothing of ebbd's own?

Actors: ebbd without the watch; pools whose workers write down who they are, where, and with what environment; one that
ignores the retire signal, one that ends with a code that means recycled, one that does not; a reload.
"""
# once: no watch takes part
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import json  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, main, seconds, stays, wait_for  # noqa: E402
from machine import Skip, write  # noqa: E402


def identity_directory_and_environment():
    if os.geteuid() != 0:
        raise Skip("needs root to start workers as somebody else")
    quoted = """A=1 B=two 'C=three words' LANG=xx"""
    with Ebb({"plain": {}, "other": {"user": "nobody", "directory": "/usr", "environment": quoted}}, watch=False,
             environ={"NOTIFY_SOCKET": "/no/such/socket", "WATCHDOG_USEC": "60000000", "LANG": "C"}) as ebb:
        ebb.ready()
        other, plain = (ebb.wait_journal(PATIENCE, ev="up", pool=pool) for pool in ("other", "plain"))
        check((other["uid"], other["gid"]) == (65534, 65534) and 0 not in other["groups"], f"user: {other}")
        check((plain["uid"], plain["cwd"], other["cwd"]) == (0, "/", "/usr"), f"directory: {plain} {other}")
        environ = other["environ"]
        wanted = {"A": "1", "B": "two", "C": "three words", "LANG": "xx", "USER": "nobody", "LOGNAME": "nobody",
                  "HOME": "/nonexistent", "EBB_POOL": "other", "EBB_SLOT": "0", "EBB_GENERATION": "1",
                  "EBB_LEASE": f"{ebb.run_dir}/lease/other.0.1"}
        check({name: environ.get(name) for name in wanted} == wanted, f"environment: {environ}")
        check(not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(environ), f"the service manager's is not its: {environ}")
        for up in (plain, other):
            check(up["leads"] and up["stdin"] == "/dev/null" and up["blocked"] == 0, f"a clean start: {up}")
            check(up["oom_score_adj"] == "0", f"no privilege against the kernel's choice: {up}")
            check(len(up["files"]) <= 5, f"standard files, the journal and the listing itself: {up}")
        lease = os.stat(environ["EBB_LEASE"])
        check((lease.st_uid, lease.st_mode & 0o777, lease.st_size) == (65534, 0o660, 256), f"lease: {lease}")


def umask():
    before = os.umask(0o077)
    try:
        with Ebb({"usual": {}, "open": {"umask": "002"}}, watch=False) as ebb:
            ebb.ready()
            masks = {pool: ebb.wait_journal(PATIENCE, ev="up", pool=pool)["umask"] for pool in ("usual", "open")}
            check(masks == {"usual": 0o022, "open": 0o002}, f"each pool's own, not ebbd's: {masks}")
    finally:
        os.umask(before)


def worker_that_ignores_the_signal_is_killed_after_grace():
    script = "trap '' TERM; exec 3<>$EBB_LEASE; flock 3; flock -u 3; while :; do sleep 0.1; done"
    with Ebb({"stubborn": {"command": f'/bin/sh -c "{script}"', "grace": "1s"}}, watch=False) as ebb:
        ebb.ready()
        check(ebb.command("retire stubborn/0")["ev"] == "done", "it goes all the same")
        sent = ebb.audit(ev="signalled", generation=1, pid=ebb.audit(ev="ready", generation=1)[0]["pid"])
        check([r["signal"] for r in sent] == [15, 9], f"first politely: {sent}")
        check(seconds(sent[1]) - seconds(sent[0]) >= 0.99, f"grace is waited for: {sent}")
        check(ebb.audit(ev="exited", generation=1)[0]["signal"] == 9, "and how it ended is known")


def retire_signal_of_the_pool():
    with Ebb({"polite": {"retire_signal": "USR1", "grace": "10s"}}, watch=False) as ebb:
        ebb.ready()
        ebb.command("retire polite/0")
        check([s["signal"] for s in ebb.signals()] == ["SIGUSR1"], f"its own signal: {ebb.signals()}")


def codes_that_mean_recycled():
    with Ebb({"tidy": {"recycle_exit_codes": "0 7", "ready_timeout": "10s"}}, watch=False) as ebb:
        ebb.ready()
        ebb.order("tidy", 0, ["leave", 7])
        ebb.wait_audit(PATIENCE, ev="ready", pool="tidy", generation=2)
        check(not ebb.audit(ev="backoff"), "7 means recycled")
        ebb.order("tidy", 0, ["leave", 8])
        ebb.wait_audit(PATIENCE, ev="backoff", pool="tidy")
        ebb.wait_audit(PATIENCE, ev="ready", pool="tidy", generation=3)


def pools_d_and_reload():
    with Ebb({"one": {}}, start=False, watch=False) as ebb:
        os.mkdir(os.path.join(ebb.home, "pools.d"))
        extra = os.path.join(ebb.home, "pools.d/two.conf")
        text = ebb.text({"two": {"size": 2}})
        write(extra, text[text.index("[pool:"):])  # the section of the host is in the main file
        ebb.start()
        ebb.ready()
        ebb.wait_audit(PATIENCE, ev="ready", pool="two", slot=1)
        busy = ebb.order("two", 0, ["work", 3])
        ebb.wait_journal(PATIENCE, ev="start", order=busy)
        os.unlink(extra)
        ebb.command("reload")
        ebb.wait_audit(PATIENCE, ev="exited", pool="two", slot=1)
        due = ebb.wait_audit(PATIENCE, ev="due", pool="two", slot=0)
        check(due["reason"] == "reload", f"why: {due}")
        end = ebb.done(busy)
        check(seconds(ebb.wait_audit(PATIENCE, ev="exited", pool="two", slot=0)) >= end["t"], "its job was finished")
        wait_for(lambda: [p["name"] for p in json.loads(ebb.ebb("status", "--json"))["pools"]] == ["one"], PATIENCE,
                 "the pool is gone")
        stays(lambda: not ebb.audit(ev="exited", pool="one"), 0.5, "the other one is not touched")


main(identity_directory_and_environment, umask, worker_that_ignores_the_signal_is_killed_after_grace,
     retire_signal_of_the_pool, codes_that_mean_recycled, pools_d_and_reload)
