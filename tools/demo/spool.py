# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A job queue made of files. A job is claimed by renaming it (one renamer wins) and acknowledged by renaming it again.

    new/<name>              to be done
    claimed/<name>.<pid>    somebody has it
    done/<name>             acknowledged
    journal                 one line for each start and end of a job

What a worker that is gone had claimed is handed out again by requeue(): the queue delivers until acknowledged.
"""
import os
import time

FOLDERS = "new", "claimed", "done"
POLL_S = 0.02


class Item:
    def __init__(self, spool, name):
        self.spool, self.name = spool, name
        self.path = spool.place("claimed", f"{name}.{os.getpid()}")

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def started(self):
        self.spool.note(f"start {self.name}")

    def done(self):
        """Acknowledge. Noted before, so that a job is never done without being in the journal."""
        self.spool.note(f"end {self.name}")
        os.rename(self.path, self.spool.place("done", self.name))

    def put_back(self):
        os.rename(self.path, self.spool.place("new", self.name))


class Spool:
    def __init__(self, path, create=False):
        self.path = path
        if create:
            for folder in FOLDERS:
                os.makedirs(self.place(folder))
        self.journal = os.open(self.place("journal"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def place(self, *names):
        return os.path.join(self.path, *names)

    def note(self, line):
        os.write(self.journal, (line + "\n").encode())  # one write, so that lines of many workers stay whole

    def names(self, folder):
        return sorted(os.listdir(self.place(folder)))

    def is_open(self):
        """False once the spool was taken away: its workers then leave by themselves."""
        return os.path.isdir(self.place("new"))

    def put(self, name, text):
        with open(self.place(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.place(name), self.place("new", name))

    def claim(self, timeout=0.0):
        """The next item, or None. Names that sort first come first."""
        until = time.monotonic() + timeout
        while self.is_open():
            for name in self.names("new"):
                item = Item(self, name)
                try:
                    os.rename(self.place("new", name), item.path)
                    return item
                except FileNotFoundError:
                    continue  # somebody else was faster
            if time.monotonic() >= until:
                break
            time.sleep(POLL_S)
        return None

    def requeue(self):
        """Hand out again what the dead had claimed. Returns how many."""
        n = 0
        for claim in self.names("claimed"):
            name, pid = claim.rsplit(".", 1)
            if os.path.exists(f"/proc/{pid}"):
                continue
            try:
                os.rename(self.place("claimed", claim), self.place("new", name))
                n += 1
            except FileNotFoundError:
                pass  # it was acknowledged just before
        return n

    def runs(self):
        """(starts, ends), each name -> how often."""
        starts, ends = {}, {}
        with open(self.place("journal"), encoding="utf-8") as file:
            for line in file:
                what, name = line.split()
                counts = starts if what == "start" else ends
                counts[name] = counts.get(name, 0) + 1
        return starts, ends
