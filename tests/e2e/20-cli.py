#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Every subcommand of `ebb` against a running pool: are exit codes, JSON and its stable shape as documented, is there
no colour where no terminal is, and does `top` show the pool on a terminal and quit on q?

Actors: ebbd and ebb-watch; pools reports (two Python workers, a limit of 200 MiB) and thumbs (one); `ebb` as root, as
nobody, in a pipe and on a pseudo-terminal; a board of an ebbd that has ended.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import csv  # noqa: E402
import fcntl  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import pty  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import struct  # noqa: E402
import subprocess  # noqa: E402
import termios  # noqa: E402
import time  # noqa: E402

from ebbtest import BUILD, MIB, PATIENCE, Ebb, check, main, wait_for  # noqa: E402
from machine import Skip, write  # noqa: E402

POOLS = {"reports": {"size": 2, "footprint_limit": "200M"}, "thumbs": {}}
COMMANDS = ("status", "top", "trace", "jobs", "why", "events", "send", "check", "doctor")
DONE, REFUSED, USAGE, NOT_RUNNING, TIMED_OUT, NOT_PERMITTED = range(6)

NUMBER, TEXT, TRUTH, LIST = (int, float), str, bool, list
STATUS = {"version": NUMBER, "ebbd": dict, "watch": dict, "host": dict, "pools": LIST}
EBBD = {"pid": NUMBER, "uptime_s": NUMBER, "dry_run": TRUTH}
WATCH = {"pid": NUMBER, "tier": TEXT, "level": TEXT, "pressure": TEXT, "drops": NUMBER}
HOST = {"mem_available_bytes": NUMBER, "pools_footprint_bytes": NUMBER, "memory_budget_bytes": NUMBER}
POOL = {"name": TEXT, "size": NUMBER, "ready": NUMBER, "busy": NUMBER, "due": NUMBER, "spares": NUMBER, "hold": TRUTH,
        "backoff": TRUTH, "baseline_bytes": NUMBER, "footprint_limit_bytes": NUMBER, "jobs": NUMBER, "retired": NUMBER,
        "refilled": NUMBER, "stale": NUMBER, "warnings": LIST, "workers": LIST}
WORKER = {"slot": NUMBER, "generation": NUMBER, "pid": NUMBER, "state": TEXT, "since_s": NUMBER,
          "held_s": NUMBER, "stuck": bool,
          "footprint_bytes": NUMBER, "anon_bytes": NUMBER, "shmem_bytes": NUMBER, "swap_bytes": NUMBER,
          "peak_bytes": NUMBER, "jobs": NUMBER, "job": TEXT, "faults": NUMBER, "major_faults": NUMBER,
          "stall_us": NUMBER, "contribution": NUMBER, "due": TEXT}


def has_shape(value, shape, nullable, where):
    """All the documented keys, of the documented kind; null only where it may be."""
    check(isinstance(value, dict), f"{where}: an object: {value!r}")
    for key, kind in shape.items():
        check(key in value, f"{where}.{key} is missing")
        one = value[key]
        if one is None:
            check(key in nullable, f"{where}.{key} is null")
        else:
            check(isinstance(one, kind) and (kind is TRUTH or not isinstance(one, bool)), f"{where}.{key}: {one!r}")


def has_status_shape(status):
    has_shape(status, STATUS, (), "status")
    has_shape(status["ebbd"], EBBD, (), "ebbd")
    has_shape(status["watch"], WATCH, (), "watch")
    has_shape(status["host"], HOST, ("memory_budget_bytes",), "host")
    for pool in status["pools"]:
        has_shape(pool, POOL, ("footprint_limit_bytes",), pool["name"])
        for worker in pool["workers"]:
            has_shape(worker, WORKER, ("held_s", "job", "due", "stall_us", "contribution"), f"{pool['name']}/{worker['slot']}")


def with_figures(ebb):
    """A pool with some history: two labelled jobs, one worker gone and replaced."""
    ebb.ready()
    orders = [ebb.order("reports", 0, ["keep", 30], ["work", 2], label="yearly"),
              ebb.order("reports", 1, ["take", 60], ["work", 2], ["give"], label="monthly")]
    for order in orders:
        ebb.done(order)
    ebb.done(ebb.order("thumbs", 0, ["work", 0.1]))
    # A sweep sees the end of a job later than the job's own journal does.
    wait_for(lambda: ebb.pool("reports")["jobs"] == 2, PATIENCE, "both jobs are counted")
    check(ebb.command("retire reports/1")["ev"] == "done", "one is replaced")
    ebb.wait_audit(PATIENCE, ev="ready", pool="reports", slot=1, generation=2)

    def all_known():
        workers = [worker for pool in ebb.status()["pools"] for worker in pool["workers"]]
        known = all(w["footprint_bytes"] and w["faults"] is not None and w["state"] in ("ready", "idle") for w in workers)
        return known and ebb.slot("reports", 0)["jobs"]
    wait_for(all_known, PATIENCE, "figures of all workers")


def plain(text, what):
    check(text.strip(), f"{what}: says something")
    check("\x1b" not in text, f"{what}: no colour in a pipe: {text[:200]!r}")
    return text


def status(ebb):
    known = ebb.status()
    has_status_shape(known)
    check(known["version"] == 1 and known["ebbd"]["pid"] == ebb.process.pid, f"status: {known}")
    check([pool["name"] for pool in known["pools"]] == ["reports", "thumbs"], "pools as configured")
    check(known["watch"]["level"] == "L0", f"no worker is over half of its limit: {known['watch']}")
    reports = known["pools"][0]
    check(reports["footprint_limit_bytes"] == 200 * MIB, f"limit: {reports}")
    check(reports["size"] == 2 and reports["ready"] == 2, f"size: {reports}")
    check(reports["retired"] == 1 and reports["refilled"] == 1 and reports["jobs"] >= 2, f"counts: {reports}")
    check([(w["slot"], w["generation"], w["state"]) for w in reports["workers"]] == [(0, 1, "idle"), (1, 2, "ready")],
          f"workers: {reports['workers']}")
    check(known["pools"][1]["footprint_limit_bytes"] is None, "a limit that is off is null")
    text = plain(ebb.ebb("status"), "status")
    check("reports" in text and "thumbs" in text, f"status shows the pools: {text}")


def trace(ebb):
    wait_for(lambda: len(json.loads(ebb.ebb("trace", "reports/1", "--json"))) >= 3, PATIENCE, "three samples")
    rows = json.loads(ebb.ebb("trace", "reports/1", "--json"))
    check(isinstance(rows, list) and {1, 2} >= {row["generation"] for row in rows}, f"over generations: {rows[:2]}")
    table = list(csv.DictReader(io.StringIO(plain(ebb.ebb("trace", "reports/1", "--csv"), "trace --csv"))))
    check(len(table) >= len(rows), f"as many rows: {len(table)} {len(rows)}")
    check(len(table[0]) == len(rows[0]), f"as many columns: {table[0]} {rows[0]}")
    plain(ebb.ebb("trace", "reports/1"), "trace")
    ebb.ebb("trace", "reports/9", check_code=REFUSED)
    ebb.ebb("trace", "nosuch/0", check_code=REFUSED)
    ebb.ebb("trace", "reports", check_code=USAGE)
    ebb.ebb("trace", check_code=USAGE)


def jobs(ebb):
    kinds = json.loads(ebb.ebb("jobs", "--json"))
    kinds = kinds if isinstance(kinds, list) else kinds["jobs"]
    by_label = {(kind["pool"], kind["label"]): kind for kind in kinds}
    yearly, monthly = by_label[("reports", "yearly")], by_label[("reports", "monthly")]
    check(yearly["runs"] == 1 and monthly["runs"] == 1, f"runs: {kinds}")
    check(monthly["peak_bytes"] >= 60 * MIB, f"peak: {monthly}")
    text = plain(ebb.ebb("jobs"), "jobs")
    check("yearly" in text and "monthly" in text, f"jobs: {text}")


def why(ebb):
    verdict = json.loads(ebb.ebb("why", "reports/0", "--json"))
    text = plain(ebb.ebb("why", "reports/0"), "why")
    for word in ("footprint", "budget", "pressure", "request", "busy", "too-young", "below-baseline", "cooldown",
                 "min-ready", "hold", "strikes"):
        check(word in text, f"why: every rule and guard, {word} too: {text}")
        check(word in json.dumps(verdict), f"why --json: {word}: {verdict}")
    ebb.ebb("why", "reports/9", check_code=REFUSED)
    ebb.ebb("why", "nosuch/0", check_code=REFUSED)
    ebb.ebb("why", check_code=USAGE)


def events(ebb):
    records = [json.loads(line) for line in ebb.ebb("events", "--json").splitlines()]
    check(records[0]["ev"] == "start" and all(r["t"] and r["ev"] for r in records), f"events: {records[:3]}")
    thumbs = [json.loads(line) for line in ebb.ebb("events", "--pool", "thumbs", "--json").splitlines()]
    check(thumbs and all(r["pool"] == "thumbs" for r in thumbs), f"events of a pool: {thumbs}")
    plain(ebb.ebb("events"), "events")
    follow = subprocess.Popen([os.path.join(BUILD, "ebb"), "events", "-f", "--json", "--run-dir", ebb.run_dir],
                              stdout=subprocess.PIPE, text=True)
    try:
        ebb.send("hold thumbs for=1s id=followed")
        for line in follow.stdout:
            if json.loads(line).get("id") == "followed":
                break
        else:
            check(False, "events -f ended")
    finally:
        follow.kill()
        follow.communicate()


def send(ebb):
    ebb.ebb("send", "hold", "thumbs", "for=10m")
    ebb.ebb("send", "--wait", "retire", "thumbs/0", check_code=REFUSED)
    ebb.ebb("send", "--wait", "resume", "thumbs")
    ebb.ebb("send", "--wait", "retire", "thumbs/0")
    check(ebb.slot("thumbs", 0)["generation"] == 2, "send --wait waits for the successor")
    for line in ("retire nosuch", "retire thumbs/7", "scale thumbs -7"):
        refused = ebb.run_ebb("send", "--wait", *line.split())
        check(refused.returncode == REFUSED and refused.stderr, f"send --wait {line}: {refused}")
    for line in ("frobnicate", "retire", "retire thumbs gen=1 gen=1", "hold thumbs for=ever"):
        bad = ebb.run_ebb("send", *line.split())
        check(bad.returncode in (REFUSED, USAGE) and bad.stderr, f"send {line}: {bad}")
    ebb.ebb("send", check_code=USAGE)
    busy = ebb.order("thumbs", 0, ["work", 6])
    ebb.wait_journal(PATIENCE, ev="start", order=busy)
    started = time.monotonic()
    ebb.ebb("send", "--wait", "--timeout=1s", "retire", "thumbs/0", check_code=TIMED_OUT)
    check(time.monotonic() - started < 4, "a wait ends at its time")
    ebb.done(busy)
    ebb.wait_audit(PATIENCE, ev="ready", pool="thumbs", generation=3)


def check_and_doctor(ebb):
    plain(ebb.ebb("check", ebb.config), "check")
    wrong = os.path.join(ebb.home, "wrong.conf")
    write(wrong, "[ebb]\nnonsense = 1\n")
    refused = ebb.run_ebb("check", wrong)
    check(refused.returncode == REFUSED and f"{wrong}:2:" in refused.stderr, f"check: {refused}")
    text = plain(ebb.ebb("doctor"), "doctor")
    check("\ntier: " in text and ("\nlevel: " in text or "tier: proc" in text), f"doctor names tier and level: {text}")
    known = json.loads(ebb.ebb("doctor", "--json"))
    check(ebb.status()["watch"]["tier"] in (known["tier"], "proc"), f"doctor --json: {known}")
    check(known["level"] in ("L0", "L1", "L2"), f"doctor --json: {known}")
    daemons = {daemon["program"]: daemon for daemon in known["daemons"]}
    check({name: daemon["pid"] for name, daemon in daemons.items()} == {
        "ebbd": ebb.status()["ebbd"]["pid"], "ebb-watch": ebb.status()["watch"]["pid"]}, f"doctor: both daemons: {known}")
    watch = daemons["ebb-watch"]
    check(watch["no_new_privs"] and watch["filtered"], f"the watch is confined: {watch}")
    check("\nebb-watch (%d): " % watch["pid"] in text and "system calls filtered" in text, f"doctor says so: {text}")
    if os.geteuid() == 0:
        ebbd = daemons["ebbd"]
        kept = {"setuid", "setgid", "chown", "kill", "sys_resource", "sys_ptrace", "ipc_lock"}
        check(set(ebbd["capabilities"]) | set(ebbd["missing"]) == kept and ebbd["filtered"], f"and so is ebbd: {ebbd}")
        check(not ebbd["no_new_privs"], f"but not its workers: {ebbd}")
        check("sys_admin" not in watch["capabilities"] + watch["missing"], f"{watch}")


def help_and_usage(ebb):
    for command in COMMANDS:
        text = plain(ebb.ebb(command, "--help"), f"{command} --help")
        check("Usage:" in text and "--run-dir" in text, f"{command} --help: {text}")
        check(ebb.run_ebb(command, "--no-such-option").returncode == USAGE, f"{command} --no-such-option")
        check("ebb" in ebb.ebb(command, "--version"), f"{command} --version")
    text = ebb.ebb("--help")
    check(all(command in text for command in COMMANDS), f"--help lists the commands: {text}")
    check(ebb.run_ebb("frobnicate").returncode == USAGE, "an unknown command")
    check(ebb.run_ebb().returncode == USAGE, "no command")
    for program in ("ebbd", "ebb-watch"):
        for option in ("--help", "--version"):
            done = subprocess.run([os.path.join(BUILD, program), option], capture_output=True, text=True, check=False)
            check(done.returncode == 0 and program in done.stdout, f"{program} {option}: {done}")


def subcommands():
    with Ebb(POOLS) as ebb:
        with_figures(ebb)
        for part in (status, trace, jobs, why, events, send, check_and_doctor, help_and_usage):
            part(ebb)


def run_directory_from_option_or_environment():
    with Ebb({"thumbs": {}}) as ebb:
        ebb.ready()
        ebb_path = os.path.join(BUILD, "ebb")
        bare = {key: value for key, value in os.environ.items() if key != "EBB_RUN_DIR"}
        for command, environ in (([ebb_path, "--run-dir", ebb.run_dir, "status", "--json"], bare),
                                 ([ebb_path, "status", "--json", "--run-dir", ebb.run_dir], bare),
                                 ([ebb_path, "status", "--json"], {**bare, "EBB_RUN_DIR": ebb.run_dir})):
            done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
            check(done.returncode == 0, f"{command} {done}")
            check(json.loads(done.stdout)["ebbd"]["pid"] == ebb.process.pid, f"{command} {done}")


def not_permitted():
    if os.geteuid() != 0:
        raise Skip("needs root to become somebody else")
    with Ebb({"thumbs": {}}) as ebb:
        ebb.ready()
        for command in (["send", "hold", "thumbs"], ["status"], ["status", "--json"], ["events"]):
            done = ebb.run_ebb(*command, user="nobody", group="nogroup", extra_groups=[])
            check(done.returncode == NOT_PERMITTED and done.stderr and not done.stdout, f"{command}: {done}")
        check(not ebb.audit(ev="hold"), "nothing was sent")


def not_running():
    with Ebb({"thumbs": {}}) as ebb:
        ebb.ready()
        ebb.stop()
        for command in (["send", "reload"], ["send", "--wait", "reload"]):
            done = ebb.run_ebb(*command)
            check(done.returncode == NOT_RUNNING and "not running" in done.stderr, f"{command}: {done}")
        for command in (["status", "--json"], ["events", "--json"], ["trace", "thumbs/0", "--json"], ["status"]):
            done = ebb.run_ebb(*command)
            check(done.returncode == DONE and done.stdout, f"the last state can still be read: {command}: {done}")
        check(json.loads(ebb.ebb("status", "--json"))["ebbd"]["pid"] is None, "and says that nobody runs")
        nowhere = os.path.join(ebb.home, "nowhere")
        for command in ("status", "events", "jobs"):
            done = ebb.run_ebb(command, "--run-dir", nowhere)
            check(done.returncode == NOT_RUNNING and nowhere in done.stderr, f"{command}: {done}")
        done = ebb.run_ebb("send", "--run-dir", nowhere, "reload")
        check(done.returncode == NOT_RUNNING, f"send: {done}")


def send_is_answered_by_an_ebbd_that_stops():
    with Ebb({"thumbs": {}}) as ebb:
        ebb.ready()
        busy = ebb.begin("thumbs", 0)
        waiting = subprocess.Popen([os.path.join(BUILD, "ebb"), "send", "--run-dir", ebb.run_dir, "--wait", "retire",
                                    "thumbs/0"], stderr=subprocess.PIPE, text=True)
        try:
            ebb.wait_audit(PATIENCE, ev="due", pool="thumbs")
            ebb.process.send_signal(signal.SIGTERM)
            ebb.wait_audit(PATIENCE, ev="stop")
            refused = ebb.run_ebb("send", "--wait", "scale", "thumbs", "2")
            check(refused.returncode == REFUSED and "stopping" in refused.stderr, f"too late: {refused}")
            ebb.stop_and_leave()
            _, said = waiting.communicate(timeout=PATIENCE)
            check(waiting.returncode == REFUSED and "stopping" in said, f"{waiting.returncode} {said}")
        finally:
            waiting.kill()
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", pool="thumbs", slot=0)
        ebb.finish()
        ebb.done(busy["order"])
        check(ebb.run_ebb("send", "--wait", "stop").returncode == DONE, "stop is done when ebbd has ended")
        wait_for(lambda: ebb.process.poll() is not None, PATIENCE, "it has")
        ebb.process = None


def send_never_hangs():
    """A FIFO that nobody reads, as an ebbd leaves it that was killed."""
    with Ebb({"thumbs": {}}) as ebb:
        ebb.ready()
        ebb.process.kill()
        ebb.process.wait()
        done = ebb.run_ebb("send", "--wait", "reload")
        check(done.returncode == NOT_RUNNING and "not running" in done.stderr, f"send: {done}")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", pool="thumbs", slot=0)


class Terminal:
    """A program on a pseudo-terminal of 100 by 30."""

    def __init__(self, command, environ):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environ)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.said = b""

    def read(self):
        """What it has said so far."""
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            self.said += data
        return self.said

    def press(self, key):
        os.write(self.fd, key.encode())

    def ended(self):
        self.read()
        pid, code = os.waitpid(self.pid, os.WNOHANG)
        return pid and (os.waitstatus_to_exitcode(code),)

    def close(self):
        try:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)


def top_on_a_terminal():
    with Ebb(POOLS) as ebb:
        with_figures(ebb)
        top = Terminal([os.path.join(BUILD, "ebb"), "top", "--run-dir", ebb.run_dir],
                       {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
        try:
            wait_for(lambda: b"reports" in top.read() and b"thumbs" in top.read(), PATIENCE, "top shows the pools")
            for key in "mnjsr?":
                top.press(key)
            so_far = len(top.read())
            ebb.done(ebb.order("reports", 1, ["keep", 80], ["work", 0.1]))
            wait_for(lambda: len(top.read()) > so_far, PATIENCE, "it is live")
            top.press("q")
            code = wait_for(top.ended, PATIENCE, "q quits")
            check(code == (0,), f"with 0: {code}")
        finally:
            top.close()
        piped = ebb.run_ebb("top")
        check(piped.returncode == DONE and "reports" in plain(piped.stdout, "top"), f"one picture in a pipe: {piped}")


def idle_since_its_last_job():
    """A job too short to be seen at work is seen to have ended."""
    with Ebb({"thumbs": {}}) as ebb:
        ebb.ready()
        ebb.needs_bpf("a job of a moment falls between two sweeps")
        ebb.done(ebb.order("thumbs", 0, ["work", 0]))
        for _ in range(3):
            wait_for(lambda: (ebb.slot("thumbs", 0)["since_s"] or 0) > 3, PATIENCE, "three seconds of nothing")
            ebb.done(ebb.order("thumbs", 0, ["work", 0]))
            wait_for(lambda: ebb.slot("thumbs", 0)["since_s"] < 3, PATIENCE, "idle since that job")


def colour_on_a_terminal():
    with Ebb({"thumbs": {}}) as ebb:
        ebb.ready()
        environ = {**os.environ, "TERM": "xterm-256color", "EBB_RUN_DIR": ebb.run_dir}
        for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            shown = Terminal([os.path.join(BUILD, "ebb"), "status"], {**environ, **more})
            try:
                wait_for(shown.ended, PATIENCE, "status ends")
                check((b"\x1b[" in shown.read()) == coloured, f"colours {more}: {shown.said}")
            finally:
                shown.close()


main(subcommands, run_directory_from_option_or_environment, not_permitted, not_running,
     send_is_answered_by_an_ebbd_that_stops, send_never_hangs, top_on_a_terminal, idle_since_its_last_job,
     colour_on_a_terminal)
