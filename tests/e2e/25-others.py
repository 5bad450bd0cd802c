#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# once: which sensor there is makes no difference to the modes of files
"""What can another user do to ebbd and its workers? And a worker's own user: more than harm to its own workers?

Actors: ebbd as root, with and without ebb-watch; pool theirs, whose worker runs as nobody; pool ours, whose worker runs
as games; a stranger (bin) in no group of ours; a deploy script in control_group (daemon). Each of them tries what it can
by small programs that run as that user and tell which errors they got.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import grp  # noqa: E402
import json  # noqa: E402
import pwd  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import stat  # noqa: E402
import subprocess  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, main, running, wait_for  # noqa: E402
from machine import Skip, read, write  # noqa: E402

STRANGER, DEPLOY = "bin", "daemon"
PRECIOUS = '{"precious":true}\n'  # a line that may lie where the audit does
HOST = {"control_group": DEPLOY}
THEIRS, OURS = {"theirs": {"user": "nobody"}}, {"ours": {"user": "games"}}

# Run as somebody else: a list of [name, function, argument …]; answers {name: error or null}.
TRIES = """
import fcntl, json, os, signal, sys
def opened(path, how):
    os.close(os.open(path, getattr(os, how) | os.O_NONBLOCK | os.O_NOFOLLOW))
def locked(path):
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
def scribbled(path, at, n):
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, os.urandom(n), at)
def created(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
answers = {}
for name, function, *arguments in json.loads(sys.argv[1]):
    try:
        (globals().get(function) or getattr(os, function))(*arguments)
        answers[name] = None
    except OSError as error:
        answers[name] = type(error).__name__
print(json.dumps(answers))
"""


def root_alone():
    if os.geteuid() != 0:
        raise Skip("needs root to be several users")


def identity(user, groups=()):
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": [grp.getgrnam(g).gr_gid for g in groups]}


def tries(user, *attempts, groups=()):
    done = subprocess.run(["/usr/bin/python3", "-c", TRIES, json.dumps(attempts)], capture_output=True, text=True, cwd="/",
                          timeout=60, check=False, **identity(user, groups))
    check(done.returncode == 0, f"{user}: {done.stderr}")
    return json.loads(done.stdout)


def refused(user, *attempts, groups=()):
    answers = tries(user, *attempts, groups=groups)
    came_through = {name: error for name, error in answers.items() if error != "PermissionError"}
    check(not came_through, f"{user} is refused all of it: {came_through}")


def lease_of(ebb, pool):
    return os.path.join(ebb.run_dir, f"lease/{pool}.0.1")


def files_of(ebb):
    """All there is in the run directory, but for directories."""
    return [os.path.join(folder, name) for folder, _, names in os.walk(ebb.run_dir) for name in names]


def changes(ebb, path):
    name = os.path.basename(path)
    cut = [] if name == "control" else [[f"truncate {name}", "truncate", path, 0]]  # of a FIFO there is nothing to cut
    return [*cut, [f"chmod {name}", "chmod", path, 0o777],
            [f"unlink {name}", "unlink", path], [f"rename {name}", "rename", path, path + ".gone"],
            [f"replace {name}", "rename", os.path.join(ebb.spool, "journal"), path],
            [f"link {name}", "link", path, path + ".link"]]


def files_refuse_a_stranger():
    root_alone()
    with Ebb(THEIRS, HOST) as ebb:
        ebb.ready()
        wait_for(lambda: ebb.slot("theirs", 0).get("footprint_bytes"), PATIENCE, "all files are there")
        files = files_of(ebb)
        names = {os.path.relpath(path, ebb.run_dir) for path in files}
        check(names >= {"control", "board", "trace", "audit", "lock", "lease/theirs.0.1"}, f"all of them: {names}")
        opens = [[f"{how} {os.path.basename(path)}", "opened", path, how] for path in files
                 for how in ("O_RDONLY", "O_WRONLY", "O_RDWR")]
        refused(STRANGER, ["list leases", "listdir", os.path.join(ebb.run_dir, "lease")], *opens,
                *[change for path in files for change in changes(ebb, path)])
        before = ebb.slot("theirs", 0)["pid"]
        ebb.done(ebb.order("theirs", 0, ["keep", 1]))
        check(ebb.slot("theirs", 0)["pid"] == before, "and nothing has happened")


def the_control_group_reads_and_sends():
    root_alone()
    with Ebb(THEIRS, HOST) as ebb:
        ebb.ready()
        paths = {name: os.path.join(ebb.run_dir, name) for name in ("control", "board", "trace", "audit", "lock")}
        granted = tries(STRANGER, *[[name, "opened", paths[name], "O_RDONLY"] for name in ("board", "trace", "audit")],
                        ["control", "opened", paths["control"], "O_WRONLY"], groups=[DEPLOY])
        check(set(granted.values()) == {None}, f"this is what the group is for: {granted}")
        refused(STRANGER, *[[f"write {name}", "opened", paths[name], "O_WRONLY"] for name in paths if name != "control"],
                ["listen to commands", "opened", paths["control"], "O_RDONLY"],
                ["a lease", "opened", lease_of(ebb, "theirs"), "O_RDONLY"],
                *[change for path in (*paths.values(), lease_of(ebb, "theirs")) for change in changes(ebb, path)],
                groups=[DEPLOY])


def sending_takes_the_control_group():
    root_alone()
    with Ebb(THEIRS, HOST) as ebb:
        ebb.ready()
        for words in (["send", "retire theirs/0"], ["send", "--wait", "drain all"]):
            done = ebb.run_ebb(*words, **identity(STRANGER))
            check(done.returncode == 5 and "not permitted" in done.stderr, f"{words}: {done}")
        check(ebb.run_ebb("status", **identity(STRANGER)).returncode == 5, "nor may a stranger look")
        for user in ("nobody", "games"):
            check(ebb.run_ebb("send", "hold all", **identity(user)).returncode == 5, f"nor a worker: {user}")
        check(not ebb.audit(ev="accepted") and not ebb.audit(ev="retire"), "nothing has come of it")
        ebb.ebb("send", "--wait", "retire theirs/0", **identity(STRANGER, [DEPLOY]))


def nothing_can_be_put_there():
    """Tricks with links need a name in a directory of ebbd's, and only ebbd makes names there."""
    root_alone()
    with Ebb({**THEIRS, **OURS}, HOST, watch=False) as ebb:
        ebb.ready()
        own = os.path.join(ebb.spool, "own")
        check(tries("nobody", ["own", "created", own])["own"] is None, "a file of its own elsewhere")
        for user in ("nobody", STRANGER):
            for folder in (ebb.run_dir, os.path.join(ebb.run_dir, "lease")):
                at = os.path.join(folder, "theirs.0.2")
                refused(user, ["create", "created", at], ["symlink", "symlink", "/etc/passwd", at],
                        ["fifo", "mkfifo", at], ["mkdir", "mkdir", at], ["link", "link", own, at],
                        ["move in", "rename", own, at])
        refused("nobody", *[try_ for try_ in changes(ebb, lease_of(ebb, "theirs")) if try_[1] not in ("truncate", "chmod")])
        check(ebb.command("retire theirs/0")["ev"] == "done", "the next worker finds its place free")
        ebb.wait_audit(PATIENCE, ev="ready", pool="theirs", generation=2)


def ends(ebb):
    """Start it where it should refuse to; what it says."""
    ebb.start(serve=False)
    wait_for(lambda: ebb.process.poll() is not None, PATIENCE, "ebbd refuses")
    check(ebb.process.returncode == 1, f"with 1: {ebb.process.returncode}")
    ebb.process = None
    return read(ebb.log)


def put(path, kind, target):
    if os.path.lexists(path):
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    if kind == "symlink":
        os.symlink(target, path)
    elif kind == "hard link":
        os.link(target, path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        os.mkfifo(path)
        os.chown(path, 2, 2)


def what_lies_in_the_place_of_a_file():
    """Should somebody have had the right to put it there: ebbd refuses or replaces it, and writes into no target."""
    root_alone()
    with Ebb(THEIRS, HOST, watch=False, start=False) as ebb:
        target = os.path.join(ebb.home, "target")
        for kind in ("symlink", "hard link", "directory", "fifo"):
            os.makedirs(ebb.run_dir, exist_ok=True)
            write(target, PRECIOUS)
            os.chmod(target, 0o600)
            control = os.path.join(ebb.run_dir, "control")
            put(control, kind, target)
            said = ends(ebb)
            check("cannot start" in said, f"{kind}: {said}")
            check(read(target) == PRECIOUS and os.stat(target).st_mode & 0o777 == 0o600, f"{kind}: left alone")
            check(os.path.lexists(control) and not (kind == "symlink" and not os.path.islink(control)), f"{kind}: there")
            shutil.rmtree(ebb.run_dir)
        for name in ("audit", "board", "lock"):
            os.makedirs(ebb.run_dir, exist_ok=True)
            put(os.path.join(ebb.run_dir, name), "symlink", target)
            ebb.start(serve=False)
            wait_for(lambda: ebb.process.poll() is not None or ebb.serving(0), PATIENCE, "refused or replaced")
            check(read(target) == PRECIOUS and os.stat(target).st_mode & 0o777 == 0o600, f"{name}: target left alone")
            ebb.terminate()
            shutil.rmtree(ebb.run_dir)


def kill_ebbd(ebb):
    ebb.process.kill()
    ebb.process.wait()


def lease_swapped_while_nobody_looks():
    """Only root can; ebbd still writes into no target, and signals nobody."""
    root_alone()
    with Ebb(THEIRS, HOST, watch=False) as ebb:
        ebb.ready()
        pid = ebb.audit(ev="ready")[0]["pid"]
        target, lease = os.path.join(ebb.home, "target"), lease_of(ebb, "theirs")
        write(target, PRECIOUS)
        kill_ebbd(ebb)
        os.unlink(lease)
        os.symlink(target, lease)
        ebb.start()
        ebb.wait_audit(PATIENCE, ev="ready", generation=2)
        check(read(target) == PRECIOUS, "no order is written through the link")
        check(running(pid) and not ebb.audit(ev="signalled"), "whoever cannot be proved idle gets no signal")
        os.kill(pid, signal.SIGKILL)

        lease = os.path.join(ebb.run_dir, "lease/theirs.0.2")
        os.rename(lease, lease + ".away")
        os.symlink(target, lease)
        check(ebb.command("retire theirs/0 refill=no")["ev"] == "done", "while it runs it knows the file itself")
        check(read(target) == PRECIOUS and not os.path.lexists(lease), "the link goes, its target stays")


def lease_of_any_size():
    """It is the worker's own file: what it does to it costs nobody else anything, and is no way to be doubled."""
    root_alone()
    with Ebb({**THEIRS, **OURS}, HOST) as ebb:
        ebb.ready()
        lease = lease_of(ebb, "theirs")
        pid = ebb.slot("theirs", 0)["pid"]
        for size in (1 << 42, 1, 0, 257):
            tries("nobody", ["size", "truncate", lease, size], ["noise", "scribbled", lease, 16, 100])
            check(os.stat(lease).st_size != 256, "it is another one")
            ebb.done(ebb.order("ours", 0, ["keep", 1]))
            kill_ebbd(ebb)
            ebb.start()
            ebb.wait_audit(PATIENCE, lambda r, n=len(ebb.audit(ev="start")): len(ebb.audit(ev="takeover", pid=pid)) == n - 1,
                           ev="takeover", pid=pid)
            check(not ebb.audit(ev="refill", pool="theirs", generation=2), f"{size}: not doubled")
            json.loads(ebb.ebb("jobs", "--json"))
        check(ebb.command("retire theirs/0")["ev"] == "done", "and it can be retired")
        ebb.ready(theirs=2)
        check(ebb.slot("ours", 0)["generation"] == 1 and not ebb.audit(ev="exited", pool="ours"), "the other is at rest")


def workers_of_two_users():
    root_alone()
    slow = {"theirs": {"user": "nobody", "retire_signal": "USR1", "grace": "1s"}, **OURS}
    with Ebb(slow, HOST, watch=False) as ebb:
        ebb.ready()
        pid, other = (ebb.wait_audit(PATIENCE, ev="ready", pool=pool)["pid"] for pool in ("theirs", "ours"))
        lease = lease_of(ebb, "theirs")
        inherited = [os.readlink(f"/proc/{other}/fd/{fd}") for fd in os.listdir(f"/proc/{other}/fd")]
        check(not [path for path in inherited if "theirs" in path or "control" in path or "board" in path],
              f"it has inherited nothing of theirs: {inherited}")

        def harm():
            refused("games", ["lock", "locked", lease], ["write", "scribbled", lease, 0, 1], *changes(ebb, lease),
                    ["stop", "kill", pid, signal.SIGSTOP], ["kill", "kill", pid, signal.SIGKILL],
                    ["through /proc", "listdir", f"/proc/{pid}/fd"],
                    ["command", "opened", os.path.join(ebb.run_dir, "control"), "O_WRONLY"],
                    ["out of memory first", "scribbled", f"/proc/{pid}/oom_score_adj", 0, 4])
        harm()
        busy = ebb.begin("theirs", 0)["order"]
        ebb.send("retire theirs/0 id=out")
        ebb.wait_audit(PATIENCE, ev="due", pool="theirs")
        harm()
        ebb.finish()
        check(ebb.done(busy)["pid"] == pid, "its job was its own affair")
        ebb.wait_audit(PATIENCE, ev="done", id="out")
        check(not ebb.audit(ev="exited", pool="ours"), "the other is at rest")
        mode = os.stat(os.path.join(ebb.run_dir, "lease"))
        check((mode.st_uid, stat.S_IMODE(mode.st_mode)) == (0, 0o711), f"names are ebbd's alone: {mode}")


main(files_refuse_a_stranger, the_control_group_reads_and_sends, sending_takes_the_control_group,
     nothing_can_be_put_there, what_lies_in_the_place_of_a_file, lease_swapped_while_nobody_looks, lease_of_any_size,
     workers_of_two_users)
