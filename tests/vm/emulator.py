# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""One emulated machine: boots a kernel with the tests in its initramfs, and gives back what they reported.

No KVM is needed. What the tests print goes to the console, which is kept; their results come over a second serial line,
one JSON object a line. A machine that does not report its end has failed, whatever it reported before.
"""
import json
import os
import shutil
import signal
import subprocess
import time

MEMORY_MIB = 1536
# One thread for both processors. With a thread each (QEMU 7.2), guests of 6.12 panicked in two of six runs, once one
# byte into the patched branch of trace_rss_stat(): it looks like a stale translation of text that the other processor
# had patched to attach a program. It costs nothing where two machines share two CPUs.
ACCELERATOR = "tcg,thread=single"
DISK_MIB = 1024
# ramfs: pages of programs on a tmpfs would count as their users' shared memory.
COMMAND_LINE = "console=ttyS0 rootfstype=ramfs panic=-1 oops=panic quiet loglevel=4 mitigations=off no_timer_check"


class Outcome:
    def __init__(self):
        self.records = []  # of tests/run.py
        self.boot = None  # seconds of the kernel's clock until the tests begin
        self.release = ""
        self.broken = ""  # what the machine lacks, or how it ended
        self.seconds = 0.0


def run(image, parts, folder, patience):
    """Boot it with the concatenated parts as initramfs; an Outcome."""
    initramfs, disk, console, reports = (os.path.join(folder, name) for name in ("initramfs", "disk", "console", "reports"))
    with open(initramfs, "wb") as whole:
        for part in parts:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, whole)
    with open(disk, "wb") as file:
        file.truncate(DISK_MIB << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", disk], check=True, stdin=subprocess.DEVNULL)
    command = ["qemu-system-x86_64", "-M", "q35", "-accel", ACCELERATOR, "-cpu", "max", "-smp", "2",
               "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
               "-kernel", image, "-initrd", initramfs, "-append", COMMAND_LINE,
               "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
               "-serial", f"file:{console}", "-serial", f"file:{reports}"]
    outcome, started = Outcome(), time.monotonic()
    with open(os.path.join(folder, "qemu"), "wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        ended = wait(process, patience)
    outcome.seconds = time.monotonic() - started
    for path in (initramfs, disk):
        os.unlink(path)
    take_reports(outcome, reports)
    if not ended:
        outcome.broken = f"not done after {patience} s"
    elif process.returncode != 0:
        outcome.broken = f"qemu ended with {process.returncode}"
    return outcome


def wait(process, patience):
    try:
        process.wait(timeout=patience)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False
    except BaseException:
        process.kill()
        process.wait()
        raise


def take_reports(outcome, path):
    """Lines that are no JSON object count as nothing, but the last has to be the end."""
    end = False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if not isinstance(record, dict):
                continue
            if "boot" in record:
                outcome.boot, outcome.release, outcome.broken = record["boot"], record["kernel"], record["broken"]
            elif "test" in record:
                outcome.records.append(record)
            end = "end" in record
    if not end:
        outcome.broken = outcome.broken or "ended before the tests did"


def tail(folder, lines=80):
    """The last that the machine said."""
    said = []
    for name in ("qemu", "console"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                said += file.read().splitlines()
    return "\n".join(said[-lines:])
