#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Do the benchmarks count jobs right, and draw what they are given?"""
import collections
import os
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/bench")
sys.path.insert(1, BENCH)
from plot import Plot, steps, table  # noqa: E402
from queue_jobs import POOLS  # noqa: E402
from queue_journal import Journal  # noqa: E402

PATIENCE_S = 20


def journal(*lines):
    with tempfile.NamedTemporaryFile("w", suffix=".log") as file:
        file.write("".join(f"{line} 1000000000\n" for line in lines))
        file.flush()
        return Journal(file.name)


class Counts(unittest.TestCase):
    def test_a_job_that_ends_counts_once(self):
        found = journal("begin a 1", "end a 1", "begin b 2", "end b 2")
        self.assertEqual((set(found.ended_at), found.twice, found.interrupted(lost=0)), ({"a", "b"}, 0, 0))
        self.assertEqual(found.workers, {"1", "2"})

    def test_a_job_whose_worker_was_killed_and_that_was_done_again(self):
        found = journal("begin a 1", "begin a 2", "end a 2")
        self.assertEqual((found.twice, found.interrupted(lost=0)), (1, 1))

    def test_a_job_whose_worker_was_killed_and_that_nobody_has(self):
        self.assertEqual(journal("begin a 1").interrupted(lost=1), 1)

    def test_a_job_that_goes_on_at_the_end_is_not_interrupted(self):
        self.assertEqual(journal("begin a 1", "begin b 2", "end b 2").interrupted(lost=0), 0)

    def test_a_lost_job_and_one_that_was_done_again_are_both_interrupted(self):
        self.assertEqual(journal("begin a 1", "begin b 2", "begin b 3", "end b 3").interrupted(lost=1), 2)

    def test_no_worker_ever_came(self):
        self.assertEqual(Journal("/nonexistent").ended_at, {})


class Keeping(unittest.TestCase):
    def test_who_ends_is_started_again(self):
        started = collections.Counter()
        keeper = [sys.executable, "-B", os.path.join(BENCH, "queue_keeper.py"), "/bin/sh", "-c", "echo %POOL%; sleep 0.1"]
        with subprocess.Popen(keeper, stdout=subprocess.PIPE, text=True) as process:
            watchdog = threading.Timer(PATIENCE_S, process.kill)
            watchdog.start()
            for line in process.stdout:
                started[line.strip()] += 1
                if all(started[pool] > 2 * size for pool, size in POOLS.items()):
                    break
            process.terminate()
            watchdog.cancel()
        self.assertTrue(all(started[pool] > 2 * size for pool, size in POOLS.items()), started)


class Pictures(unittest.TestCase):
    def test_steps_reach_over_the_top(self):
        for top in 0, 0.3, 1, 7, 99, 100, 1023, 2050:
            values = steps(top)
            self.assertEqual(values[0], 0)
            self.assertTrue(values[-1] >= top and len(values) <= 8, (top, values))

    def test_plot_is_well_formed_and_stays_within(self):
        with tempfile.NamedTemporaryFile(suffix=".svg") as file:
            Plot("a < b & c", "s", "MiB", [(str(i), [(0, 1), (9, 10 * i)]) for i in range(9)], [(200, "limit")]).write(file.name)
            lines = xml.etree.ElementTree.parse(file.name).findall(".//{*}polyline")
        self.assertEqual(len(lines), 9)
        for line in lines:
            for point in line.get("points").split():
                x, y = map(float, point.split(","))
                self.assertTrue(0 <= x <= 960 and 0 <= y <= 480, point)

    def test_columns_are_flush(self):
        lines = table([("", "n"), ("long name", "1"), ("b", "100")], ["a note"]).splitlines()
        self.assertEqual([len(line) for line in lines[:3]], [len(lines[0])] * 3)
        self.assertEqual(lines[3], "  a note")


if __name__ == "__main__":
    unittest.main()
