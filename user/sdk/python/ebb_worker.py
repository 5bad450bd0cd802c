# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker's side of the lease: while a job holds it, nobody retires the worker.

Fetch, then lock, for a queue that delivers again what was not acknowledged; an idle worker can be retired at once:

    lease = ebb_worker.Lease()
    lease.ready()
    while True:
        item = fetch()
        with lease.job(item.kind):
            work(item)
            acknowledge(item)

Lock, then fetch, for a queue that forgets what it has handed out; the fetch needs a timeout of a second or so:

    while True:
        with lease.turn() as turn:
            item = fetch(timeout=1)
            if item:
                turn.label(item.kind)
                work(item)

When ebbd orders the worker out, ready(), job() and turn() raise Retired, a SystemExit with status 0, instead of
starting anything. Without EBB_LEASE in the environment the worker is unmanaged, and everything just runs.

Threads that take jobs: each makes its own Lease(shared=True); a Lease is never used by two threads at a time. Retired
ends the thread that it is raised in; the process has to exit when all have ended.

Fork: a child shares the open file, and with it the lock, and must leave the Lease alone; one that takes jobs itself
(pre-fork servers) makes its own Lease(shared=True) after the fork. The descriptor is not inherited by other programs.

Standard library only, Python 3.8 and later.
"""

import errno
import fcntl
import gc
import mmap
import os
import struct
import threading

__all__ = ["Lease", "Retired"]

ORDER_RUN, ORDER_TRIM, ORDER_EXIT = b"R", b"T", b"X"
LEASE_BYTES = 256
LABEL_OFFSETS = 16, 128  # of an even and of an odd sequence number
LABEL_BYTES = 112
DIGITS_MAX = 20
LABEL_TEXT_BYTES = LABEL_BYTES - DIGITS_MAX - 2
COPY_LABEL, COPY_THREAD = 16, 240
NO_LABEL = "-"
READY = b"0 -\n"  # what the copy says of the turn that is none


class Retired(SystemExit):
    """ebbd wants this worker to go. It holds no lease and has started no job. Not caught, the process exits with 0."""

    def __init__(self):
        super().__init__(0)


def give_memory_back():
    """Collect garbage, then return the allocator's free pages to the system where it can (glibc)."""
    gc.collect()
    try:
        import ctypes  # costs memory, and most workers never come here

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, OSError, AttributeError):
        pass


class Lease:
    """One job loop's lease. `trim` is called on the order to give memory back, ahead of give_memory_back(): a place to
    drop caches. Raises OSError when there is a lease and it cannot be opened or locked."""

    def __init__(self, path=None, shared=False, trim=None):
        path = path or os.environ.get("EBB_LEASE")
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC) if path else None
        self._lock = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._attempt = self._lock | fcntl.LOCK_NB
        self._shared = shared
        self._trim = trim
        self._next = NO_LABEL  # label of the job about to start
        self._unknown = False  # what the job is, if there is one, will be known later
        self._last, self._text = NO_LABEL, b" -\n"  # newest label of ours in the file, and as it stands there
        self._sequence = self._newest() if path else 0
        self._own = self._copy(path) if path else None
        self._thread = 0  # as the copy has it

    @property
    def managed(self):
        return self._fd is not None

    def ready(self):
        """Once, before the first fetch: says that the worker is ready. Returns when ebbd wants it to work."""
        if self._fd is not None:
            self._take()
            self._say(READY, threading.get_native_id())
            self._release()
            self._say(b"", 0)

    def job(self, label=NO_LABEL):
        """`with lease.job("invoice"):` holds the lease for one job of that kind."""
        self._next = label or NO_LABEL
        self._unknown = False
        return self

    def turn(self):
        """`with lease.turn() as turn:` holds the lease to fetch a job and do it; say turn.label() once it is known."""
        self._next = NO_LABEL
        self._unknown = True
        return self

    def label(self, label):
        """Say what kind of job it is; jobs of one label are counted together (`ebb jobs`). Any text, of which some 90
        bytes are kept. Control characters become '?'."""
        if self._fd is None:
            return
        self._unknown = False
        if label != self._last:
            self._last, self._text = self._encode(label)
        if self._shared:  # other threads write labels too
            self._sequence = self._newest()
        self._sequence += 1
        line = b"%d%b" % (self._sequence, self._text)
        self._say(line, threading.get_native_id())
        os.pwrite(self._fd, line, LABEL_OFFSETS[self._sequence & 1])

    @staticmethod
    def _encode(label):
        """The label, and the end of its line."""
        label = str(label) or NO_LABEL
        if not label.isprintable():
            label = "".join(c if c.isprintable() else "?" for c in label)
        return label, b" " + label.encode("utf-8", "replace")[:LABEL_TEXT_BYTES] + b"\n"

    def close(self):
        """Let go of the file, and of the lock unless a forked child shares it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self):
        if self._fd is not None:
            self._take()
            if self._unknown and self._own and self._sequence:
                self._say(b"%d -\n" % self._sequence, threading.get_native_id())
            # The last job's label must not stand for this one, and a first turn without a job must not count as one. A
            # label that cannot be written is no reason not to work.
            elif self._next != NO_LABEL or self._last != NO_LABEL or self._unknown and self._sequence == 0:
                try:
                    self.label(self._next)
                except OSError:
                    pass
        return self

    def __exit__(self, *_):
        if self._fd is not None:
            if self._unknown and self._last != NO_LABEL:
                self._label_nothing()
            self._release()

    def _label_nothing(self):
        """There was no job: so says our copy, for the kernel side, and from now on the file, for who looks on."""
        try:
            self.label(NO_LABEL)
        except OSError:
            pass

    def _say(self, line, thread):
        """In our copy, for the turn of that thread; 0: nobody's."""
        if self._own:
            self._own[COPY_LABEL : COPY_LABEL + len(line)] = line
            if thread != self._thread:
                self._own[COPY_THREAD : COPY_THREAD + 4] = struct.pack("=I", thread)
                self._thread = thread

    def _take(self):
        try:
            fcntl.flock(self._fd, self._attempt)
        except BlockingIOError:
            self._wait()
        order = os.pread(self._fd, 1, 0)
        if order != ORDER_RUN:
            self._obey(order)

    def _release(self):
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _wait(self):
        """ebbd holds the lease: the worker is starting, or has just been retired, and then the lease stays held."""
        if os.pread(self._fd, 1, 0) == ORDER_EXIT:
            raise Retired
        fcntl.flock(self._fd, self._lock)

    def _obey(self, order):
        try:
            if order == ORDER_EXIT:
                raise Retired
            if order == ORDER_TRIM:
                if self._trim:
                    self._trim()
                give_memory_back()
            if not order:
                raise OSError(errno.EPROTO, "too short to be a lease")
        except BaseException:
            self._release()
            raise

    @staticmethod
    def _copy(path):
        """A copy of our own, in which the kernel side finds the label of the very turn that ends. Through a descriptor
        that is never locked: a child keeps the mapping. Without a copy the newest label in the file is taken."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return mmap.mmap(fd, LEASE_BYTES, access=mmap.ACCESS_COPY)
        except (OSError, ValueError):
            return None
        finally:
            os.close(fd)

    def _newest(self):
        """Sequence number of the newest label in the file; what is no label counts as 0."""
        text = os.pread(self._fd, LEASE_BYTES, 0)
        words = (text[at : at + LABEL_BYTES].split(b" ", 1)[0] for at in LABEL_OFFSETS)
        return max(int(word) if word.isdigit() and len(word) <= DIGITS_MAX else 0 for word in words)
