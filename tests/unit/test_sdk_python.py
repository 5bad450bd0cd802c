#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The Python SDK against a lease that this test plays ebbd for."""
import ast
import errno
import fcntl
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SDK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../user/sdk/python")
sys.path.insert(0, SDK)
sys.dont_write_bytecode = True
import ebb_worker  # noqa: E402
from ebb_worker import Lease, Retired  # noqa: E402

PATIENCE_S = 20


class LeaseTest(unittest.TestCase):
    def setUp(self):
        self.fd, self.path = tempfile.mkstemp(prefix="ebb-lease.")
        os.ftruncate(self.fd, 256)
        os.pwrite(self.fd, b"R\n", 0)
        os.environ["EBB_LEASE"] = self.path

    def tearDown(self):
        os.environ.pop("EBB_LEASE", None)
        os.close(self.fd)
        os.unlink(self.path)

    def order(self, byte):
        os.pwrite(self.fd, byte, 0)

    def free(self, kind=fcntl.LOCK_EX):
        """Could ebbd fence the worker now? Leaves the lease as it was."""
        try:
            fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return True

    def field(self, at):
        return os.pread(self.fd, 112, at).split(b"\n")[0].rstrip(b"\0").decode()

    @staticmethod
    def copy(lease):
        """The newest label in the worker's own copy; the kernel side reads it there."""
        return lease._own[16:128].split(b"\n")[0].decode()  # pylint: disable=protected-access

    def lease(self, **options):
        lease = Lease(**options)
        self.addCleanup(lease.close)
        return lease

    def child(self, code):
        """A worker of its own, with the SDK imported."""
        code = "import os, sys, signal\nfrom ebb_worker import *\nlease = Lease()\n" + code
        process = subprocess.Popen([sys.executable, "-B", "-c", code], env={**os.environ, "PYTHONPATH": SDK},
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        return process

    def until_awaited(self):
        """As ebbd sees it: a line `… -> FLOCK … <device>:<inode> …` in /proc/locks."""
        inode = ":%d " % os.fstat(self.fd).st_ino
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with open("/proc/locks", encoding="ascii") as locks:
                if any("-> FLOCK" in line and inode in line for line in locks):
                    return
            time.sleep(0.005)
        self.fail("nobody waits for the lease")


class Patterns(LeaseTest):
    def test_unmanaged_without_the_variable(self):
        for value in None, "":
            os.environ.pop("EBB_LEASE", None)
            if value is not None:
                os.environ["EBB_LEASE"] = value
            lease = self.lease()
            self.assertFalse(lease.managed)
            lease.ready()
            with lease.job("one"):
                pass
            with lease.turn() as turn:
                turn.label("two")
        self.assertEqual(self.field(128), "")

    def test_a_lease_that_is_not_there(self):
        os.environ["EBB_LEASE"] = "/nonexistent/lease"
        self.assertRaises(FileNotFoundError, Lease)

    def test_fetch_then_lock(self):
        lease = self.lease()
        lease.ready()
        self.assertTrue(self.free())
        with lease.job("first"):
            self.assertFalse(self.free(fcntl.LOCK_SH))
            self.assertEqual(self.field(128), "1 first")
            self.order(b"X")  # in the middle of a job: it goes on
        self.assertTrue(self.free())
        with self.assertRaises(Retired) as retired:
            with lease.job("second"):
                self.fail("a job began after the order to leave")
        self.assertEqual(retired.exception.code, 0)
        self.assertTrue(self.free())
        self.assertEqual(self.field(16), "")
        self.order(b"R")  # kept after all
        with lease.job("third"):
            self.assertEqual(self.field(16), "2 third")

    def test_lock_then_fetch(self):
        lease = self.lease()
        with lease.turn() as turn:
            self.assertFalse(self.free())
            self.assertEqual(self.field(128), "1 -")  # so that a turn that finds nothing does not count as a job
            turn.label("one")
        self.assertEqual(self.field(16), "2 one")  # stands until the next turn, for attribution
        with lease.turn():
            self.assertEqual(self.copy(lease), "2 -")  # in its own copy from the beginning …
            self.assertEqual(self.field(128), "1 -")
        self.assertEqual(self.field(128), "3 -")  # … in the file only once there is no job: most often there is one
        with lease.turn() as turn:
            self.assertEqual(self.field(16), "2 one")  # two turns without a job write once
            turn.label("two")
            self.assertEqual(self.field(16), "4 two")
        self.order(b"X")
        self.assertRaises(Retired, lease.turn().__enter__)
        self.assertTrue(self.free())

    def test_a_job_that_fails_lets_go(self):
        lease = self.lease()
        with self.assertRaises(KeyError):
            with lease.job("bad"):
                raise KeyError
        self.assertTrue(self.free())


class Orders(LeaseTest):
    def test_retired_is_exit_status_0(self):
        self.order(b"X")
        self.assertEqual(self.child("lease.ready()\nsys.exit(5)").wait(PATIENCE_S), 0)

    def test_a_fenced_worker_does_not_wait(self):
        lease = self.lease()
        self.order(b"X")
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        with self.assertRaises(Retired):
            with lease.job("job"):
                pass

    def test_ready_waits_to_be_let_in(self):
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        child = self.child("lease.ready()\nsys.exit(5)")
        self.until_awaited()
        self.assertIsNone(child.poll())
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        self.assertEqual(child.wait(PATIENCE_S), 5)

    def test_a_signal_does_not_end_the_wait(self):
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        child = self.child("signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'.'))\nlease.ready()\nsys.exit(5)")
        self.until_awaited()
        child.send_signal(10)
        self.assertEqual(child.stdout.read(1), b".")
        self.until_awaited()
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        self.assertEqual(child.wait(PATIENCE_S), 5)

    def test_gives_memory_back_when_told(self):
        told = []
        lease = self.lease(trim=lambda: told.append(self.free()))
        with lease.job():
            self.assertEqual(told, [])
        self.order(b"T")
        ring = type("Ring", (), {"__del__": lambda _: told.append("collected")})()
        ring.ring = ring
        del ring
        gc.disable()  # so that nobody else collects
        self.addCleanup(gc.enable)
        with lease.job():
            self.assertEqual(told, [False, "collected"])  # under the lease; cycles are gone
            self.assertFalse(self.free())
        self.assertTrue(self.free())

    def test_a_trim_that_fails_lets_go(self):
        lease = self.lease(trim=lambda: 1 / 0)
        self.order(b"T")
        with self.assertRaises(ZeroDivisionError):
            lease.ready()
        self.assertTrue(self.free())

    def test_an_order_of_the_future_is_work(self):
        lease = self.lease()
        self.order(b"?")
        with lease.job():
            self.assertFalse(self.free())

    def test_a_file_too_short_is_an_error(self):
        lease = self.lease()
        os.ftruncate(self.fd, 0)
        with self.assertRaises(OSError) as error:
            lease.ready()
        self.assertEqual(error.exception.errno, errno.EPROTO)
        self.assertTrue(self.free())


class Labels(LeaseTest):
    def test_labels_stay_within_their_fields(self):
        lease = self.lease()
        lease.label("two\nlines\x01\x7f\t.\ud800")
        self.assertEqual(self.field(128), "1 two?lines???.?")
        lease.label("é" * 1000)
        self.assertEqual(os.pread(self.fd, 112, 16).rstrip(b"\0"), b"2 " + "é".encode() * 45 + b"\n")
        self.assertEqual(self.field(128), "1 two?lines???.?")
        lease.label(42)
        self.assertEqual(self.field(128), "3 42")
        lease.label("")
        self.assertEqual(self.field(16), "4 -")
        self.assertEqual(os.pread(self.fd, 16, 240), bytes(16))
        self.assertEqual(os.pread(self.fd, 2, 0), b"R\n")

    def test_numbers_go_on_where_the_file_is(self):
        self.lease().label("one")
        self.lease().label("two")
        self.assertEqual(self.field(16), "2 two")

    def test_damaged_labels_are_no_harm(self):
        os.pwrite(self.fd, b"\xff" * 254, 2)
        lease = self.lease()
        lease.label("one")
        self.assertEqual(os.pread(self.fd, 6, 128), b"1 one\n")
        os.pwrite(self.fd, b"9" * 112, 16)  # no number that anybody has counted to
        self.lease().label("two")
        self.assertEqual(os.pread(self.fd, 6, 16), b"2 two\n")

    def test_without_a_copy_all_is_in_the_file(self):
        lease = self.lease()
        lease._own = None  # pylint: disable=protected-access
        with lease.turn() as turn:
            self.assertEqual(self.field(128), "1 -")
            turn.label("one")
        with lease.turn():
            self.assertEqual(self.field(128), "3 -")
        self.assertEqual(self.field(16), "2 one")


class Sharing(LeaseTest):
    def test_threads_share_the_lease(self):
        inside, go_on, ended = threading.Barrier(3), threading.Event(), []

        def loop(name):
            lease = Lease(shared=True)
            try:
                with lease.job(name):
                    inside.wait(PATIENCE_S)
                    go_on.wait(PATIENCE_S)
                with lease.job(name):
                    ended.append("a job began after the order to leave")
            except Retired:
                ended.append(name)
            finally:
                lease.close()

        threads = [threading.Thread(target=loop, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        inside.wait(PATIENCE_S)  # both are in a job at one time
        self.assertFalse(self.free())
        self.order(b"X")
        go_on.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertEqual(sorted(ended), ["a", "b"])
        self.assertTrue(self.free())

    def test_threads_see_each_others_labels(self):
        a, b = self.lease(shared=True), self.lease(shared=True)
        for lease in a, a, b:
            lease.label("x")
        self.assertEqual(self.field(128), "3 x")

    def test_other_programs_do_not_inherit_it(self):
        self.assertFalse(os.get_inheritable(self.lease()._fd))

    def test_a_forked_helper_keeps_it_held(self):
        lease = Lease()
        reader, writer = os.pipe()
        with lease.job():
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)
            lease.close()  # as if the worker had died
            self.assertFalse(self.free())
        os.close(writer)
        os.close(reader)
        os.waitpid(pid, 0)
        self.assertTrue(self.free())


class Source(unittest.TestCase):
    def test_is_python_3_6(self):
        with open(ebb_worker.__file__, encoding="utf-8") as source:
            ast.parse(source.read(), feature_version=(3, 6))


if __name__ == "__main__":
    unittest.main(verbosity=2)
