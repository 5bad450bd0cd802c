#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Bad input: does each kind get the answer that it should, while everything else goes on?

Actors: ebbd and ebb-watch, with a configuration that is wrong; with commands and users that do not exist; in a cgroup
that allows too few processes; without BPF, as an ordinary user, without pressure figures; over a damaged lease, board
or trace; and beside another ebbd in the same run directory. Pool good, which has nothing wrong with it, is always there
to see that it is left out of it. A bystander, started by the test, whose pid is forged into a board.
"""
# once: nothing of it reaches a sensor
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import json  # noqa: E402
import random  # noqa: E402
import signal  # noqa: E402
import struct  # noqa: E402
import subprocess  # noqa: E402

from ebbtest import BUILD, MIB, PATIENCE, Ebb, check, leftovers, main, running, stays, wait_for  # noqa: E402
from machine import pids_cgroup, read, write  # noqa: E402

# text, line of the error, a word of the message
WRONG = [("[ebb]\nno_such_key = 1\n", 2, "no_such_key"), ("[ebb]\npressure_some = lots\n", 2, "pressure_some"),
         ("[ebb]\npressure_some = 101%\n", 2, "pressure_some"), ("[nonsense]\nx = 1\n", None, "nonsense"),
         ("[ebb]\nmemory_budget = -5\n", 2, "memory_budget"), ("[ebb]\nmemory_budget = 12Q\n", 2, "memory_budget"),
         ("[ebb]\n\ncooldown = 15\n", 3, "cooldown"), ("[pool:a]\ncommand = x\nsize = -1\n", 3, "size"),
         ("[pool:a]\ncommand = x\nsize = many\n", 3, "size"), ("[pool:a]\ncommand = 'open\n", 2, "command"),
         ("[pool:a]\nsize = 1\n", None, "command"), ("[pool:]\ncommand = x\n", None, "pool"),
         ("[pool:a/b]\ncommand = x\n", None, "pool"), ("[pool:" + "n" * 40 + "]\ncommand = x\n", None, "pool"),
         ("[pool:a]\ncommand = x\nretire_signal = NOSUCH\n", 3, "retire_signal"),
         ("[pool:a]\ncommand = x\nspares = x\n", 3, "spares"),
         ("[pool:a]\ncommand = x\nmode = twice\n", 3, "mode"),
         ("[pool:a]\ncommand = x\ncommand = y\n", 3, "command"), ("what is this\n", 1, ""),
         ("[pool:a]\ncommand = x\nsize = 2\nmin_ready = 3\n", None, "min_ready"),
         ("[pool:a]\ncommand = x\nsize = 999999999999999999999\n", 3, "size"),
         ("[ebb]\ncontrol_group = \x01\x02\n", 2, "0x01")]


def kill(ebb):
    ebb.process.kill()
    ebb.process.wait()
    ebb.process = None


def pools(**bad):
    return {"good": {}, "bad": bad}


def good_goes_on(ebb):
    ebb.done(ebb.order("good", 0, ["keep", 1]))


def configuration_errors_start_nothing():
    with Ebb({}, start=False) as ebb:
        for text, line, word in WRONG:
            write(ebb.config, text)
            for program, *arguments in (["ebbd", "--config", ebb.config, "--run-dir", ebb.run_dir],
                                        ["ebbd", "--check", "--config", ebb.config], ["ebb", "check", ebb.config]):
                done = subprocess.run([os.path.join(BUILD, program), *arguments], capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL, timeout=20, check=False)
                where = f"{ebb.config}:{line}:" if line else ebb.config
                check(done.returncode == 1, f"{program} {text!r}: exit code {done.returncode}: {done.stderr}")
                said = where in done.stderr and word in done.stderr
                check(said, f"{program} {text!r}: {where} {word} expected: {done.stderr}")
        check(not os.path.exists(ebb.run_dir), "nothing was started")
        missing = subprocess.run([os.path.join(BUILD, "ebbd"), "--config", ebb.config + ".missing"],
                                 capture_output=True, text=True, timeout=20, check=False)
        check(missing.returncode == 1 and ebb.config + ".missing" in missing.stderr, f"no file: {missing}")


def backs_off(ebb, *words):
    """The bad pool's slots back off, with the reason in the audit; the good pool goes on."""
    ebb.wait_audit(PATIENCE, ev="ready", pool="good")
    record = ebb.wait_audit(PATIENCE, ev="backoff", pool="bad")
    check(all(word in record["text"] for word in words), f"{words} expected: {record}")
    wait_for(lambda: len(ebb.audit(ev="backoff", pool="bad")) >= 2, PATIENCE, "it is tried again")
    wait_for(lambda: ebb.pool("bad")["backoff"] is True, PATIENCE, "it is shown")
    check(ebb.pool("good")["backoff"] is False, "of this pool alone")
    wait_for(lambda: ebb.slot("bad", 0)["state"] == "backoff", PATIENCE, "by slot too")
    good_goes_on(ebb)


def command_that_cannot_be_executed():
    with Ebb({}, start=False) as ebb:
        command = os.path.join(ebb.home, "not-there-yet")
        ebb.pools = pools(command=command)
        ebb.configure()
        ebb.start()
        backs_off(ebb, "exec", "No such file")
        write(command, "#!/bin/sh\nexec " + ebb.worker() + "\n")
        ebb.wait_audit(PATIENCE, lambda r: "Permission" in r["text"], ev="backoff")
        os.chmod(command, 0o755)
        check(ebb.command("refill bad")["ev"] == "done", "refill ends the backoff")
        ebb.ready()


def directory_that_does_not_exist():
    with Ebb(pools(directory="/no/such/directory")) as ebb:
        backs_off(ebb, "chdir", "No such file")


def user_that_does_not_exist():
    with Ebb(pools(user="no-such-user")) as ebb:
        backs_off(ebb, "no-such-user")


def worker_that_dies_at_once():
    with Ebb(pools(command="/bin/sh -c 'exit 3'")) as ebb:
        backs_off(ebb)
        check(ebb.audit(ev="exited", pool="bad")[0]["exit_code"] == 3, "how it ended")
        stays(lambda: len(ebb.audit(ev="refill", pool="bad")) < 5, 4, "started less and less often")


def worker_that_ends_well_at_once():
    with Ebb(pools(command="/bin/true")) as ebb:
        backs_off(ebb)


def full_process_table():
    with Ebb({"good": {"size": 6}}, start=False) as ebb:
        group = pids_cgroup(ebb.loans, 5)
        ebb.within = group
        ebb.start()
        refused = ebb.wait_audit(PATIENCE, ev="backoff", pool="good")
        check("clone" in refused["text"] and "Resource temporarily unavailable" in refused["text"], f"{refused}")
        ebb.wait_audit(PATIENCE, ev="ready")
        ebb.done(ebb.order("good", None, ["keep", 1]))
        group.set("pids.max", "max")
        ebb.ready()
        check(len({r["slot"] for r in ebb.audit(ev="ready")}) == 6, "all slots are filled in the end")


def second_ebbd():
    with Ebb({"good": {}}) as ebb:
        ebb.ready()
        first, pid = ebb.process, ebb.process.pid
        before = ebb.slot("good", 0)["pid"]
        ebb.start(serve=False)
        second, ebb.process = ebb.process, first
        wait_for(lambda: second.poll() is not None, PATIENCE, "the second one ends")
        check(second.returncode == 1, f"with 1: {second.returncode}")
        check(f"pid {pid}" in read(ebb.log), f"and names the first: {read(ebb.log)}")
        check(ebb.slot("good", 0)["pid"] == before, "nothing has changed")
        good_goes_on(ebb)


def main_job(ebb, tier):
    """Over the limit, retired after the job, refilled."""
    ebb.ready()
    ebb.done(ebb.order("good", 0, ["keep", 100], ["work", 0.2]))
    retire = ebb.wait_audit(PATIENCE, ev="retire", pool="good", reason="footprint")
    check(retire["footprint_bytes"] >= 100 * MIB and retire["by"] == "watch", f"retired for it: {retire}")
    ebb.wait_audit(PATIENCE, ev="ready", pool="good", generation=2)
    watch = ebb.status()["watch"]
    check(watch["tier"] == tier, f"{tier} expected: {watch}")


def without_bpf():
    with Ebb({"good": {"footprint_limit": "64M"}}, environ={"EBB_SENSOR": "proc"}) as ebb:
        main_job(ebb, "proc")
        check(not ebb.signals() or ebb.signals()[0]["job"] is None, f"never within a job: {ebb.signals()}")


def as_an_ordinary_user():
    with Ebb({"good": {"footprint_limit": "64M"}}, user="nobody", environ={"EBB_SENSOR": "auto"}) as ebb:
        main_job(ebb, "proc")
        check({entry["uid"] for entry in ebb.journal(ev="up")} == {65534}, "so are its workers")
        log = read(ebb.log)
        check(len([line for line in log.splitlines() if "BPF" in line]) == 1, f"why there is no BPF, once: {log}")
        check(len(log.splitlines()) == 1, f"and nothing else is wrong: {log}")
        doctor = ebb.run_ebb("doctor", user="nobody", group="nogroup", extra_groups=[])
        check("CAP_BPF" in doctor.stdout and "proc" in doctor.stdout, f"doctor says what is missing: {doctor}")


def without_pressure_figures():
    with Ebb({"good": {"footprint_limit": "64M"}}, {"pressure_source": "/no/such/pressure"}) as ebb:
        ebb.ready()
        watch = wait_for(lambda: (w := ebb.status()["watch"])["tier"] and w, PATIENCE, "the watch is up")
        check(watch["pressure"] in (None, "unknown"), f"not known: {watch}")
        ebb.done(ebb.order("good", 0, ["keep", 100]))
        ebb.wait_audit(PATIENCE, ev="retire", pool="good", reason="footprint")
        ebb.wait_audit(PATIENCE, ev="ready", pool="good", generation=2)
        log = read(ebb.log)
        check(len([line for line in log.splitlines() if "/no/such/pressure" in line]) == 1, f"said once: {log}")


def damaged_labels():
    with Ebb({"good": {"footprint_limit": "64M"}}) as ebb:
        ebb.ready()
        noise = random.Random(3)
        for text in ("\x00" * 112, "99999999999999999999999 huge\n", "no newline at all " * 6, "\n" * 112,
                     "-5 negative\n", "1 \x1b[31mred\x07\n", "7 %s%n%s\n", "x" * 224, '9 "quoted\\"\n',
                     *("".join(chr(noise.randrange(256)) for _ in range(224)) for _ in range(5))):
            ebb.done(ebb.order("good", 0, ["scribble", 16, text], ["work", 0.05]))
            ebb.done(ebb.order("good", 0, ["scribble", 16, text], ["scribble", 128, text]))
            json.loads(ebb.ebb("jobs", "--json"))
            check("\x1b" not in ebb.ebb("jobs"), "a label cannot paint the terminal")
            check(ebb.slot("good", 0)["generation"] == 1, "figures go on")
        ebb.done(ebb.order("good", 0, ["scribble", 0, "Z"]))
        ebb.done(ebb.order("good", 0, ["keep", 100]))
        ebb.wait_audit(PATIENCE, ev="retire", pool="good", reason="footprint")
        ebb.wait_audit(PATIENCE, ev="ready", pool="good", generation=2)


def truncated_leases():
    with Ebb({"good": {"size": 2}}) as ebb:
        ebb.ready()
        for slot in (0, 1):
            ebb.wait_journal(PATIENCE, ev="ready", slot=slot)
            os.truncate(os.path.join(ebb.run_dir, f"lease/good.{slot}.1"), 0)
        ebb.order("good", 0, ["keep", 1])
        gone = ebb.wait_audit(PATIENCE, ev="exited", pool="good", slot=0, generation=1)
        check(gone["exit_code"] == 1, f"the SDK takes no order from it: {gone}")
        check(ebb.command("retire good/1")["ev"] == "done", "an idle one is retired all the same")
        ebb.ready()
        ebb.wait_audit(PATIENCE, ev="ready", pool="good", slot=0, generation=2)
        check(ebb.done(ebb.order("good", 0, ["keep", 1]))["gen"] == 2, "and so it goes on")


def forge_pids(path, old, new):
    """Write another pid wherever the board has one of the old."""
    with open(path, "r+b") as file:
        data = file.read()
        for pid in old:
            data = data.replace(struct.pack("<i", pid), struct.pack("<i", new))
        file.seek(0)
        file.write(data)


def damages(path):
    """Spoil the file, each time from what it was, in another way."""
    whole, noise = path + ".whole", random.Random(4)
    copy(path, whole)
    size = os.path.getsize(path)
    spoils = [lambda file: file.truncate(0), lambda file: file.truncate(100), lambda file: file.truncate(size // 2),
              lambda file: (file.truncate(0), file.truncate(size)), lambda file: file.write(b"\xff" * 4096),
              lambda file: (file.seek(8), file.write(b"\xff\xff\xff\xff")),
              lambda file: (file.seek(64), file.write(noise.randbytes(200_000)))]
    for spoil in spoils:
        copy(whole, path)
        with open(path, "r+b") as file:
            spoil(file)
        yield spoils.index(spoil)


def copy(path, to):
    """With its holes: most of these files is."""
    subprocess.run(["cp", "--sparse=always", path, to], check=True)


def board_with_a_strangers_pid():
    bystander = subprocess.Popen(["/bin/sleep", "600"])
    try:
        with Ebb({"good": {"size": 2}}) as ebb:
            ebb.ready()
            wait_for(lambda: ebb.slot("good", 0)["state"] == ebb.slot("good", 1)["state"] == "ready", PATIENCE, "ready")
            pids = [worker["pid"] for worker in ebb.pool("good")["workers"]]
            kill(ebb)
            check(all(running(pid) for pid in pids), "the workers run on")
            forge_pids(os.path.join(ebb.run_dir, "board"), pids, bystander.pid)
            ebb.start()
            for pid in pids:
                ebb.wait_audit(PATIENCE, ev="takeover", pid=pid)  # found by their lease
            ebb.send("drain all id=drained")
            for slot in (0, 1):  # whether they use their lease is known when they come to it
                ebb.order("good", slot, ["keep", 1])
            ebb.wait_audit(PATIENCE, ev="done", id="drained")
            check(not [r for r in ebb.audit() if r["ev"] == "signalled" and r.get("pid") == bystander.pid], "no signal")
            ebb.stop_and_leave()
            check(bystander.poll() is None, "the bystander is left alone")
    finally:
        bystander.kill()
        bystander.wait()


def board_with_a_dead_workers_pid_in_use():
    """Who has its number by now, as a process with children or as a session that its leader has left, is not what it left."""
    for leader in ("wait", "exit"):
        bystander = subprocess.Popen(["/bin/sh", "-c", f"sleep 600 & echo $!; exec >&-; {leader}"], start_new_session=True,
                                     stdout=subprocess.PIPE, text=True)
        child = int(bystander.stdout.readline())
        try:
            if leader == "exit":
                bystander.wait()
            with Ebb({"good": {}}, watch=False) as ebb:
                ebb.ready()
                worker = ebb.slot("good", 0)["pid"]
                kill(ebb)
                os.kill(worker, signal.SIGKILL)
                wait_for(lambda: not running(worker), PATIENCE, "the worker has gone, too")
                forge_pids(os.path.join(ebb.run_dir, "board"), [worker], bystander.pid)
                ebb.start()
                ebb.wait_audit(PATIENCE, ev="exited", pid=bystander.pid)
                ebb.wait_audit(PATIENCE, ev="ready", generation=2)
                check(not ebb.audit(ev="signalled"), f"{leader}: no signal: {ebb.audit(ev='signalled')}")
                check(running(child), f"{leader}: it is left alone")
        finally:
            os.kill(child, signal.SIGKILL)
            if leader == "wait":
                bystander.wait()


CHOICE, ALL_POOLS = 2, 64  # of enum pending_kind; EBB_POOLS_MAX


def command_that_waits_for_what_is_not():
    """The board says that a choice among the workers of all pools is to be answered: there is no such choice."""
    with Ebb({"good": {}}, watch=False, start=False) as ebb:
        ebb.program = os.path.join(BUILD, "faulty/ebbd")  # its arrays have bounds that are checked
        ebb.start()
        ebb.ready()
        order = ebb.order("good", 0, ["until", os.path.join(ebb.spool, "finish")])
        ebb.wait_journal(PATIENCE, ev="start", order=order)
        ebb.send("retire good/0 id=forged")
        ebb.wait_audit(PATIENCE, ev="due")
        ebb.process.kill()
        ebb.process.wait()
        with open(os.path.join(ebb.run_dir, "board"), "r+b") as file:
            at = file.read().rindex(b"forged\0") - 20  # struct board_pending: kind, verb, pool
            file.seek(at)
            kind, verb, _pool = struct.unpack("=III", file.read(12))
            check(kind == CHOICE - 1, "it waits for the retirement of one")
            file.seek(at)
            file.write(struct.pack("=III", CHOICE, verb, ALL_POOLS))
        ebb.start()
        write(os.path.join(ebb.spool, "finish"), "")
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)
        check(not [r for r in ebb.audit(id="forged") if r["ev"] in ("done", "refused")], "nobody is answered")
        check("runtime error" not in read(ebb.log), f"nothing is read out of bounds: {read(ebb.log)}")


def damaged_board_is_no_crash():
    with Ebb({"good": {"size": 2}}) as ebb:
        ebb.ready()
        kill(ebb)
        for number in damages(os.path.join(ebb.run_dir, "board")):
            ebb.start()
            wait_for(lambda: len([w for w in ebb.pool("good")["workers"] if w["pid"]]) == 2, PATIENCE, "pool at size")
            check(not [s for s in ebb.signals() if s["job"] is not None], f"damage {number}: {ebb.signals()}")
            kill(ebb)


def damaged_board_finds_its_workers():
    with Ebb({"good": {"size": 2}}) as ebb:
        ebb.ready()
        before = sorted(worker["pid"] for worker in ebb.pool("good")["workers"])
        kill(ebb)
        for number in damages(os.path.join(ebb.run_dir, "board")):
            ebb.start()
            ebb.done(ebb.order("good", 0, ["keep", 1]))
            check(sorted(leftovers(ebb.run_dir)) == before, f"damage {number}: each slot has its one worker")
            check(sorted(w["pid"] for w in ebb.pool("good")["workers"]) == before, f"damage {number}: and it is known")
            kill(ebb)


def damaged_files_are_read_without_a_crash():
    """`ebb` and a living ebb-watch over files that are no longer what they were."""
    with Ebb({"good": {"size": 2, "footprint_limit": "64M"}}) as ebb:
        ebb.ready()
        ebb.done(ebb.order("good", 0, ["keep", 1], ["work", 2], label="one"))
        wait_for(lambda: ebb.slot("good", 0)["jobs"] == 1, PATIENCE, "figures are there")
        dead = os.path.join(ebb.home, "dead")
        os.mkdir(dead)
        for name in ("board", "trace", "audit"):
            copy(os.path.join(ebb.run_dir, name), os.path.join(dead, name))
        for name in ("board", "trace"):
            for number in damages(os.path.join(dead, name)):
                for command in (["status", "--json"], ["status"], ["jobs", "--json"], ["trace", "good/0", "--json"],
                                ["trace", "good/0"], ["why", "good/0", "--json"], ["events", "--json"]):
                    done = ebb.run_ebb(command[0], "--run-dir", dead, *command[1:])
                    check(done.returncode in (0, 1, 3), f"{name} {number} {command}: {done.returncode}: {done.stderr}")
                    check(done.returncode == 0 or done.stderr, f"{name} {number} {command}: says what is wrong")
            copy(os.path.join(dead, name + ".whole"), os.path.join(dead, name))
        watch = ebb.status()["watch"]["pid"]
        os.kill(watch, signal.SIGKILL)
        write(os.path.join(ebb.run_dir, "trace"), "not a trace at all")
        wait_for(lambda: len(ebb.audit(ev="watch", by="watch")) == 2, PATIENCE, "the watch is back")
        ebb.done(ebb.order("good", 0, ["keep", 100]))
        ebb.wait_audit(PATIENCE, ev="retire", pool="good", slot=0, reason="footprint")
        ebb.wait_audit(PATIENCE, ev="ready", pool="good", slot=0, generation=2)


main(configuration_errors_start_nothing, command_that_cannot_be_executed,
     directory_that_does_not_exist, user_that_does_not_exist, worker_that_dies_at_once, worker_that_ends_well_at_once,
     full_process_table, second_ebbd, without_bpf, as_an_ordinary_user, without_pressure_figures, damaged_labels,
     truncated_leases, board_with_a_strangers_pid, board_with_a_dead_workers_pid_in_use,
     command_that_waits_for_what_is_not, damaged_board_is_no_crash, damaged_board_finds_its_workers,
     damaged_files_are_read_without_a_crash)
