# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What end-to-end scripts share: a private ebbd with its pools, workers that obey and keep a journal, and waiting.

    from ebbtest import Ebb, check, main

    def job_is_done():
        with Ebb({"reports": {"size": 2}}) as ebb:
            order = ebb.order("reports", 0, ["keep", 100], ["work", 0.5])
            ebb.wait_journal(10, ev="end", order=order)

    main(job_is_done)

Each case starts its own ebbd in its own run directory, and ends with the check that nothing of it is left. Nothing
sleeps and hopes: conditions are waited for with a deadline in seconds.
"""
import datetime
import glob
import grp
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Loans, Skip, read, write  # noqa: E402

LIB = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(LIB))
BUILD = os.path.abspath(os.environ.get("EBB_BUILD", os.path.join(ROOT, "build")))
MIB = 1 << 20
POLL = 0.015
# A machine under test is slow at times; no deadline is a claim about speed unless the script says so.
PATIENCE = 20
SLOWER = float(os.environ.get("EBB_PATIENCE", 1))  # so many times more of it: an emulated machine is slow at all times


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def wait_for(condition, deadline, what):
    """What the condition gives as soon as that is true."""
    until = time.monotonic() + deadline * SLOWER
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failure(f"not within {deadline * SLOWER:g} s: {what}")
        time.sleep(POLL)


def stays(condition, seconds, what):
    """Hold the condition to be true all of that time: for what must not happen."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check(condition(), f"did not stay so for {seconds} s: {what}")
        time.sleep(POLL)


def matches(record, wanted):
    return all(record.get(key) == value for key, value in wanted.items())


def seconds(record):
    """The time of an audit record, as time.time() counts it."""
    return datetime.datetime.fromisoformat(record["t"]).timestamp()


def running(pid):
    """Is there such a process, and is it more than a zombie?"""
    try:
        return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def leftovers(prefix):
    """Processes whose EBB_LEASE lies under that directory."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    environ = file.read()
            except OSError:
                continue
            if any(entry.startswith(b"EBB_LEASE=" + prefix.encode() + b"/") for entry in environ.split(b"\0")):
                found.append(int(name))
    return found


def end_leftovers(prefix):
    for pid in leftovers(prefix):
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if pid in leftovers(prefix):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(fd)


class Lines:
    """JSON lines of a file that grows and is rotated (NAME, NAME.1, NAME.2 …): each line once, oldest first."""

    def __init__(self, path):
        self.path = path
        self.read = {}  # inode -> bytes read
        self.records = []

    def names(self):
        number = 1
        while os.path.exists(f"{self.path}.{number}"):
            number += 1
        return [f"{self.path}.{n}" for n in range(number - 1, 0, -1)] + [self.path]

    def take(self, path):
        try:
            file = open(path, "rb")
        except FileNotFoundError:
            return
        with file:
            inode = os.fstat(file.fileno()).st_ino
            file.seek(self.read.get(inode, 0))
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self.read[inode] = self.read.get(inode, 0) + len(whole) + 1
            self.records += [self.parse(path, line) for line in whole.split(b"\n")]

    @staticmethod
    def parse(path, line):
        try:
            record = json.loads(line.decode("utf-8"))
        except ValueError as error:
            raise Failure(f"{path}: not a JSON line: {line!r}") from error
        check(isinstance(record, dict), f"{path}: not an object: {line!r}")
        return record

    def all(self):
        for name in self.names():
            self.take(name)
        return self.records


class TornLines(Lines):
    """Of a writer that may be killed, or lack room, in the middle of one: such a line is a record by itself."""

    @staticmethod
    def parse(path, line):
        try:
            return Lines.parse(path, line)
        except Failure:
            return {"ev": "torn", "text": line.decode("utf-8", "replace")}


class Ebb:
    """ebbd in a scratch directory, with `pools` ({name: {key: value}}) and `host` ({key: value}) as its configuration.

    user: who runs it (root alone can choose). watch=False: ebbd --no-watch. start=False: only the files are made.
    within: a Cgroup that ebbd is started in. through: words before its command line. environ: more of it.
    """

    def __init__(self, pools, host=None, *, user=None, watch=True, start=True, within=None, through=(), environ=None):
        self.home = tempfile.mkdtemp(prefix="ebbt-")
        os.chmod(self.home, 0o755)
        self.loans = Loans(self.home)
        self.run_dir = os.path.join(self.home, "run")
        self.config = os.path.join(self.home, "ebb.conf")
        self.spool = os.path.join(self.home, "spool")
        self.programs = BUILD  # where ebbd and its kind are started from
        self.user, self.watch, self.within, self.through = user, watch, within, through
        self.pools, self.host = pools, dict(host or {})
        self.environ = {**os.environ, **(environ or {})}
        self.program = None  # ebbd itself, if it is another one
        self.process, self.log = None, os.path.join(self.home, "ebbd.log")
        self.audit_lines = Lines(os.path.join(self.run_dir, "audit"))
        self.journal_lines = Lines(os.path.join(self.spool, "journal"))
        self.orders = 0
        self.lay_out()
        self.configure()
        if start:
            try:
                self.start()
            except BaseException:
                self.tell()
                self.discard()
                raise

    # Files.
    def lay_out(self):
        """Everything that a worker of any user needs lies beneath the scratch directory."""
        lib = os.path.join(self.home, "lib")
        os.mkdir(lib)
        for source in (os.path.join(LIB, "worker.py"), os.path.join(LIB, "prefork.py"),
                       os.path.join(ROOT, "user/sdk/python/ebb_worker.py")):
            shutil.copy(source, lib)
        os.mkdir(self.spool)
        os.chmod(self.spool, 0o777)
        write(os.path.join(self.spool, "journal"), "")
        os.chmod(os.path.join(self.spool, "journal"), 0o666)
        if self.user:
            os.mkdir(self.run_dir)
            os.chown(self.run_dir, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)

    def worker(self, *options):
        """Command line of a test worker."""
        return " ".join(["/usr/bin/python3", "-B", os.path.join(self.home, "lib/worker.py"), self.spool, *options])

    def text(self, pools=None, host=None):
        """The configuration, with what makes a test short (no least age, room for a single worker to go), slots that keep their numbers, and its own
        matter: pressure of the machine that it runs on is none of it."""
        host = {"control_group": grp.getgrgid(os.getgid()).gr_name, "pressure_some": "100%", "pressure_full": "100%",
                **self.host, **(host or {})}
        if self.user:
            del host["control_group"]
        lines = ["[ebb]"] + [f"{key} = {value}" for key, value in host.items()]
        for name, keys in (self.pools if pools is None else pools).items():
            defaults = {"size": 1, "min_ready": 0, "min_lifetime": 0, "refill": "after", "ready_timeout": "20s", "grace": "5s"}
            command = {} if keys.get("mode") == "adopt" else {"command": self.worker(*keys.get("worker", ()))}
            keys = {**command, **defaults, **keys}
            lines += [f"[pool:{name}]"] + [f"{key} = {value}" for key, value in keys.items() if key != "worker"]
        return "\n".join(lines) + "\n"

    def configure(self, pools=None, host=None):
        write(self.config, self.text(pools, host))

    # ebbd.
    def start(self, *options, serve=True):
        command = [self.program or os.path.join(self.programs, "ebbd"), "--config", self.config, "--run-dir", self.run_dir]
        command += [] if self.watch else ["--no-watch"]
        starts = len(self.audit(ev="start"))
        if self.user and os.geteuid() != 0:
            raise Skip(f"needs root to start ebbd as {self.user}")
        as_user = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        join = ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.within.path] if self.within else []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*join, *self.through, *command, *options], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environ, cwd="/", **as_user)
        if serve:
            wait_for(lambda: self.serving(starts) or self.process.poll() is not None, PATIENCE, "ebbd serves")
            check(self.process.poll() is None, f"ebbd ended with {self.process.returncode}")

    def serving(self, starts):
        try:
            fifo = stat.S_ISFIFO(os.stat(os.path.join(self.run_dir, "control")).st_mode)
        except FileNotFoundError:
            return False
        return fifo and len(self.audit(ev="start")) > starts

    def send(self, line):
        """One line, or bytes as they are, into the FIFO."""
        data = line if isinstance(line, bytes) else line.encode() + b"\n"
        fd = os.open(os.path.join(self.run_dir, "control"), os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.set_blocking(fd, True)
            while data:
                data = data[os.write(fd, data):]
        finally:
            os.close(fd)

    def command(self, line, deadline=PATIENCE):
        """Send it with an id; the record that settles it: `refused` or `done`."""
        self.orders += 1
        name = f"test-{self.orders}"
        self.send(f"{line} id={name}")
        return self.wait_audit(deadline, lambda r: r.get("id") == name and r["ev"] in ("refused", "done"))

    def ebb(self, *arguments, check_code=0, **more):
        """Run the command line tool; its standard output."""
        done = self.run_ebb(*arguments, **more)
        check(done.returncode == check_code,
              f"ebb {' '.join(arguments)}: exit code {done.returncode}, expected {check_code}: {done.stderr}")
        return done.stdout

    def run_ebb(self, *arguments, **more):
        return subprocess.run([os.path.join(self.programs, "ebb"), *arguments], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False,
                              env={**self.environ, "EBB_RUN_DIR": self.run_dir}, **more)

    # What is known.
    def status(self):
        return json.loads(self.ebb("status", "--json"))

    def pool(self, name):
        """The pool in `ebb status --json`; waits while board or trace are being made."""
        def find():
            done = self.run_ebb("status", "--json")
            pools = json.loads(done.stdout)["pools"] if done.returncode == 0 else []
            return next((pool for pool in pools if pool["name"] == name), None)
        return wait_for(find, PATIENCE, f"pool {name} is on the board")

    def slot(self, pool, slot):
        """The slot's worker, as `ebb status --json` has it; or {}."""
        return next((worker for worker in self.pool(pool)["workers"] if worker["slot"] == slot), {})

    def needs_bpf(self, why):
        """Skip where job ends are only seen by sweeps."""
        if wait_for(lambda: self.status()["watch"]["tier"], PATIENCE, "the watch tells its tier") == "proc":
            raise Skip(f"no BPF: {why}")

    def pins(self, below="/*"):
        """What the kernel side has pinned for this run directory; or, with nothing below, the folders for that."""
        status = os.stat(self.run_dir)
        return glob.glob(f"/sys/fs/bpf/ebb-{status.st_dev:x}-{status.st_ino:x}-*{below}")

    def unpin(self):
        """An ebbd that was killed leaves them for the next one, and there is none."""
        if not os.path.isdir(self.run_dir):
            return
        pins = self.pins()
        for path in pins:
            os.unlink(path)
        for folder in {os.path.dirname(path) for path in pins}:
            os.rmdir(folder)

    def cgroups(self):
        """The cgroups of this run directory's workers, and the one around them."""
        status = os.stat(self.run_dir)
        name = f"ebb-{status.st_dev:x}-{status.st_ino:x}"
        mounts = [line.split()[1] for line in read("/proc/mounts").splitlines() if line.split()[2] == "cgroup2"]
        return [folder for mount in mounts for folder, *_ in os.walk(mount, topdown=False) if f"/{name}" in folder]

    def ungroup(self):
        """Likewise, with whoever is in them still: only workers ever were."""
        until = time.monotonic() + 10
        while os.path.isdir(self.run_dir) and (folders := self.cgroups()) and time.monotonic() < until:
            for folder in folders:
                try:
                    for pid in read(os.path.join(folder, "cgroup.procs")).split():
                        os.kill(int(pid), signal.SIGKILL)
                    os.rmdir(folder)
                except OSError:
                    time.sleep(POLL)

    def holds(self, pool, slot, mib, deadline=PATIENCE):
        """Wait until the watch sees that much in a slot's worker; the worker."""
        def seen():
            worker = self.slot(pool, slot)
            return (worker.get("footprint_bytes") or 0) >= mib * MIB and worker
        return wait_for(seen, deadline, f"{pool}/{slot} shows {mib} MiB")

    def audit(self, **wanted):
        return [record for record in self.audit_lines.all() if matches(record, wanted)]

    def wait_audit(self, deadline, predicate=None, what=None, **wanted):
        """The first audit record that is so."""
        def found():
            return next((r for r in self.audit(**wanted) if predicate is None or predicate(r)), None)
        return wait_for(found, deadline, f"audit record {what or ''} {wanted or ''}")

    def journal(self, **wanted):
        return [record for record in self.journal_lines.all() if matches(record, wanted)]

    def wait_journal(self, deadline, **wanted):
        return wait_for(lambda: next(iter(self.journal(**wanted)), None), deadline, f"journal entry {wanted}")

    def signals(self, **wanted):
        return self.journal(ev="signal", **wanted)

    def ready(self, deadline=PATIENCE, **generations):
        """Wait until all pools are at size, with workers that have come to their lease."""
        def at_size():
            up = {(r["pool"], r["slot"], r["generation"]) for r in self.audit(ev="ready")}
            gone = {(r["pool"], r["slot"], r["generation"]) for r in self.audit(ev="exited")}
            return all(sum(1 for name, *_ in up - gone if name == pool) >= int(keys.get("size", 1))
                       for pool, keys in self.pools.items())
        wait_for(at_size, deadline, "all pools are at size")
        if self.watch:
            self.wait_audit(deadline, lambda r: "tier" in r["text"], "the watch is up", ev="watch", by="watch")
        for pool, generation in generations.items():
            self.wait_audit(deadline, ev="ready", pool=pool, generation=generation)

    # Orders to workers.
    def order(self, pool, slot, *steps, **more):
        """Give a slot's worker (slot None: any of the pool) something to do; the order's id."""
        self.orders += 1
        box = os.path.join(self.spool, pool if slot is None else f"{pool}.{slot}")
        if not os.path.isdir(box):
            os.mkdir(box)
            os.chmod(box, 0o777)
        name = f"{self.orders:06d}"
        hidden = os.path.join(box, f".new-{name}")
        write(hidden, json.dumps({"id": self.orders, "steps": [list(step) for step in steps], **more}))
        os.chmod(hidden, 0o666)
        os.rename(hidden, os.path.join(box, name))
        return self.orders

    def begin(self, pool, slot, *steps, until="finish", **more):
        """A job that has begun, and after these steps goes on until it is told to finish; the journal's entry."""
        order = self.order(pool, slot, *steps, ["until", os.path.join(self.spool, until)], **more)
        return self.wait_journal(PATIENCE, ev="start", order=order)

    def finish(self, until="finish"):
        write(os.path.join(self.spool, until), "")

    def done(self, order, deadline=PATIENCE):
        """Wait until an order has been carried out; the journal's entry."""
        return self.wait_journal(deadline, ev="end", order=order)

    # The end.
    def stop(self, deadline=PATIENCE):
        """Ask ebbd to stop, see it go and nothing left behind."""
        self.send("stop")
        wait_for(lambda: self.process.poll() is not None, deadline, "ebbd has stopped")
        check(self.process.returncode == 0, f"ebbd ended with {self.process.returncode}")
        wait_for(lambda: not leftovers(self.run_dir), 2, "no process of a worker is left")
        leaves = [folder for folder in self.cgroups() if not os.path.basename(folder).startswith("ebb-")]
        check(not leaves, f"nor a cgroup: {leaves}")
        self.process = None

    def stop_and_leave(self):
        """See ebbd go in order, whatever processes are left: those that it does not know of."""
        self.process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.process.poll() is not None, PATIENCE, "ebbd has stopped")
        check(self.process.returncode == 0, f"ebbd ended with {self.process.returncode}")
        self.process = None

    def check_invariants(self):
        """What is to be true of every run."""
        log = read(self.log) if os.path.exists(self.log) else ""
        check(not any(word in log for word in ("Sanitizer", "runtime error", "Assertion")), "a daemon is in error")
        crashed = [r for r in self.audit(ev="watch") if r.get("signal") not in (None, signal.SIGKILL)]
        check(not crashed, f"ebb-watch crashed: {crashed}")
        last = {}
        for record in self.audit():
            if record.get("reason") in ("other-version", "bad-board", "other-boot"):
                last.clear()  # what is counted is on the board, and lost with it
            if record.get("ev") != "refill":
                continue
            place = record["pool"], record["slot"]
            check(record["generation"] > last.get(place, 0), f"a generation is never used twice: {record}")
            last[place] = record["generation"]

    def terminate(self):
        """Two SIGTERM leave busy workers behind; then SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process is None or self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                pass
        self.process = None

    def discard(self):
        self.terminate()
        end_leftovers(self.run_dir)
        self.unpin()
        self.ungroup()
        self.loans.give_back()
        shutil.rmtree(self.home, ignore_errors=True)

    def tell(self):
        """What a reader of a failure wants to see."""
        def tail(title, lines, n):
            print(f"--- {title} (last {n} of {len(lines)})", *lines[-n:], sep="\n")
        tail("ebbd", read(self.log).splitlines() if os.path.exists(self.log) else [], 30)
        for title, lines in (("audit", self.audit_lines), ("journal", self.journal_lines)):
            try:
                records = [{k: v for k, v in record.items() if k != "environ"} for record in lines.all()]
                tail(title, [json.dumps(record)[:400] for record in records], 60)
            except Failure as failure:
                print(f"--- {title}: {failure}")
        sys.stdout.flush()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _trace):
        try:
            if kind is None:
                if self.process is not None:
                    self.stop()
                self.check_invariants()
        except BaseException:
            self.tell()
            raise
        else:
            if kind is not None and not issubclass(kind, Skip):
                self.tell()
        finally:
            self.discard()
        return False


def run_case(case):
    started = time.monotonic()
    try:
        case()
        verdict = "ok"
    except Skip as skip:
        verdict = f"skip: {skip}"
    except (Failure, Exception):  # pylint: disable=broad-except
        traceback.print_exc(file=sys.stdout)
        verdict = "failed"
    print(f"[case] {case.__name__} {time.monotonic() - started:.1f} s {verdict}", flush=True)
    return verdict


def main(*cases):
    """Run the cases (or those named as arguments); exit 0, 1 when one failed, 77 when all were skipped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by the runner"))
    wanted = sys.argv[1:]
    verdicts = [run_case(case) for case in cases if not wanted or case.__name__ in wanted]
    skips = [verdict.removeprefix("skip: ") for verdict in verdicts if verdict.startswith("skip")]
    if "failed" in verdicts or not verdicts:
        sys.exit(1)
    if len(skips) == len(verdicts):
        print(skips[-1])
        sys.exit(77)
    sys.exit(0)
