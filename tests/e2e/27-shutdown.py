#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""ebbd is told to stop, or is replaced by another version: does it wait for busy workers, say for whom, leave them to the
next ebbd when it is told again, and does that one keep each of them, whatever it can read of what the last one wrote?

Actors: ebbd without the watch, stopped by signal and by FIFO while workers are in a job; `ebb send --wait stop`, twice;
pool reports, Python workers that write down every signal; boards of other versions, cut short, and full of noise, with a
busy worker, an idle one, and one of a pool that the file no longer has. For the drill: all three programs, and the same
three of a later version (build/next), which change places while a job goes on.
"""
# once: pools are kept without the watch here; the drill asks its sensor nothing
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import random  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import struct  # noqa: E402
import subprocess  # noqa: E402

from ebbtest import BUILD, PATIENCE, Ebb, check, leftovers, main, running, seconds, stays, wait_for  # noqa: E402
from machine import Skip, read, write  # noqa: E402

# struct seqfile_head: magic, version, head_bytes, file_bytes, layout.
HEAD = "=8sIIQI"


def begin(ebb, slot, pool="reports"):
    """A job that has begun, and goes on until finish(): its order, and the worker's pid."""
    order = ebb.order(pool, slot, ["until", os.path.join(ebb.spool, "finish")])
    return order, ebb.wait_journal(PATIENCE, ev="start", order=order)["pid"]


def finish(ebb):
    write(os.path.join(ebb.spool, "finish"), "")


def send_stop(ebb):
    """`ebb send --wait stop`, in the background."""
    return subprocess.Popen([os.path.join(ebb.programs, "ebb"), "send", "--wait", "stop"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**ebb.environ, "EBB_RUN_DIR": ebb.run_dir})


def ended(ebb):
    wait_for(lambda: ebb.process.poll() is not None, PATIENCE, "ebbd ends")
    check(ebb.process.returncode == 0, f"in order: {ebb.process.returncode}")
    ebb.process = None


def told_twice(ebb):
    """The second only when the first has been taken: two signals at once are one."""
    stops = len(ebb.audit(ev="stop"))
    ebb.process.send_signal(signal.SIGTERM)
    wait_for(lambda: len(ebb.audit(ev="stop")) > stops, PATIENCE, "the first is taken")
    ebb.process.send_signal(signal.SIGTERM)
    ended(ebb)


def untouched(ebb, *slots):
    check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")
    check(not [s for s in ebb.signals() if s["slot"] in slots], f"nobody touched them: {ebb.signals()}")


def one_worker_a_slot(ebb, *pids):
    """Those workers, and nobody twice in one place."""
    places = []
    for pid in leftovers(ebb.run_dir):
        with open(f"/proc/{pid}/environ", "rb") as file:
            environ = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
        places.append((environ[b"EBB_POOL"], environ[b"EBB_SLOT"]))
    check(len(places) == len(set(places)), f"no slot twice: {sorted(places)}")
    check(set(pids) <= set(leftovers(ebb.run_dir)), f"{pids} run on: {leftovers(ebb.run_dir)}")


def waits_and_says_for_whom():
    with Ebb({"reports": {"size": 3}}, watch=False) as ebb:
        ebb.ready()
        jobs = [begin(ebb, slot) for slot in (0, 2)]
        waiting = ebb.command("hold all")  # holds nobody up
        check(waiting["ev"] == "done", f"held: {waiting}")
        ebb.process.send_signal(signal.SIGTERM)
        ebb.wait_audit(PATIENCE, ev="exited", slot=1)
        stop = ebb.wait_audit(PATIENCE, ev="stop")
        check("waiting for 2 workers" in stop["text"], f"how many: {stop}")
        due = ebb.audit(ev="due", reason="stop")
        check([(r["slot"], r["pid"]) for r in due] == [(0, jobs[0][1]), (2, jobs[1][1])], f"for whom: {due}")
        for slot, (_order, pid) in zip((0, 2), jobs):
            check(f"reports/{slot} (pid {pid})" in read(ebb.log), f"in the log, too: {read(ebb.log)}")
        check("is stopping" in ebb.ebb("status"), "status says so")
        for line in ("reload", "scale reports 5", "resume all", "drain all", "retire reports/0"):
            check(ebb.command(line)["reason"] == "stopping", f"{line}: no more commands")
        ebb.process.send_signal(signal.SIGHUP)
        ebb.wait_audit(PATIENCE, ev="refused", by="signal", reason="stopping")
        stays(lambda: ebb.process.poll() is None, 1, "it waits")
        finish(ebb)
        ends = [ebb.done(order) for order, _pid in jobs]
        check([end["pid"] for end in ends] == [pid for _order, pid in jobs], f"they finish: {ends}")
        ended(ebb)
        check(all(seconds(ebb.audit(ev="exited", slot=end["slot"])[0]) >= end["t"] for end in ends), "and then go")
        untouched(ebb)
        check(not os.listdir(os.path.join(ebb.run_dir, "lease")), "no lease is left")
        check(ebb.run_ebb("send", "stop").returncode == 3, "nobody listens")


def told_again_by_fifo():
    with Ebb({"reports": {"size": 2}}, watch=False) as ebb:
        ebb.ready()
        order, pid = begin(ebb, 0)
        first = send_stop(ebb)
        ebb.wait_audit(PATIENCE, ev="exited", slot=1)
        check(first.poll() is None and ebb.process.poll() is None, "the first waits for the busy one")
        second = send_stop(ebb)
        ended(ebb)
        said = first.communicate(timeout=PATIENCE)[0]
        check(first.returncode == 1 and "superseded" in said, f"the first is told that it was not so: {said}")
        check(second.wait(timeout=PATIENCE) == 0, f"the second is: {second.stdout.read()}")
        check("leaving 1 workers" in ebb.audit(ev="stop")[-2]["text"], f"audited: {ebb.audit(ev='stop')}")
        check(leftovers(ebb.run_dir) == [pid], "it is left running")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=pid)
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "its job is finished")
        again = ebb.done(ebb.order("reports", 0, ["work", 0]))
        check(again["pid"] == pid, f"the order to leave was taken back: {again}")
        ebb.wait_audit(PATIENCE, ev="ready", slot=1, generation=2)
        untouched(ebb, 0)


def stop_timeout():
    with Ebb({"reports": {"size": 2}}, {"stop_timeout": "1s"}, watch=False) as ebb:
        ebb.ready()
        order, pid = begin(ebb, 1)
        stop = send_stop(ebb)
        ended(ebb)
        check(read(os.path.join(ebb.run_dir, "lease/reports.1.1"))[0] == "R", "it may take another job, too")
        records = ebb.audit(ev="stop")
        check(seconds(records[1]) - seconds(records[0]) >= 0.99, f"waited for that long: {records}")
        said = stop.communicate(timeout=PATIENCE)[0]
        check(stop.returncode == 1 and "superseded" in said, f"not all have gone: {said}")
        check(running(pid) and not ebb.journal(ev="end", order=order), "the busy one works on")
        finish(ebb)
        check(ebb.done(order)["pid"] == pid, "to the end of its job")
        untouched(ebb, 1)


STUBBORN = "trap '' TERM; exec 9<>$EBB_LEASE; flock 9; flock -u 9; while :; do sleep 0.1 9>&-; done"


def what_it_ends_is_not_done():
    """A stop empties the pools: nobody is told that his pool is full, or rolled."""
    pools = {"late": {"worker": ["--lease", "late", "--late", "5"]}, "busy": {"size": 1}}
    with Ebb(pools, watch=False, start=False) as ebb:
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="ready", pool="busy")
        begin(ebb, 0, pool="busy")
        for line in ("scale late 2 id=more", "roll busy id=roll"):
            ebb.send(line)
        for name in ("more", "roll"):
            ebb.wait_audit(PATIENCE, ev="accepted", id=name)
        ebb.process.send_signal(signal.SIGTERM)
        ebb.wait_audit(PATIENCE, ev="stop")
        ebb.wait_audit(PATIENCE, ev="exited", pool="late", slot=1)
        finish(ebb)
        ended(ebb)
        for name in ("more", "roll"):
            answers = [(r["ev"], r.get("reason")) for r in ebb.audit(id=name) if r["ev"] in ("done", "refused")]
            check(answers == [("refused", "stopping")], f"{name}: {answers}")


def stop_timeout_comes_before_grace():
    pool = {"command": f'/bin/sh -c "{STUBBORN}"', "grace": "1h"}
    with Ebb({"stubborn": pool}, {"stop_timeout": "300ms"}, watch=False) as ebb:
        ebb.ready()
        ebb.send("stop")
        ended(ebb)
        check([r["signal"] for r in ebb.audit(ev="signalled")] == [signal.SIGTERM], "asked to go, not killed")
        check("leaving stubborn/0" in read(ebb.log), f"and left: {read(ebb.log)}")


def nobody_is_busy():
    """A slot that backs off, one whose worker is just starting, an empty and a drained pool hold nobody up."""
    pools = {"dies": {"command": "/bin/false"}, "slow": {"worker": ["--lease", "late", "--late", "1"]},
             "none": {"size": 0}, "drained": {}}
    with Ebb(pools, watch=False, start=False) as ebb:
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="ready", pool="drained")
        check(ebb.command("drain drained")["ev"] == "done", "drained")
        ebb.wait_audit(PATIENCE, ev="backoff", pool="dies")
        check(send_stop(ebb).wait(timeout=PATIENCE) == 0, "stopped")
        ended(ebb)
        check(not leftovers(ebb.run_dir), "nothing is left")


def other_version(data):
    return struct.pack_into("=I", data, 8, 2) or data


def other_records(data):
    """As if records had been smaller, and so all others elsewhere."""
    _magic, _version, head_bytes, _file_bytes, layout = struct.unpack_from(HEAD, data)
    struct.pack_into("=I", data, struct.calcsize("=8sIIQ"), layout - 8)
    return data[:head_bytes] + data[head_bytes + 8:] + bytes(8)


def noise(data):
    return bytearray(data[:64]) + random.Random(5).randbytes(100_000) + data[100_064:]


def other_boot(data):
    """As one in a directory that outlives the machine's run."""
    return data.replace(read("/proc/sys/kernel/random/boot_id").strip().encode(), b"0" * 36)


# what is done to the board; the reason that ebbd gives, and a word of it
BOARDS = [(other_boot, "other-boot", "started again"),
          (other_version, "other-version", "another version"), (other_records, "other-version", "another version"),
          (lambda data: data[:len(data) // 2], "bad-board", "damaged"), (lambda data: data[:20], "bad-board", "damaged"),
          (noise, "bad-board", ""), (lambda data: bytearray(random.Random(6).randbytes(8192)), "bad-board", "damaged")]


def boards_of_others():
    pools = {"reports": {"size": 3}, "gone": {}}
    with Ebb(pools, watch=False) as ebb:
        ebb.ready()
        path = os.path.join(ebb.run_dir, "board")
        pids = {r["slot"]: r["pid"] for r in ebb.audit(ev="ready", pool="reports")}
        long, busy = begin(ebb, 0)
        away, last = begin(ebb, 0, pool="gone")
        ebb.configure({"reports": pools["reports"]})
        for number, (spoil, reason, word) in enumerate(BOARDS):
            ebb.process.kill()
            ebb.process.wait()
            with open(path, "rb") as file:
                data = spoil(bytearray(file.read()))
            with open(path, "wb") as file:
                file.write(data)
            taken = len(ebb.audit(ev="takeover"))
            ebb.start()
            said = ebb.audit(ev="warning", reason=reason)
            check(said and word in said[-1]["text"] and "by their lease" in said[-1]["text"], f"{number}: {said}")
            records = ebb.audit(ev="takeover")[taken:]
            found = {(r["pool"], r["slot"]): r["pid"] for r in records}
            check(found == {**{("reports", slot): pid for slot, pid in pids.items()}, ("gone", 0): last},
                  f"{number}: all of them, each once: {records}")
            due = ebb.wait_audit(PATIENCE, ev="due", pool="gone")
            check(due["reason"] == "reload", f"{number}: its pool is no more: {due}")
            check(ebb.pool("reports")["size"] == 3, f"{number}: at size")
            one_worker_a_slot(ebb, last, *pids.values())
        finish(ebb)
        check(busy == pids[0] and ebb.done(long)["pid"] == busy, "the job goes on through all of it")
        check(ebb.done(away)["pid"] == last, "and the other")
        ebb.wait_audit(PATIENCE, ev="exited", pool="gone")
        for slot, pid in pids.items():
            check(ebb.done(ebb.order("reports", slot, ["work", 0]))["pid"] == pid, "all of them serve")
        check(ebb.command("retire reports/1")["ev"] == "done", "and can be retired")
        check(ebb.audit(ev="ready")[-1]["generation"] == 2, "with the next number")
        check(not ebb.audit(ev="refill", slot=0, generation=2), "nobody was replaced before")
        untouched(ebb)


def install(ebb, build):
    """As a package manager does: each program at once, under the feet of those that run."""
    os.makedirs(ebb.programs, exist_ok=True)
    for name in ("ebbd", "ebb-watch", "ebb"):
        path = os.path.join(ebb.programs, name)
        shutil.copy(os.path.join(build, name), path + ".new")
        os.rename(path + ".new", path)


def refuses_to_read(build, ebb, *files):
    """A tool of the other version says what is the matter, and ends."""
    for command in (["status"], ["status", "--json"], ["jobs"], ["trace", "reports/0"], ["why", "reports/0"], ["top"]):
        done = subprocess.run([os.path.join(build, "ebb"), command[0], "--run-dir", ebb.run_dir, *command[1:]],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        said = any(f"{ebb.run_dir}/{name} was written by another version of ebb" in done.stderr for name in files)
        check(done.returncode == 1 and said, f"{command}: {done.returncode}: {done.stderr}")
        check(len(done.stderr.splitlines()) == 1 and not done.stdout, f"{command}: in a sentence: {done}")
    done = subprocess.run([os.path.join(build, "ebb"), "send", "--run-dir", ebb.run_dir, "--wait", "resume", "all"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    check(done.returncode == 0, f"commands are lines of text, and answered: {done}")


def drill():
    """While a job goes on: another version is installed, its watch meets the old board, ebbd is told twice to stop, the other
    one is started, works, and gives way to the first again."""
    later = os.path.join(BUILD, "next")
    if not os.path.exists(os.path.join(later, "ebbd")):
        raise Skip(f"no {later}: make build-tests")
    with Ebb({"reports": {"size": 2}, "thumbs": {}}, start=False) as ebb:
        ebb.programs = os.path.join(ebb.home, "bin")
        install(ebb, BUILD)
        ebb.start()
        ebb.ready()
        ebb.done(ebb.order("reports", 1, ["work", 0.1]))
        idle = ebb.slot("reports", 1)["pid"]
        order, busy = begin(ebb, 0)

        install(ebb, later)
        watch = ebb.audit(ev="watch")
        refuses_to_read(later, ebb, "board", "trace")
        os.kill(next(iter(leads(ebb))), signal.SIGKILL)
        wait_for(lambda: "the board is of another version of ebb" in read(ebb.log), PATIENCE, "the new watch says so")
        check(ebb.process.poll() is None, f"ebbd goes on: {watch}")
        check(ebb.command("retire thumbs/0")["ev"] == "done", "and keeps its pools")
        told_twice(ebb)
        wait_for(lambda: leftovers(ebb.run_dir) == [busy], PATIENCE, "the busy one is left")

        for build, other in ((later, BUILD), (BUILD, later)):
            taken = len(ebb.audit(ev="takeover"))
            tiers = len(tier_notes(ebb))
            install(ebb, build)
            ebb.start()
            check([r["pid"] for r in ebb.audit(ev="takeover")[taken:]] == [busy], "it is taken over")
            check(ebb.audit(ev="warning", reason="other-version"), "by its lease, and that is said")
            wait_for(lambda n=tiers: len(tier_notes(ebb)) > n, PATIENCE, "its watch is up, with a trace of its own")
            wait_for(lambda: [pool["ready"] for pool in ebb.status()["pools"]] == [2, 1], PATIENCE, "at size")
            refuses_to_read(other, ebb, "board", "trace")
            one_worker_a_slot(ebb, busy)
            if build == later:
                told_twice(ebb)
                wait_for(lambda: leftovers(ebb.run_dir) == [busy], PATIENCE, "the busy one is left again")
        finish(ebb)
        check(ebb.done(order)["pid"] == busy, "its job is finished")
        check(ebb.done(ebb.order("reports", 0, ["work", 0]))["pid"] == busy, "and it serves on")
        check(ebb.slot("reports", 1)["pid"] != idle, "the idle ones went with their ebbd")
        check(ebb.command("retire reports/0")["ev"] == "done", "it can be retired")
        untouched(ebb)


def tier_notes(ebb):
    return [r for r in ebb.audit(ev="watch", by="watch") if "tier" in r["text"]]


def leads(ebb):
    """The watch: ebbd's child by that name."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = read(f"/proc/{name}/stat")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields.rpartition(")")[2].split()[1]) == ebb.process.pid and "(ebb-watch)" in fields:
                yield int(name)


main(waits_and_says_for_whom, told_again_by_fifo, stop_timeout, stop_timeout_comes_before_grace,
     nobody_is_busy, what_it_ends_is_not_done, boards_of_others, drill)
