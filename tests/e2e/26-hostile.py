#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Whatever a worker does to itself, its lease or the process table: does its pool say what is wrong, is all of it gone
before its slot is filled again, and do the others feel nothing?

Actors: ebbd; one pool for each kind of hostile worker, all at work at the same time; two innocent workers, who must keep
their pids and do jobs all the while; an operator who asks for each hostile one to go.
"""
import contextlib
# once: but for the age of a lease nothing of this is seen by the watch
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import json  # noqa: E402

from ebbtest import PATIENCE, Ebb, Failure, check, main, running, seconds, stays, wait_for  # noqa: E402
from machine import Skip, pids_cgroup, read, version_2, write  # noqa: E402

READY = 'exec 9<>"$EBB_LEASE"; flock 9; flock -u 9\n'
REST = "while :; do sleep 0.1 9>&-; done\n"
# In a session of its own, with nothing in its environment, a child of ebbd's by now: only its cgroup tells whose it is.
HIDDEN = """(setsid env -i PATH=/usr/bin:/bin /bin/sh -c 'exec 9>&-; trap "" TERM HUP INT; echo $$ > {0}.new; mv {0}.new {0}
while :; do sleep 0.2; done' &)
"""
SCRIPTS = {
    "dead": "exit 1\n",
    "dropper": "(setsid sh -c 'while [ ! -e {0} ]; do sleep 0.1; done' &)\nexit 1\n",
    "brief": READY + "kill -SEGV $$\n",
    "clumsy": READY + "flock 9; exit 3\n",
    "deaf": "trap '' TERM\n" + READY + REST,
    "hider": READY + HIDDEN + REST,
    "martyr": READY + "flock 9\n" + """(setsid env -i PATH=/usr/bin:/bin /bin/sh -c 'trap "touch {0}.signalled" TERM; touch {0}
while [ ! -e {0}.end ]; do sleep 0.1; done' &)
while [ ! -e {0} ]; do sleep 0.1; done; kill -9 $$
""",
    "holder": READY + "flock 9; while [ ! -e {0} ]; do sleep 0.1; done\n",
    "closer": READY + "flock 9; touch {0}; exec 9>&- 2>&- 1>&- 0<&-\n" + REST,
    "changer": READY + "flock 9; touch {0}; exec sleep 1000\n",
    "stranger": READY + "exec sleep 1000 9>&-\n",
}
POOLS = {**{name: {"grace": "1s"} for name in SCRIPTS}, "scribbler": {"grace": "1s"}, "innocent": {"size": 2}}
POOLS["holder"]["stuck_after"] = POOLS["changer"]["stuck_after"] = "1s"


class Host:
    """All of them on one ebbd, made for the first case that asks and shared by the others."""

    ebb = pids = None

    @classmethod
    def open(cls):
        if cls.ebb is None:
            cls.ebb = start(POOLS, SCRIPTS)
            ready(cls.ebb)
            cls.pids = {slot: cls.ebb.slot("innocent", slot)["pid"] for slot in (0, 1)}
        return cls.ebb

    @classmethod
    def close(cls):
        ebb, cls.ebb = cls.ebb, None
        if ebb:
            ebb.command("hold all what=refill for=10m")  # who comes now would not be released
            for name in ("dropper", "holder", "changer", "martyr"):
                release(ebb, name)
            with ebb:  # what is left alone has to have ended before ebbd does, since nobody looks after it then
                ebb.command("drain dropper")
                wait_for(lambda: not populated(ebb, "dropper"), PATIENCE, "those that were left alone have ended")


def somebody_is_in(folder):
    try:
        return "populated 1" in read(os.path.join(folder, "cgroup.events"))
    except FileNotFoundError:
        return False


def populated(ebb, pool):
    """The cgroups of its workers that somebody is in."""
    found = [folder for folder in ebb.cgroups() if os.path.basename(folder).startswith(f"{pool}.")]
    return [folder for folder in found if somebody_is_in(folder)]


def mark(ebb, name):
    return os.path.join(ebb.home, f"{name}.mark")


def start(pools, scripts, **more):
    ebb = Ebb(pools, start=False, **more)
    for name, script in scripts.items():
        path = os.path.join(ebb.home, f"{name}.sh")
        write(path, script.replace("{0}", mark(ebb, name)))
        ebb.pools = {**ebb.pools, name: {"command": f"/bin/sh {path}", **ebb.pools[name]}}
    ebb.configure()
    ebb.start()
    return ebb


def ready(ebb, *pools):
    for pool in pools or ("innocent",):
        for slot in range(int(ebb.pools[pool].get("size", 1))):
            ebb.wait_audit(PATIENCE, ev="ready", pool=pool, slot=slot)


def release(ebb, name):
    """Let it go on: there is the file that it, or its child, waits for; or end it, from outside what nobody here would."""
    write(mark(ebb, name) + (".end" if name == "martyr" else ""), "")
    if name == "changer" and (pid := ebb.slot(name, 0).get("pid")):
        os.kill(pid, 9)


@contextlib.contextmanager
def beside_the_innocent(ebb=None, pids=None):
    """What happens within leaves them alone: same processes, and a job each done meanwhile, and another one after."""
    ebb = ebb or Host.open()
    pids = pids or Host.pids
    jobs = [ebb.order("innocent", slot, ["work", 0.3]) for slot in (0, 1)]
    try:
        yield ebb
    except Failure:
        ebb.tell()
        raise
    jobs += [ebb.order("innocent", slot, ["work", 0]) for slot in (0, 1)]
    check([ebb.done(job)["pid"] for job in jobs] == [pids[0], pids[1]] * 2, "the innocent do their jobs")
    check(not [r for r in ebb.audit(pool="innocent") if r["ev"] in ("exited", "signalled", "retire", "backoff")],
          "nobody has done anything to them")
    check({slot: ebb.slot("innocent", slot)["pid"] for slot in (0, 1)} == pids, "the same processes")


def goes(ebb, pool, deadline=PATIENCE):
    """Asked to, its first worker goes, and the next one is there; signals sent on the way."""
    first = ebb.wait_audit(PATIENCE, ev="ready", pool=pool, slot=0, generation=1)
    ebb.send(f"retire {pool}/0 id=go-{pool}")
    ebb.wait_audit(deadline, ev="ready", pool=pool, slot=0, generation=2)
    return [r["signal"] for r in ebb.audit(ev="signalled", pool=pool, pid=first["pid"])]


def backs_off(pool, text):
    with beside_the_innocent() as ebb:
        seen = wait_for(lambda: len(r := ebb.audit(ev="backoff", pool=pool)) >= 2 and r, PATIENCE, "it is tried again")
        check({r["text"] for r in seen} == {f"died young: {text}"}, f"and it is said why not at once: {seen}")
        births = [seconds(r) for r in ebb.audit(ev="refill", pool=pool)]
        check(births[1] - births[0] >= 1, f"after a second: {births}")
        third = ebb.wait_audit(PATIENCE, ev="refill", pool=pool, generation=3)
        check(seconds(third) - births[1] >= 2, "then after two")
        check(wait_for(lambda: ebb.pool(pool)["backoff"], PATIENCE, "the pool shows it") is True, "as true")
        check(not ebb.audit(ev="signalled", pool=pool), "nothing is sent to anybody")


def dies_at_once():
    backs_off("dead", "exit code 1")


def dies_when_ready():
    backs_off("brief", "signal 11")


def dies_in_its_first_job():
    backs_off("clumsy", "exit code 3")


def dies_at_once_and_leaves_a_child():
    """Neither has ever used the lease, so nothing proves the child idle; but its cgroup does not stay for ever."""
    with beside_the_innocent() as ebb:
        warning = ebb.wait_audit(PATIENCE, ev="warning", pool="dropper", generation=1)
        check(warning["reason"] == "unleased" and "left alone" in warning["text"], f"it is said: {warning}")
        ebb.wait_audit(PATIENCE, ev="warning", pool="dropper", generation=2)
        check(not ebb.cgroups() or len(populated(ebb, "dropper")) >= 2, "both live")
        release(ebb, "dropper")
        wait_for(lambda: not [f for f in ebb.cgroups() if f.endswith("/dropper.0.1")], PATIENCE, "its cgroup has gone")
        check(not ebb.audit(ev="signalled", pool="dropper"), "nothing was sent to anybody")


DEEP = """(setsid env -i /bin/sh -c 'echo $$ > {0}.new; mv {0}.new {0}; while [ ! -e {0}.end ]; do read x < {0}.wait; done' &)
while [ ! -e {0}.go ]; do sleep 0.1; done
exit 1
"""


def wake(fifo):
    """Whoever waits at it, if there is somebody."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        pass
    return True


def dies_unleased_and_leaves_a_child_further_down():
    """Its child is in a cgroup of its own within the worker's, where only the leaf tells that somebody is there."""
    with start({"deep": {}}, {"deep": DEEP}, watch=False) as ebb:
        os.mkfifo(mark(ebb, "deep") + ".wait")
        ebb.wait_audit(PATIENCE, ev="refill")
        if not ebb.cgroups():
            raise Skip("no cgroup v2 that may be divided")
        leaf = wait_for(lambda: [folder for folder in ebb.cgroups() if folder.endswith("/deep.0.1")], PATIENCE, "its cgroup")
        child = int(wait_for(lambda: os.path.exists(mark(ebb, "deep")) and read(mark(ebb, "deep")), PATIENCE, "its child"))
        os.mkdir(os.path.join(leaf[0], "down"))
        write(os.path.join(leaf[0], "down", "cgroup.procs"), str(child))
        write(mark(ebb, "deep") + ".go", "")
        warning = ebb.wait_audit(PATIENCE, ev="warning", generation=1)
        check(warning["reason"] == "unleased" and "left alone" in warning["text"], f"it is said: {warning}")
        ebb.wait_audit(PATIENCE, ev="refill", generation=2)
        check(running(child) and not ebb.audit(ev="signalled"), "nothing was sent to anybody")
        ebb.command("hold deep what=refill for=10m")
        write(mark(ebb, "deep") + ".end", "")
        wait_for(lambda: wake(mark(ebb, "deep") + ".wait") and not populated(ebb, "deep"), PATIENCE, "all end")


def ignores_sigterm():
    with beside_the_innocent() as ebb:
        check(goes(ebb, "deaf") == [15, 9], "politely, then for good")


def hides_a_child(ebb, kill=None):
    """Its leader goes at once; then what it has hidden gets its grace too, and the next one comes only after."""
    if not ebb.cgroups():
        raise Skip("no cgroup v2 that may be divided")
    ebb.wait_audit(PATIENCE, ev="ready", pool="hider", generation=1)
    hidden = int(wait_for(lambda: os.path.exists(mark(ebb, "hider")) and read(mark(ebb, "hider")), PATIENCE, "it hides"))
    check(len([folder for folder in ebb.cgroups() if folder.endswith("/hider.0.1")]) == 1, f"{ebb.cgroups()}")
    if kill:
        kill()
    ebb.send("retire hider/0")
    refill = ebb.wait_audit(PATIENCE, ev="refill", pool="hider", generation=2)
    check(not running(hidden), "it is gone before its slot is filled again")
    sent = [r["signal"] for r in ebb.audit(ev="signalled", pool="hider", text="left behind", pid=hidden)]
    check(sent == [15], f"it was asked first: {sent}")
    blow, = ebb.audit(ev="signalled", pool="hider", signal=9)
    check(1 <= seconds(blow) - seconds(ebb.audit(ev="exited", pool="hider")[0]) <= seconds(refill), f"grace: {blow}")
    wait_for(lambda: not [f for f in ebb.cgroups() if f.endswith("/hider.0.1")], PATIENCE, "and so is its cgroup")


def leaves_a_child_that_only_its_cgroup_knows():
    with beside_the_innocent() as ebb:
        hides_a_child(ebb)


def dies_while_a_hidden_child_goes_on_with_its_job():
    """The child has the lease, so it is at a job, and its slot waits; longer than any grace."""
    with beside_the_innocent() as ebb:
        died = ebb.wait_audit(PATIENCE, ev="exited", pool="martyr", signal=9)
        if not ebb.cgroups():
            raise Skip("no cgroup v2 that may be divided")
        wait_for(lambda: ebb.slot("martyr", 0)["state"] == "retiring", PATIENCE, "its slot is not empty yet")
        stays(lambda: not ebb.audit(ev="signalled", pool="martyr") and not ebb.audit(pool="martyr", generation=2), 2.2,
              "nothing is sent, nobody takes its place")
        release(ebb, "martyr")
        refill = ebb.wait_audit(PATIENCE, ev="refill", pool="martyr", generation=2)
        check(not os.path.exists(mark(ebb, "martyr") + ".signalled"), "it did what was left undisturbed")
        check(seconds(refill) > seconds(died) + 2, "only then the slot is filled again")


def holds_its_lease_for_ever():
    with beside_the_innocent() as ebb:
        ready(ebb, "holder")
        pid = wait_for(lambda: (w := ebb.slot("holder", 0)).get("stuck") and w, PATIENCE, "it is shown as stuck")["pid"]
        check("stuck" in ebb.pool("holder")["warnings"], "as a warning of its pool")
        check(ebb.slot("holder", 0)["held_s"] >= 1, "with its age")
        check("stuck" not in ebb.pool("innocent")["warnings"], "of no other one")
        ebb.send("drain holder id=drain-holder")
        ebb.wait_audit(PATIENCE, ev="due", pool="holder", reason="drain")
        why = json.loads(ebb.ebb("why", "holder/0", "--json"))
        check(why["stuck"] and why["held_s"] >= 1 and "stuck_after" in why["conclusion"], f"it is told why: {why}")
        table = ebb.ebb("status")
        check(", stuck " in next(line for line in table.splitlines() if line.startswith("holder/0")), f"shown: {table}")
        stays(lambda: running(pid) and not ebb.audit(ev="signalled", pool="holder"), 1, "and is never killed")
        release(ebb, "holder")
        ebb.wait_audit(PATIENCE, id="drain-holder", ev="done")
        check(not ebb.audit(ev="signalled", pool="holder", signal=9), "it goes as soon as it lets go")


def goes_on_as_another_program_with_its_lease():
    """It holds its lease still, so it is at a job, whatever it is by now."""
    with beside_the_innocent() as ebb:
        ready(ebb, "changer")
        wait_for(lambda: os.path.exists(mark(ebb, "changer")), PATIENCE, "it has changed")
        ebb.send("retire changer/0")
        pid = wait_for(lambda: (w := ebb.slot("changer", 0)).get("stuck") and w, PATIENCE, "it is shown as stuck")["pid"]
        check(running(pid) and not ebb.audit(ev="signalled", pool="changer"), "it gets no signal")
        release(ebb, "changer")
        ebb.wait_audit(PATIENCE, ev="ready", pool="changer", generation=2)


def goes_on_as_another_program_without_its_lease():
    with beside_the_innocent() as ebb:
        check(goes(ebb, "stranger") == [15], "it is between jobs for ever")


def closes_all_files():
    """With its lease it has given its job up."""
    with beside_the_innocent() as ebb:
        wait_for(lambda: os.path.exists(mark(ebb, "closer")), PATIENCE, "it has closed them")
        check(goes(ebb, "closer") == [15], "it goes when it is asked to")


def scribbles_over_its_lease():
    """Also over the order that it is given."""
    with beside_the_innocent() as ebb:
        ready(ebb, "scribbler")
        job = ebb.order("scribbler", 0, ["scribble", 0, "\xff", 256], ["work", 0.5], ["scribble", 0, "R"],
                  ["scribble", 1, "9999 nonsense\n", 20], ["work", 0.5])
        ebb.wait_journal(PATIENCE, ev="start", order=job)
        ebb.send("retire scribbler/0")
        ebb.wait_audit(PATIENCE, ev="ready", pool="scribbler", generation=2)
        check([s["job"] for s in ebb.signals(pool="scribbler")] in ([], [None]), "no signal within its job")
        check(ebb.done(ebb.order("scribbler", 0, ["work", 0]))["gen"] == 2, "the next one has a lease of its own")


def all_end_and_nothing_is_left():
    Host.open()
    Host.close()


BOMB = READY + """trap '' TERM
bomb() {{ while :; do (setsid env -i PATH=/usr/bin:/bin /bin/sh -c 'trap "" TERM; exec sleep 50' 9>&- &) 2>/dev/null; done }}
bomb
""".format()
BOUND = 120  # processes and threads of that ebbd and all of its workers, so that the machine does not feel it


def bounded(ebb):
    """Where to start that ebbd."""
    return pids_cgroup(ebb.loans, BOUND)


def counts(ebb):
    folder = next((f for f in ebb.cgroups() if f.endswith("/bomb.0.1")), None)
    return len(read(os.path.join(folder, "cgroup.procs")).split()) if folder else 0


def forks_without_end():
    """Where `pids` can be had it is bounded by that alone; else by the test. One blow ends all of it."""
    own_bound = version_2("pids") is not None
    pools = {"bomb": {"grace": "1s", "pids": 40, "command": "/bin/true"}, "innocent": {"size": 2}}
    ebb = Ebb(pools, start=False, watch=False)
    with ebb:
        if not own_bound:
            ebb.within = bounded(ebb)
        write(os.path.join(ebb.home, "bomb.sh"), BOMB)
        ebb.pools["bomb"]["command"] = f"/bin/sh {ebb.home}/bomb.sh"
        ebb.configure()
        ebb.start()
        ready(ebb)
        pids = {slot: ebb.slot("innocent", slot)["pid"] for slot in (0, 1)}
        if not ebb.cgroups():
            raise Skip("no cgroup v2 that may be divided")
        with beside_the_innocent(ebb, pids):
            wait_for(lambda: counts(ebb) >= (38 if own_bound else 60), PATIENCE, "it grows")
            ebb.send("drain bomb id=drain")
            ebb.wait_audit(PATIENCE, ev="done", id="drain")
            check(not [f for f in ebb.cgroups() if "/bomb." in f], "all of it is gone, with its cgroup")
            blows = [r.get("text") for r in ebb.audit(ev="signalled", pool="bomb", signal=9)]
            check(blows == ["still there after grace", "left behind: all in its cgroup"], f"leader and rest: {blows}")
            warnings = [r["text"] for r in ebb.audit(ev="warning", pool="bomb", reason="pids")]
            check(len(warnings) == 1, f"the pool says once what became of its bound: {warnings}")
            check(("refused" if own_bound else "no pids controller") in warnings[0], f"{warnings}")


def hidden_child_after_a_takeover():
    """The next ebbd finds the cgroup again, by the worker's name."""
    pools = {"hider": {"grace": "1s"}, "innocent": {"size": 2}}
    with start(pools, {"hider": SCRIPTS["hider"]}, watch=False) as ebb:
        ready(ebb)
        pids = {slot: ebb.slot("innocent", slot)["pid"] for slot in (0, 1)}

        def restart():
            ebb.process.kill()
            ebb.process.wait()
            ebb.start()
            ebb.wait_audit(PATIENCE, ev="takeover", pool="hider")

        with beside_the_innocent(ebb, pids):
            hides_a_child(ebb, restart)


try:
    main(dies_at_once, dies_when_ready, dies_in_its_first_job,
         dies_at_once_and_leaves_a_child, dies_unleased_and_leaves_a_child_further_down, ignores_sigterm,
         leaves_a_child_that_only_its_cgroup_knows, dies_while_a_hidden_child_goes_on_with_its_job, holds_its_lease_for_ever,
         goes_on_as_another_program_with_its_lease, goes_on_as_another_program_without_its_lease, closes_all_files,
         scribbles_over_its_lease, all_end_and_nothing_is_left, forks_without_end, hidden_child_after_a_takeover)
finally:
    Host.close()
