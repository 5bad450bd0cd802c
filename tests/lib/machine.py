# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What a test borrows from the machine: memory cgroups, process-number cgroups, swap. Everything is given back.

Each loan is written into the file `loans` of the test's scratch directory before it is taken, so that the runner can
give it back should the test itself be killed. What a machine does not lend raises Skip with the reason.
"""
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import time

MIB = 1 << 20


class Skip(Exception):
    pass


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(text))


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def attempt(what, action, *arguments):
    """Do something that the machine may refuse."""
    try:
        return action(*arguments)
    except OSError as error:
        raise Skip(f"{what}: {error.strerror or error}") from error


class Loans:
    """What has been borrowed, newest last; kept in a file as well."""

    def __init__(self, scratch):
        self.path = os.path.join(scratch, "loans")

    def add(self, kind, name):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps([kind, name]) + "\n")

    def give_back(self):
        if not os.path.exists(self.path):
            return
        for line in reversed(read(self.path).splitlines()):
            kind, name = json.loads(line)
            GIVE_BACK[kind](name)
        os.unlink(self.path)


def remove_cgroup(path):
    """End what is in it and beneath it (only the test ever put anything there), then remove it."""
    deadline = time.monotonic() + 10
    while os.path.isdir(path):
        for name in os.listdir(path):
            if os.path.isdir(os.path.join(path, name)):
                remove_cgroup(os.path.join(path, name))
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            for pid in read(os.path.join(path, "cgroup.procs")).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)


def remove_zram(number):
    if os.path.exists(f"/sys/block/zram{number}"):
        subprocess.run(["swapoff", f"/dev/zram{number}"], stderr=subprocess.DEVNULL, check=False)
        write("/sys/class/zram-control/hot_remove", number)


def remove_swap_file(path):
    if os.path.exists(path):
        subprocess.run(["swapoff", path], stderr=subprocess.DEVNULL, check=False)
        os.unlink(path)


def remove_folder(path):
    shutil.rmtree(path, ignore_errors=True)


GIVE_BACK = {"cgroup": remove_cgroup, "zram": remove_zram, "swap file": remove_swap_file, "folder": remove_folder}


NUMBERS = itertools.count()


def fresh_name():
    """Of a cgroup that nobody else has, as the tests' own can be told by."""
    return f"ebbtest-{os.getpid()}-{next(NUMBERS)}"


class Cgroup:
    def __init__(self, loans, path):
        self.path = path
        loans.add("cgroup", path)
        attempt(f"no cgroup {path}", os.mkdir, path)

    def set(self, key, value):
        attempt(f"{self.path}/{key}", write, os.path.join(self.path, key), value)

    def wrap(self, command, script, *others):
        """A script, to be written to that path, that enters the cgroup (and others) and goes on as the command."""
        enter = "".join(f"echo $$ > {group.path}/cgroup.procs && " for group in (self, *others))
        write(script, f"#!/bin/sh\n{enter}exec {command}\n")
        os.chmod(script, 0o755)
        return script


def version_2(controller):
    """The cgroup-v2 mount that has this controller, or None."""
    for line in read("/proc/mounts").splitlines():
        _, mount, kind, *_ = line.split()
        if kind == "cgroup2" and controller in read(os.path.join(mount, "cgroup.controllers")).split():
            return mount
    return None


def memory_cgroup(loans, limit_mib):
    """A cgroup whose processes together get that much memory; the rest goes to swap."""
    name = fresh_name()
    if os.path.exists("/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        group = Cgroup(loans, f"/sys/fs/cgroup/memory/{name}")
        group.set("memory.limit_in_bytes", limit_mib * MIB)
        return group
    mount = version_2("memory")
    if mount is None:
        raise Skip("no memory controller for cgroups")
    attempt("memory controller", write, os.path.join(mount, "cgroup.subtree_control"), "+memory")
    group = Cgroup(loans, os.path.join(mount, name))
    group.set("memory.max", limit_mib * MIB)
    return group


def pressure_cgroup(loans, memory):
    """A cgroup that tells the memory pressure of its processes alone: that memory cgroup itself, or one beside it."""
    own = os.path.join(memory.path, "memory.pressure")
    if not os.path.exists(own):
        mounts = [line.split()[1] for line in read("/proc/mounts").splitlines() if line.split()[2] == "cgroup2"]
        if not mounts:
            raise Skip("no cgroup v2 for pressure figures")
        memory = Cgroup(loans, os.path.join(mounts[0], fresh_name()))
        own = os.path.join(memory.path, "memory.pressure")
    attempt("no pressure figures", read, own)
    return memory


def pids_cgroup(loans, most):
    """A cgroup that holds at most so many processes."""
    name = fresh_name()
    if os.path.isdir("/sys/fs/cgroup/pids"):
        group = Cgroup(loans, f"/sys/fs/cgroup/pids/{name}")
    else:
        mount = version_2("pids")
        if mount is None:
            raise Skip("no pids controller for cgroups")
        attempt("pids controller", write, os.path.join(mount, "cgroup.subtree_control"), "+pids")
        group = Cgroup(loans, os.path.join(mount, name))
    group.set("pids.max", most)
    return group


def swap(loans, scratch, mib):
    """Swap space: compressed memory where there is zram, else a file."""
    if os.geteuid() != 0:
        raise Skip("swap needs root")
    try:
        number = read("/sys/class/zram-control/hot_add").strip()
        loans.add("zram", number)
        device = f"/dev/zram{number}"
        write(f"/sys/block/zram{number}/disksize", f"{mib}M")
    except OSError:
        return swap_file(loans, scratch, mib)
    return switch_on(device)


def swap_file(loans, scratch, mib):
    """Swap space on the disk of the scratch directory."""
    if os.geteuid() != 0:
        raise Skip("swap needs root")
    device = os.path.join(scratch, "swap")
    loans.add("swap file", device)
    with open(device, "wb") as file:
        for _ in range(mib):
            file.write(bytes(MIB))
    os.chmod(device, 0o600)
    return switch_on(device)


def switch_on(device):
    for command in (["mkswap", device], ["swapon", device]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skip(f"{' '.join(command)}: {done.stderr.strip()}")
    return device
