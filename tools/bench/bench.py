#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""make bench: what ebb costs and how soon it acts. Ratios come from one run; absolute times are this machine's."""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise SystemExit(f"bench: waited {seconds} s in vain")


class Ebb:
    """One ebbd with its own run directory. within: the path of a cgroup that it is started in."""

    def __init__(self, build, pools, *options, within=None):
        self.build = pathlib.Path(build)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ebb-bench."))
        self.dir.chmod(0o755)
        self.run = self.dir / "run"
        (self.dir / "ebb.conf").write_text("[ebb]\n" + pools)
        join = ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', within] if within else []
        self.daemon = subprocess.Popen(
            [*join, self.build / "ebbd", "--config", self.dir / "ebb.conf", "--run-dir", self.run, *options])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.cli("send", "stop", "--wait", "--timeout", "60s")
            self.daemon.wait(60)
        if self.daemon.poll() is None:
            self.daemon.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def cli(self, *words):
        return subprocess.run([self.build / "ebb", "--run-dir", self.run, *words], capture_output=True, text=True)

    def status(self):
        return json.loads(self.cli("status", "--json").stdout or "{}")

    def ready(self, n):
        def up():
            pools = self.status().get("pools", [])
            return pools and sum(pool["ready"] for pool in pools) >= n
        wait_for(up, 120)

    def end_workers(self):
        """For workers that do not look at their lease any more: asked to go, and then ended by us, whose they are."""
        self.cli("send", "drain", "all")
        for pool in self.status().get("pools", []):
            for worker in pool["workers"]:
                with contextlib.suppress(ProcessLookupError, TypeError):
                    os.kill(worker["pid"], signal.SIGTERM)

    def audit(self):
        records = []
        for name in ("audit.4", "audit.3", "audit.2", "audit.1", "audit"):
            path = self.run / name
            if path.exists():
                records += [json.loads(line) for line in path.read_text().splitlines()]
        return records


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def show(name, values, unit="ms"):
    print(f"  {name:<46} median {statistics.median(values):8.2f} {unit}   p99 {percentile(values, 0.99):8.2f} {unit}"
          f"   n {len(values)}", flush=True)


def lease_cost(build):
    """Per job: nothing, lock + order + unlock, the same with a label; without and with the watch's kernel programs."""
    print("lease cost per job")
    programs = {"C": [str(pathlib.Path(build) / "bench" / "lease_cost")], "Python": [PYTHON, str(HERE / "lease_cost.py")]}
    for language, command in programs.items():
        alone = None
        for watch, options in (("without watch", ["--no-watch"]), ("with watch", [])):
            out = pathlib.Path(tempfile.mkstemp(prefix="ebb-bench.")[1])
            # One that has measured stays, so that its successor does not measure again over its figures.
            pool = f'[pool:cost]\nready_timeout = 60s\ncommand = /bin/sh -c\n  "{" ".join(command)} > {out};\n  exec sleep 300"\n'
            with Ebb(build, pool, *options) as ebb:
                wait_for(lambda: out.read_text().count("\n") >= 3, 120)
                ebb.end_workers()
            costs = {line.split()[0]: float(line.split()[1]) for line in out.read_text().splitlines()}
            out.unlink()
            lease, label = costs["lease"] - costs["none"], costs["label"] - costs["none"]
            alone = alone or (lease, label)
            print(f"  {language:<7} {watch:<14} lock + order + unlock {lease:8.0f} ns (x {lease / alone[0]:.2f})"
                  f"   with a label {label:8.0f} ns (x {label / alone[1]:.2f})", flush=True)


def events(log):
    rows = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(row[0], int(row[1]), row[2], int(row[3])) for row in rows if len(row) == 4]


def reaction(build, rounds=100):
    """A job leaves its worker over the limit: from its unlock to the retire signal, and to the successor's first line."""
    print("from unlock to retire signal, and to the successor's exec")
    with tempfile.TemporaryDirectory(prefix="ebb-bench.") as directory:
        log = pathlib.Path(directory) / "log"
        worker = pathlib.Path(build) / "bench" / "worker"
        # The successor afterwards: what comes first is part of neither.
        with Ebb(build, f"[pool:react]\ncommand = {worker} job {log} 48\nfootprint_limit = 32M\nmin_lifetime = 0\nrefill = after\n"):
            wait_for(lambda: sum(e[0] == "term" for e in events(log)) > rounds, 300)
        to_signal, to_exec = [], []
        last = None
        for what, at, _, _ in events(log):
            if what == "release":
                last = at
            elif last and what == "term":
                to_signal.append((at - last) / 1e6)
            elif last and what == "exec":
                to_exec.append((at - last) / 1e6)
                last = None
    show("unlock to retire signal", to_signal[1:])  # the first one comes while the watch starts
    show("unlock to the successor's exec", to_exec[1:])


def monotonic_ns(record):
    """When the audit wrote it, on the clock that workers write by."""
    offset = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    seconds, micro = record["t"].rstrip("Z").split(".")
    at = int(time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 10**9
    return at + int(micro.ljust(6, "0")) * 1000 - offset


def decision(build, rounds=30):
    """An idle worker creeps past its limit: from its crossing to the watch's command in the audit."""
    print("from crossing a threshold to the watch's decision")
    with tempfile.TemporaryDirectory(prefix="ebb-bench.") as directory:
        log = pathlib.Path(directory) / "log"
        worker = pathlib.Path(build) / "bench" / "worker"
        with Ebb(build, f"[pool:creep]\ncommand = {worker} creep {log} 32 16\nfootprint_limit = 32M\nmin_lifetime = 0\n") as ebb:
            wait_for(lambda: sum(e[0] == "term" for e in events(log)) > rounds, 300)
            audit = ebb.audit()
        asked = {record["pid"]: monotonic_ns(record) for record in audit if record["ev"] == "retire"}
        delays = [(asked[pid] - at) / 1e6 for what, at, _, pid in events(log) if what == "crossed" and pid in asked]
    show("crossing to decision", delays[1:])  # the first one comes while the watch starts


def cost_of(pid, seconds):
    def cpu():
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def switches():
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                return int(line.split()[1])
        return 0

    before = cpu(), switches()
    time.sleep(seconds)
    after = cpu(), switches()
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split()
    value = {key: int(rollup[i + 1]) for i, key in enumerate(rollup) if key in ("Rss:", "Anonymous:")}
    return {
        "cpu": (after[0] - before[0]) / seconds * 100,
        "wakes": (after[1] - before[1]) / seconds,
        "rss": value["Rss:"] / 1024,
        "private": value["Anonymous:"] / 1024,
    }


def idle(build, seconds=20):
    """Nothing happens: what do the daemons cost?"""
    print("idle daemons")
    for workers in (4, 1000):
        worker = pathlib.Path(build) / "bench" / "worker"
        with Ebb(build, f"[pool:idle]\ncommand = {worker} idle\nsize = {workers}\nfootprint_limit = 1G\n") as ebb:
            ebb.ready(workers)
            time.sleep(3)  # let the start's work settle: this is a benchmark of rest
            pids = {"ebbd": ebb.status()["ebbd"]["pid"], "ebb-watch": ebb.status()["watch"]["pid"]}
            total = 0
            for name, pid in pids.items():
                cost = cost_of(pid, seconds)
                total += cost["private"]
                print(f"  {workers:>4} workers  {name:<10} CPU {cost['cpu']:5.2f} %  wake-ups/s {cost['wakes']:5.1f}"
                      f"  RSS {cost['rss']:6.1f} MiB  private {cost['private']:6.1f} MiB", flush=True)
            files = sum((ebb.run / name).stat().st_blocks * 512 for name in ("board", "trace")) / 2**20
            print(f"  {workers:>4} workers  together   private {total:6.1f} MiB   and {files:.1f} MiB of board and trace"
                  " (shared files)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="build")
    parser.add_argument("--only", choices=["lease", "reaction", "decision", "idle"])
    args = parser.parse_args()
    build = str(pathlib.Path(args.bin).resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parts = {"lease": lease_cost, "reaction": reaction, "decision": decision, "idle": idle}
    for name, part in parts.items():
        if args.only in (None, name):
            part(build)


if __name__ == "__main__":
    main()
