# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the workers of make bench-queue wrote down, and what that proves."""
import collections
import os


class Journal:
    """What the workers wrote down: begins and ends by job."""

    def __init__(self, path):
        self.begins, self.ends, self.workers = collections.Counter(), collections.Counter(), set()
        self.ended_at = {}  # job -> s, the first time
        if not os.path.exists(path):
            return
        with open(path, encoding="ascii") as file:
            for line in file:
                what, name, pid, ns = line.split()
                self.workers.add(pid)
                (self.begins if what == "begin" else self.ends)[name] += 1
                if what == "end":
                    self.ended_at.setdefault(name, int(ns) / 1e9)

    @property
    def twice(self):
        return sum(n > 1 for n in self.begins.values())

    def interrupted(self, lost):
        """Begins without an end, but for those that go on: of jobs that somebody still has."""
        go_on = sum(name not in self.ended_at for name in self.begins) - lost
        return sum(self.begins.values()) - sum(self.ends.values()) - max(0, go_on)
