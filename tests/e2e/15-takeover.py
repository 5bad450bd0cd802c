#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""ebbd is killed with SIGKILL, or told twice to stop: do the workers go on, does the next ebbd take them over, and is
no job lost, no worker signalled in a job, and no slot filled twice?

Actors: ebbd and ebb-watch, then another ebbd in the same run directory; pool reports, four Python workers that write
down every signal: one in a job, one idle, one due in a job, and one that dies while nobody looks. Then workers of
another user under an ebbd without CAP_DAC_OVERRIDE, a worker that overwrites its environment with a title, a stranger
that names a lease of ours in its environment, a board that is damaged, and a worker that was never seen at its lease.
"""
# once: what the watch sees by is nothing to who takes over; most cases have no watch
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import contextlib  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402

from ebbtest import BUILD, PATIENCE, ROOT, Ebb, check, leftovers, main, running, seconds, wait_for  # noqa: E402
from machine import Skip, read, write  # noqa: E402


def no_slot_twice(ebb, size):
    """As many workers as slots, each in a slot of its own."""
    slots = []
    for pid in leftovers(ebb.run_dir):
        with open(f"/proc/{pid}/environ", "rb") as file:
            slots += [entry for entry in file.read().split(b"\0") if entry.startswith(b"EBB_SLOT=")]
    check(len(slots) == len(set(slots)) == size, f"slots: {sorted(slots)}")


def killed():
    with Ebb({"reports": {"size": 4, "footprint_limit": "100M"}}) as ebb:
        ebb.ready()
        pids = {record["slot"]: record["pid"] for record in ebb.audit(ev="ready")}
        long = ebb.begin("reports", 0)["order"]
        ebb.done(ebb.order("reports", 1, ["keep", 10]))
        due = ebb.begin("reports", 2, until="finish-due")["order"]
        ebb.send("retire reports/2")
        ebb.wait_audit(PATIENCE, ev="due", slot=2)

        ebb.process.kill()
        ebb.process.wait()
        os.kill(pids[3], signal.SIGKILL)
        wait_for(lambda: not running(pids[3]), PATIENCE, "one dies meanwhile")
        check(all(running(pids[slot]) for slot in (0, 1, 2)), "the others run on")
        ebb.start()

        taken = wait_for(lambda: len(t := ebb.audit(ev="takeover")) == 3 and t, PATIENCE, "three are taken over")
        check({r["slot"]: r["pid"] for r in taken} == {slot: pids[slot] for slot in (0, 1, 2)}, f"by pid: {taken}")
        ebb.wait_audit(PATIENCE, ev="ready", slot=3, generation=2)
        no_slot_twice(ebb, 4)
        wait_for(lambda: ebb.slot("reports", 0)["state"] == "busy", PATIENCE, "the busy one is known to work")

        ebb.send("retire reports/0")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        ebb.finish()
        end = ebb.done(long)
        check(end["pid"] == pids[0], "the job goes on")
        gone = ebb.wait_audit(PATIENCE, ev="exited", slot=0, generation=1)
        check(seconds(gone) >= end["t"], "and its worker goes only then")
        ebb.wait_audit(PATIENCE, ev="ready", slot=0, generation=2)
        ebb.finish("finish-due")
        check(ebb.done(due)["pid"] == pids[2], "so does the other")
        ebb.wait_audit(PATIENCE, ev="ready", slot=2, generation=2)
        ebb.order("reports", 1, ["leave", 0])
        ebb.wait_audit(PATIENCE, ev="exited", slot=1, generation=1)
        ebb.wait_audit(PATIENCE, ev="ready", slot=1, generation=2)
        no_slot_twice(ebb, 4)
        check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")


def ends_before_it_is_known():
    """How one that was taken over has ended nobody says: not known to have come to its lease, it is still no failure."""
    with Ebb({"reports": {"worker": ["--lease", "late", "--late", "60"], "ready_timeout": "60s"}}, watch=False) as ebb:
        pid = ebb.wait_journal(PATIENCE, ev="up")["pid"]
        restarted(ebb)
        ebb.wait_audit(PATIENCE, ev="takeover", pid=pid)
        os.kill(pid, signal.SIGTERM)  # as if an order of before had reached it
        ebb.wait_audit(PATIENCE, ev="refill", generation=2)
        check(not ebb.audit(ev="backoff"), f"at once: {ebb.audit(ev='backoff')}")
        os.kill(ebb.wait_journal(PATIENCE, ev="up", gen=2)["pid"], signal.SIGKILL)
        failed = ebb.wait_audit(PATIENCE, ev="backoff", generation=2)
        check(failed["signal"] == 9, f"but of one's own child it is known: {failed}")
        ebb.terminate()


def told_twice_to_stop():
    with Ebb({"reports": {"size": 2}}) as ebb:
        ebb.ready()
        start = ebb.begin("reports", 0)
        ebb.process.send_signal(signal.SIGTERM)
        ebb.wait_audit(PATIENCE, ev="exited", slot=1)
        check(ebb.process.poll() is None and running(start["pid"]), "the first waits for the busy one")
        ebb.stop_and_leave()
        check(leftovers(ebb.run_dir) == [start["pid"]], "the second leaves it")
        with open(os.path.join(ebb.run_dir, "lease/reports.0.1"), "rb") as file:
            check(file.read(1) == b"R", "to work on, though nobody would fill its slot now")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=start["pid"])
        ebb.finish()
        check(ebb.done(start["order"])["pid"] == start["pid"], "its job is finished")
        wait_for(lambda: ebb.pool("reports")["ready"] == 2, PATIENCE, "the pool is at its size")
        no_slot_twice(ebb, 2)
        again = ebb.done(ebb.order("reports", 0, ["work", 0.1]))
        check(again["pid"] == start["pid"], f"the order to leave was taken back: {again}")
        check(not ebb.signals(slot=0), f"nobody touched it: {ebb.signals()}")


def restarted(ebb):
    """Kill ebbd and start another one."""
    ebb.process.kill()
    ebb.process.wait()
    ebb.start()


def root_alone():
    if os.geteuid() != 0:
        raise Skip("needs root")


BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")


def without_override_or_board():
    """What closes its environment's file to us leaves its memory open."""
    root_alone()
    with Ebb({"reports": {"user": "nobody"}}, watch=False, through=BOUND) as ebb:
        ebb.ready()
        pid = ebb.wait_journal(PATIENCE, ev="ready")["pid"]
        with open(os.path.join(ebb.run_dir, "board"), "r+b") as board:
            board.write(b"no board")
        restarted(ebb)
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=pid)
        check(not ebb.audit(generation=2), "and is not doubled")
        os.kill(pid, signal.SIGKILL)  # it is idle: nobody will see it come to its lease
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)


def without_override():
    """As under the unit file: root, but bound by the modes of files."""
    root_alone()
    slow = {"user": "nobody", "retire_signal": "USR1", "grace": "2s"}
    with Ebb({"reports": slow}, {"control_group": "daemon"}, watch=False, through=BOUND) as ebb:
        ebb.ready()
        pid = ebb.wait_journal(PATIENCE, ev="ready")["pid"]
        lease = os.stat(os.path.join(ebb.run_dir, "lease/reports.0.1"))
        check(lease.st_gid == os.getegid() and lease.st_mode & 0o7777 == 0o660, f"no one else's lease: {lease}")
        restarted(ebb)
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=pid)
        os.chmod(os.path.join(ebb.run_dir, "lease/reports.0.1"), 0)  # as its worker may
        restarted(ebb)
        wait_for(lambda: len(ebb.audit(ev="takeover", slot=0, pid=pid)) == 2, PATIENCE, "whatever its mode")
        check(not ebb.audit(generation=2), "and is not doubled")
        ebb.send("retire reports/0 refill=no")
        ebb.wait_audit(PATIENCE, ev="fenced", slot=0)
        score = read(f"/proc/{pid}/oom_score_adj").strip()  # it does not end at this signal; in 2 s it will be killed
        check(score == "1000", f"fenced, it is the first that the kernel would take: {score}")


TITLED = """use Fcntl ':flock';
open(my $lease, '+<', $ENV{EBB_LEASE}) or die;
flock($lease, LOCK_EX); flock($lease, LOCK_UN);
$0 = 'a worker with a title that takes all the room of its environment ' . 'x' x 4000;
sleep 1 while 1;
"""


def with_a_title():
    with Ebb({"reports": {"command": "/usr/bin/perl lib/titled.pl"}}, watch=False, start=False) as ebb:
        write(os.path.join(ebb.home, "lib/titled.pl"), TITLED)
        ebb.pools["reports"]["directory"] = ebb.home
        ebb.configure()
        ebb.start()
        pid = ebb.wait_audit(PATIENCE, ev="ready")["pid"]

        def untold():
            with open(f"/proc/{pid}/environ", "rb") as file:
                return b"EBB_LEASE=" not in file.read()
        wait_for(untold, PATIENCE, "its environment is overwritten")
        restarted(ebb)
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=pid)
        check(not ebb.audit(generation=2), "and is not doubled")
        check(ebb.command("retire reports/0")["ev"] == "done", "it can still be retired")


class Hidden:
    """A pool whose workers cannot be found by their environment: not by the harness either."""

    def __init__(self, first=""):
        self.ebb = Ebb({"reports": {"command": "/usr/bin/perl lib/titled.pl"}}, watch=False, start=False)
        os.chmod(self.ebb.home, 0o777)
        self.ebb.pools["reports"]["directory"] = self.ebb.home
        write(os.path.join(self.ebb.home, "lib/titled.pl"), TITLED.replace("$0 =", NOTE + first + "$0 ="))

    def __enter__(self):
        self.ebb.configure()
        self.ebb.__enter__()
        return self

    def __exit__(self, *error):
        self.ebb.process.kill()
        self.ebb.process.wait()
        self.ebb.process = None
        for name in os.listdir(self.ebb.home):
            if name.startswith("pids."):
                for pid in map(int, read(os.path.join(self.ebb.home, name)).split()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        self.ebb.__exit__(*error)

    def pids(self, generation):
        """Of the worker and its child, when it shows nothing of its environment any more."""
        path = os.path.join(self.ebb.home, f"pids.{generation}")
        pids = [int(pid) for pid in wait_for(lambda: os.path.exists(path) and read(path), PATIENCE, "it is up").split()]
        wait_for(lambda: "EBB_LEASE=" not in read(f"/proc/{pids[0]}/environ"), PATIENCE, "its environment is overwritten")
        return pids


NOTE = """my $child = fork; if (!$child) { exec '/bin/sleep', '600' }
open(my $pids, '>', "pids.new"); print $pids "$$ $child"; close($pids); rename('pids.new', "pids.$ENV{EBB_GENERATION}");
"""


def with_a_title_at_once():
    """The very first ebbd ends when it has started one, before its first turn is over; only the board tells of that one."""
    with Hidden() as hidden:
        ebb = hidden.ebb
        ebb.program, ebb.environ["EBB_FAULT"] = os.path.join(BUILD, "faulty/ebbd"), "started"
        ebb.start(serve=False)
        ebb.process.wait()
        pid = hidden.pids(1)[0]
        ebb.program = os.path.join(BUILD, "ebbd")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=pid)
        check(not ebb.audit(generation=2), "and is not doubled")


def with_a_title_as_somebody_else():
    """Nothing proves that it is the worker any more; so nothing of it is told to go, and it finds X in its lease."""
    root_alone()
    with Hidden("use POSIX; POSIX::setuid(65534);\n") as hidden:
        ebb = hidden.ebb
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="ready")
        lease = os.open(os.path.join(ebb.run_dir, "lease/reports.0.1"), os.O_RDONLY)
        pids = hidden.pids(1)
        restarted(ebb)
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)
        hidden.pids(2)
        check(os.pread(lease, 1, 0) == b"X", "it finds that it has to go")
        os.close(lease)
        check(not ebb.audit(ev="signalled") and all(running(pid) for pid in pids), f"nobody is touched: {pids}")


def named_by_a_stranger():
    """Whoever can start a process can write our lease's name into its environment."""
    root_alone()
    with Ebb({"reports": {}}, watch=False) as ebb:
        ebb.ready()
        names = ("reports.99999.7", "reports.3.4294967295", "reports.0.9", "other.0.1")
        strangers = [subprocess.Popen(["/bin/sleep", "100"], start_new_session=True, user="daemon",
                                      env={"EBB_LEASE": os.path.join(ebb.run_dir, "lease", name)}) for name in names]
        try:
            restarted(ebb)
            ebb.wait_audit(PATIENCE, ev="takeover", slot=0)
            check(ebb.command("refill reports")["ev"] == "done", "refilled")
            pools = ebb.status()["pools"]
            check([pool["name"] for pool in pools] == ["reports"], f"no pool of theirs: {pools}")
            check([worker["slot"] for worker in pools[0]["workers"]] == [0], f"no slot of theirs: {pools}")
            check(ebb.command("retire reports/0")["ev"] == "done", "it is the worker that goes")
            check(ebb.audit(ev="ready")[-1]["generation"] == 2, f"no generation of theirs: {ebb.audit(ev='ready')}")
            check(all(stranger.poll() is None for stranger in strangers), "nobody touches the strangers")
        finally:
            for stranger in strangers:
                stranger.kill()
                stranger.wait()


def numbers_without_gaps():
    """The board is damaged, the pool is smaller, and one of the extra slots is empty: three again are 0, 1 and 2."""
    with Ebb({"reports": {"size": 3}}, watch=False) as ebb:
        ebb.ready()
        pids = {record["slot"]: record["pid"] for record in ebb.audit(ev="ready")}
        ebb.process.kill()
        ebb.process.wait()
        os.kill(pids[1], signal.SIGKILL)
        wait_for(lambda: not running(pids[1]), PATIENCE, "one dies meanwhile")
        write(os.path.join(ebb.run_dir, "board"), "damaged")
        ebb.pools["reports"]["size"] = 1
        ebb.configure()
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", slot=2, pid=pids[2])
        ebb.send("scale reports 3")
        ebb.wait_audit(PATIENCE, ev="resume", slot=2)
        ebb.wait_audit(PATIENCE, ev="ready", slot=1, generation=2)
        for slot in (0, 2):  # so that they are known to use their leases
            ebb.done(ebb.order("reports", slot, ["work", 0]))
        check(sorted(worker["slot"] for worker in ebb.pool("reports")["workers"]) == [0, 1, 2], f"{ebb.status()}")
        no_slot_twice(ebb, 3)


def comes_while_there_is_none(ebb, pool, command):
    """Its worker becomes that program once ebbd has been killed."""
    write(os.path.join(ebb.home, "lib/late.sh"), f"until [ -e go ]; do sleep 0.02; done; exec {command}\n")
    ebb.pools[pool]["directory"] = ebb.home
    ebb.configure()
    ebb.start()
    pid = ebb.wait_audit(PATIENCE, ev="refill", slot=0)["pid"]
    ebb.process.kill()
    ebb.process.wait()
    write(os.path.join(ebb.home, "go"), "")
    return pid


def never_seen_and_dead_in_a_job():
    """No ebbd has seen it at its lease; its leader dies in a job, before there is one again, and its helper goes on."""
    with Ebb({"reports": {"command": "/bin/sh lib/late.sh"}}, watch=False, start=False) as ebb:
        pid = comes_while_there_is_none(ebb, "reports", ebb.worker())
        order = ebb.order("reports", 0, ["helper", 8, 4], ["work", 60])
        helper = ebb.wait_journal(PATIENCE, ev="helper", order=order)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not running(pid), PATIENCE, "the leader is gone")
        ebb.start()
        refill = ebb.wait_audit(PATIENCE, ev="refill", slot=0, generation=2)
        helped = ebb.wait_journal(PATIENCE, ev="helped", order=order)
        check(helped["pid"] == helper["pid"] and seconds(refill) >= helped["t"], "the slot is filled when the job is over")
        check(not ebb.audit(ev="signalled"), "and nobody is told to go")
        ebb.wait_audit(PATIENCE, ev="ready", slot=0, generation=2)


def came_to_its_lease_by_another_program():
    """A shell locks its lease through flock(1), which has ended when the job begins: nobody bears the pid that took it."""
    with Ebb({"shell": {"command": "/bin/sh lib/late.sh"}}, watch=False, start=False) as ebb:
        for folder in ("new", "claimed", "done"):
            os.makedirs(os.path.join(ebb.home, "spool", folder))
        write(os.path.join(ebb.home, "spool/new/one"), "")
        write(os.path.join(ebb.home, "lib/job.sh"), "until [ -e end ]; do sleep 0.02; done\n")
        worker = os.path.join(ROOT, "user/sdk/shell/worker.sh")
        pid = comes_while_there_is_none(ebb, "shell", f"/bin/sh {worker} spool /bin/sh lib/job.sh")
        wait_for(lambda: os.listdir(os.path.join(ebb.home, "spool/claimed")), PATIENCE, "it works")
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="takeover", slot=0, pid=pid)
        ebb.wait_audit(PATIENCE, ev="ready", slot=0, pid=pid)
        ebb.send("retire shell/0")
        ebb.wait_audit(PATIENCE, ev="due", slot=0)
        write(os.path.join(ebb.home, "end"), "")
        ebb.wait_audit(PATIENCE, ev="exited", slot=0, pid=pid)
        check(os.listdir(os.path.join(ebb.home, "spool/done")) == ["one"], "its job is done")


main(killed, ends_before_it_is_known, told_twice_to_stop, without_override, without_override_or_board, with_a_title,
     with_a_title_at_once, with_a_title_as_somebody_else, named_by_a_stranger, numbers_without_gaps,
     never_seen_and_dead_in_a_job, came_to_its_lease_by_another_program)
