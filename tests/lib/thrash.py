# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Processes that keep writing to more memory than their cgroup has, so that they swap all the time."""
import subprocess

THRASH = """
import mmap, os, sys
for path in sys.argv[2:]:
    with open(path + "/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))
memory = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
while True:
    for page in range(0, len(memory), mmap.PAGESIZE):
        memory[page:page + 512] = b"%512d" % page
"""


class Thrashers:
    """with Thrashers(group, …, mib=400, n=2): that much in each of n processes, in these cgroups."""

    def __init__(self, *groups, mib, n=1):
        paths = list(dict.fromkeys(group.path for group in groups))
        self.command = ["/usr/bin/python3", "-c", THRASH, str(mib), *paths]
        self.n, self.processes = n, []

    def __enter__(self):
        self.processes = [subprocess.Popen(self.command, cwd="/") for _ in range(self.n)]
        return self

    def swapping(self):
        """All of them are at it, and have had a part of their memory swapped out."""
        def swapped(process):
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
                return any(line.startswith("VmSwap:") and int(line.split()[1]) > 1024 for line in status)
        return all(process.poll() is None and swapped(process) for process in self.processes)

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        return False
