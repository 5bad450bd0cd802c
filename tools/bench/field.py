# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the benchmarks of results from the field share: who keeps the workers in the container, the folder, the command line."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [HERE, os.path.join(HERE, "../demo")]
from container import MIB, Container, Usage  # noqa: E402
from fault import machine  # noqa: E402
from plot import Plot, table, write_csv  # noqa: E402

from demo import package_lists  # noqa: E402
from machine import Loans, Skip, fresh_name, read, swap_file, write  # noqa: E402

__all__ = ["HERE", "MIB", "PYTHON", "Container", "Ebbd", "Keeper", "Loans", "Plot", "Skip", "Usage", "judged", "machine", "main",
           "package_lists", "read", "swap_file", "table", "write", "write_csv"]

PYTHON = "/usr/bin/python3"  # for which Debian's packages are
STOP_S = 10
QUICK_SWAP_MIB = 256


class Keeper:
    """Processes in the container; what they say is in the folder."""

    def __init__(self, folder, container):
        self.folder, self.container, self.processes = folder, container, []

    def place(self, name):
        return os.path.join(self.folder, name)

    def run(self, name, command, **environ):
        with open(self.place(f"{name}.log"), "ab") as log:
            self.processes.append(self.container.popen(command, stdout=log, stderr=log, cwd=self.folder,
                                                       env={**os.environ, **environ}))

    def is_up(self):
        """Is whoever keeps them at work?"""
        return True

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Ebbd(Keeper):
    """One ebbd, with pools: name -> keys; a command is a list of words."""

    def __init__(self, folder, container, build):
        super().__init__(folder, container)
        self.build = build
        memory = "/dev/shm" if os.path.ismount("/dev/shm") else folder  # as /run is
        self.run_dir = os.path.join(memory, fresh_name())
        container.loans.add("folder", self.run_dir)
        os.mkdir(self.run_dir, 0o700)

    def configure(self, pools, **keys):
        keys["pressure_source"] = self.container.pressure
        if self.container.limit_bytes:  # a twentieth, as is the default: but of the container, not of the machine
            keys["reserve"] = f"{self.container.limit_bytes // 20 // MIB}M"
        lines = ["[ebb]", *(f"{key} = {value}" for key, value in keys.items())]
        for name, pool in pools.items():
            command = "\n  ".join(f"'{word}'" for word in pool["command"])  # a line is short, a value may be long
            lines += [f"[pool:{name}]", *(f"{key} = {value}" for key, value in {**pool, "command": command}.items())]
        write(self.place("ebb.conf"), "\n".join(lines) + "\n")
        checked = subprocess.run([f"{self.build}/ebb", "check", self.place("ebb.conf")], capture_output=True, text=True,
                                 check=False)
        return None if checked.returncode == 0 else (checked.stderr or checked.stdout).strip()

    def start(self):
        self.run("ebbd", [f"{self.build}/ebbd", "--config", self.place("ebb.conf"), "--run-dir", self.run_dir])

    def ebb(self, *words):
        return subprocess.run([f"{self.build}/ebb", *words, "--run-dir", self.run_dir], capture_output=True, text=True,
                              check=False).stdout

    def stop(self):
        write(self.place("events.json"), self.ebb("events", "--json"))
        self.ebb("send", "--wait", "--timeout", "30s", "stop")
        super().stop()

    def is_up(self):
        status = self.ebb("status", "--json")
        return bool(status and json.loads(status)["watch"]["tier"])


def judged(aims):
    """aims: (what, value, aim, kept)."""
    return [f"  {'kept  ' if kept else 'MISSED'} ebb: {what}: {value}, {aim}" for what, value, aim, kept in aims]


def main(name, description, measure, swap_mib=0):
    """measure(args): args.bin, .folder, .lists, .quick, .only, .stretch."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bin", default="build")
    parser.add_argument("--only", metavar="RUN,RUN", type=lambda text: text.split(","), help="these runs of the table")
    parser.add_argument("--quick", action="store_true", help="a short round: shows that it works, not who is better")
    parser.add_argument("--stretch", type=float, default=1, metavar="N",
                        help="on a slow machine: jobs arrive so many times slower")
    parser.add_argument("--keep", action="store_true", help="leave the logs of all runs, and say where")
    args = parser.parse_args()
    args.bin = os.path.abspath(args.bin)
    args.folder = tempfile.mkdtemp(prefix="ebb-bench-")
    args.lists = os.path.join(args.folder, "packages")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loans = Loans(args.folder)
    try:
        package_lists(args.lists)
        if swap_mib:
            swap_file(loans, args.folder, QUICK_SWAP_MIB if args.quick else swap_mib)
        print(machine(), flush=True)
        measure(args)
    except Skip as skip:
        print(f"{name}: skipped: {skip}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted")
        sys.exit(130)
    finally:
        loans.give_back()
        if args.keep:
            print(f"logs: {args.folder}")
        else:
            shutil.rmtree(args.folder, ignore_errors=True)
