#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Is the unit one that systemd understands, and how exposed does it leave the service, alone and with the drop-in that opens it?"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
UNITS = os.path.join(TOP, "tools/systemd")
# In tenths, as systemd-analyze counts.
ALONE, OPENED = 29, 70
# What ebbd, or jobs in general, could not live with.
NEVER = {"PrivateNetwork=", "PrivateTmp=", "ProcSubset=", "PrivateUsers=", "User=/DynamicUser=", "MemoryDenyWriteExecute=",
         "IPAddressDeny="}
# What the drop-in gives back to jobs.
GIVEN_BACK = {"NoNewPrivileges=", "PrivateDevices=", "ProtectProc=", "SystemCallArchitectures=",
              "RestrictNamespaces=~user", "RestrictAddressFamilies=~AF_NETLINK", "SystemCallFilter=~@mount"}


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


def offline():
    """Why not, or None."""
    if not shutil.which("systemd-analyze"):
        return "no systemd-analyze"
    known = analyze("--help").stdout
    return None if "--offline" in known and "--threshold" in known else "systemd-analyze is older than 250"


REASON = offline()


@unittest.skipIf(REASON, REASON)
class UnitFile(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="ebb-unit.")
        self.addCleanup(shutil.rmtree, self.root)
        for program in "sbin/ebbd", "bin/ebb":
            path = os.path.join(self.root, program)
            os.makedirs(os.path.dirname(path))
            with open(path, "w", encoding="ascii") as file:
                file.write("#!/bin/true\n")
            os.chmod(path, 0o755)
        with open(os.path.join(UNITS, "ebbd.service"), encoding="utf-8") as file:
            text = file.read().replace("@PREFIX@", self.root)
        self.assertNotIn("@PREFIX@", text)
        self.unit = os.path.join(self.root, "ebbd.service")
        with open(self.unit, "w", encoding="utf-8") as file:
            file.write(text)

    def open(self):
        os.mkdir(self.unit + ".d")
        shutil.copy(os.path.join(UNITS, "opened.conf"), self.unit + ".d")

    def verify(self):
        done = analyze("verify", "--man=no", self.unit)
        # Of the machine that this runs on, not of our files.
        said = [line for line in done.stderr.splitlines() if self.root in line or "ebbd.service" in line
                or "opened.conf" in line]
        said = [line for line in said if "Unknown key 'DelegateSubgroup'" not in line]  # of 254, and ignored before
        self.assertEqual(said, [])

    def exposure(self, at_most):
        """Found at most so exposed; the checks that are not met."""
        done = analyze("security", "--offline=true", f"--threshold={at_most}", self.unit)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)
        told = analyze("security", "--offline=true", "--json=short", self.unit)
        return {check["name"] for check in json.loads(told.stdout) if not check["set"] and check["exposure"]}

    def test_alone(self):
        self.verify()
        left = self.exposure(ALONE)
        self.assertLessEqual(NEVER, left)
        self.assertFalse(GIVEN_BACK & left)

    def test_opened(self):
        self.open()
        self.verify()
        left = self.exposure(OPENED)
        self.assertLessEqual(NEVER | GIVEN_BACK, left)
        self.assertFalse({"ProtectKernelModules=", "ProtectKernelLogs=", "ProtectHostname=", "PrivateMounts=", "UMask=",
                          "SystemCallFilter=~@module", "SystemCallFilter=~@reboot", "SystemCallFilter=~@swap"} & left)


if __name__ == "__main__":
    unittest.main(verbosity=2)
