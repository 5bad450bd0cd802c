#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker as frameworks make them that know nothing of leases: told to go, the parent takes no more jobs, waits for the
child that works on one, and ends; told a second time, it ends that child, and itself, at once.

    prefork.py SPOOL

Orders and journal are those of worker.py. A child has the signals of any program: one that is sent to it, or to the whole
group, costs its job.
"""
import os
import signal
import sys
import types

from worker import Worker  # beside this file: the test puts it there

TO_GO = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT


class Prefork(Worker):
    child, stops = 0, False

    def on_signal(self, number, _frame):
        self.journal.write("signal", signal=signal.Signals(number).name, job=self.child or None)
        if number not in TO_GO:
            return
        if self.stops:
            self.journal.write("hard")
            if self.child:
                os.kill(self.child, signal.SIGKILL)
            os._exit(1)
        self.stops = True

    def job(self, claimed, order):
        os.unlink(claimed)
        self.child = os.fork()
        if self.child == 0:
            for number in (*TO_GO, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            self.do(order, lease=False)
            os._exit(0)
        _pid, status = os.waitpid(self.child, 0)
        self.child = 0
        if status:
            self.journal.write("lost", order=order["id"], status=status)

    def main(self):
        for number in (*TO_GO, signal.SIGHUP):
            signal.signal(number, self.on_signal)
        self.journal.write("up", environ=dict(os.environ))
        while not self.stops:
            claim = self.fetch(timeout=0.05)
            if claim:
                self.job(*claim)
        self.journal.write("exit", code=0)


if __name__ == "__main__":
    Prefork(types.SimpleNamespace(spool=sys.argv[1], pattern="prefork")).main()
