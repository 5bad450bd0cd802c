#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The shell worker against a lease that this test plays ebbd for."""
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../user/sdk/shell/worker.sh")
PATIENCE_S = 20


@unittest.skipUnless(shutil.which("flock"), "no flock(1)")
class ShellWorker(unittest.TestCase):
    def setUp(self):
        self.spool = tempfile.mkdtemp(prefix="ebb-spool.")
        self.addCleanup(shutil.rmtree, self.spool, True)  # ends a worker that is left, too
        for name in "new", "claimed", "done":
            os.mkdir(os.path.join(self.spool, name))
        self.path = os.path.join(self.spool, "lease")
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, self.fd)
        os.pwrite(self.fd, b"R\n" + bytes(254), 0)

    def order(self, byte):
        os.pwrite(self.fd, byte, 0)

    def lock(self, operation=fcntl.LOCK_EX):
        fcntl.flock(self.fd, operation)

    def free(self):
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return True

    def put(self, *names):
        for name in names:
            with open(os.path.join(self.spool, "new", name), "w", encoding="ascii"):
                pass

    def there(self, folder):
        return sorted(os.listdir(os.path.join(self.spool, folder)))

    def until(self, condition, what):
        until = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), until, what)
            time.sleep(0.01)

    def worker(self, *command, lease=True, script=WORKER):
        environ = {key: value for key, value in os.environ.items() if not key.startswith("EBB_")}
        if lease:
            environ["EBB_LEASE"] = self.path
        process = subprocess.Popen([script, self.spool, *command], env=environ, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """With its command or its sleep."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    # A job that says that it has begun, and ends when told.
    JOB = ["sh", "-c", 'touch "$0/begun"; while ! [ -e "$0/end" ]; do sleep 0.02; done']

    def job_begun(self):
        return os.path.exists(os.path.join(self.spool, "begun"))

    def end_job(self):
        with open(os.path.join(self.spool, "end"), "w", encoding="ascii"):
            pass

    def test_waits_to_be_let_in_then_works(self):
        inode = ":%d " % os.fstat(self.fd).st_ino

        def awaited():
            with open("/proc/locks", encoding="ascii") as locks:
                return any("-> FLOCK" in line and inode in line for line in locks)

        self.lock()
        self.put("a", "b", "c")
        self.worker("true")
        self.until(awaited, "the worker does not come to its lease")
        self.assertEqual(self.there("new"), ["a", "b", "c"])
        self.lock(fcntl.LOCK_UN)
        self.until(lambda: self.there("done") == ["a", "b", "c"], "the jobs are not done")
        self.until(self.free, "an idle worker keeps its lease")

    def test_never_retired_in_a_job(self):
        self.put("a-1.txt", "b")
        worker = self.worker(*self.JOB, self.spool)
        self.until(self.job_begun, "no job begins")
        self.assertFalse(self.free())
        self.assertEqual(os.pread(self.fd, 4, 16), b"2 a\n")
        self.order(b"X")
        self.assertEqual((self.there("claimed"), self.there("done")), (["a-1.txt"], []))
        self.assertIsNone(worker.poll())
        self.end_job()
        self.assertEqual(worker.wait(PATIENCE_S), 0)
        self.assertEqual((self.there("new"), self.there("done")), (["b"], ["a-1.txt"]))
        self.assertTrue(self.free())

    def test_goes_on_when_told_to_give_memory_back(self):
        """A shell that keeps a helper running lets it go, under its lease, before the job."""
        with open(WORKER, encoding="utf-8") as file:
            text = file.read()
        own = "lease_trim() {\n  :\n}"
        self.assertIn(own, text)
        script = os.path.join(self.spool, "worker.sh")
        held = f"flock -n '{self.path}' true || kill $helper"
        with open(script, "w", encoding="utf-8") as file:
            file.write(text.replace(own, f"sleep 1000 9>&- & helper=$!; echo $helper >'{self.spool}/helper'\n"
                                         f"lease_trim() {{\n  {held}\n}}"))
        os.chmod(script, 0o755)
        worker = self.worker("true", script=script)
        self.put("a")
        self.until(lambda: self.there("done") == ["a"], "the first job is not done")
        with open(os.path.join(self.spool, "helper"), encoding="utf-8") as file:
            helper = f"/proc/{file.read().strip()}/stat"

        def gone():
            try:
                with open(helper, encoding="utf-8") as file:
                    return file.read().split()[2] == "Z"
            except (FileNotFoundError, ProcessLookupError):
                return True
        self.assertFalse(gone())
        self.order(b"T")
        self.until(gone, "nothing is given back")
        self.order(b"R")
        self.put("b")
        self.until(lambda: self.there("done") == ["a", "b"], "the next job is not done")
        self.assertIsNone(worker.poll())

    def test_a_fenced_worker_does_not_wait(self):
        self.put("a")
        self.order(b"X")
        self.lock()
        self.assertEqual(self.worker("true").wait(PATIENCE_S), 0)
        self.assertEqual(self.there("new"), ["a"])

    def test_the_job_outlives_its_shell_with_the_lease(self):
        self.put("a")
        worker = self.worker(*self.JOB, self.spool)
        self.until(self.job_begun, "no job begins")
        worker.kill()
        worker.wait()
        self.assertFalse(self.free())
        self.end_job()
        self.until(self.free, "the lease is not let go")

    def test_the_label_of_a_turn_without_a_job(self):
        self.put("a")
        self.worker("true")
        self.until(lambda: os.pread(self.fd, 4, 128) == b"3 -\n", "the label of the last job stands")
        self.assertEqual(os.pread(self.fd, 4, 16), b"2 a\n")

    def test_labels_stay_within_their_fields(self):
        self.put("\n" + "x" * 120)
        self.worker("true")
        self.until(lambda: self.there("done"), "the job is not done")
        self.assertEqual(os.pread(self.fd, 112, 16), b"2 ?" + b"x" * 89 + b"\n" + bytes(19))

    def test_unmanaged_without_the_variable(self):
        self.put("a")
        self.lock()
        self.worker("true", lease=False)
        self.until(lambda: self.there("done") == ["a"], "the job is not done")

    def test_a_failed_job_stays_claimed(self):
        self.put("a", "b")
        self.worker("sh", "-c", '[ "${0##*/}" = b ]')
        self.until(lambda: self.there("done") == ["b"], "the second job is not done")
        self.assertEqual(self.there("claimed"), ["a"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
