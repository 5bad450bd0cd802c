#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker of the demo: an ordinary program that parses package lists into objects, and keeps what it has parsed.

    demo_worker.py reports|thumbs SPOOL PACKAGES

A job is a place in the file PACKAGES, for `reports` with the kind of report. Nothing here frees memory on purpose.
"""
import collections
import hashlib
import os
import sys
import zlib

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [HERE, os.path.join(HERE, "../../user/sdk/python")]
import ebb_worker  # noqa: E402
from spool import Spool  # noqa: E402

REPORT_BYTES = 3 << 19  # of the lists, for one report
THUMB_BYTES = 128 << 10


def read(packages, at, n):
    """n bytes from there on; a short file is read around."""
    with open(packages, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(at % size)
        data = file.read(n)
        while len(data) < n:
            file.seek(0)
            data += file.read(n - len(data))
    return data


def parse(text):
    """Paragraphs of `Key: value` lines, with the dependencies taken apart."""
    packages = []
    for paragraph in text.split("\n\n")[1:-1]:  # the first and the last may be torn
        fields, key = {}, None
        for line in paragraph.split("\n"):
            if line[:1] in " \t":
                if key:
                    fields[key] += "\n" + line
            else:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        fields["depends"] = [word.split()[0] for word in fields.get("Depends", "").split(",") if word.strip()]
        packages.append(fields)
    return packages


def size_by_section(packages):
    total = collections.Counter()
    for package in packages:
        size = package.get("Installed-Size", "0")
        total[package.get("Section", "?")] += int(size) if size.isdigit() else 0
    return total


def most_wanted(packages):
    return collections.Counter(name for package in packages for name in package["depends"])


def maintainers(packages):
    return collections.Counter(package.get("Maintainer", "?") for package in packages)


REPORTS = {"size-by-section": size_by_section, "most-wanted": most_wanted, "maintainers": maintainers}


class Worker:
    def __init__(self, kind, spool, packages):
        self.kind, self.spool, self.packages = kind, Spool(spool), packages
        self.lease = ebb_worker.Lease()
        self.cache = {}  # the leak: every job adds to it, and nothing is ever dropped

    def report(self, item):
        kind, at = item.text().split()
        self.cache[item.name] = parse(read(self.packages, int(at), REPORT_BYTES).decode("utf-8", "replace"))
        return REPORTS[kind](self.cache[item.name]).most_common(3)

    def thumb(self, item):
        data = zlib.compress(read(self.packages, int(item.text()), THUMB_BYTES))
        self.cache[item.name] = hashlib.sha256(data).hexdigest()
        return self.cache[item.name]

    def do(self, item, work):
        item.started()
        work(item)
        item.done()

    def fetch_then_lock(self):
        """Reports. The spool delivers again what was not acknowledged, so a claim may be given up."""
        while self.spool.is_open():
            item = self.spool.claim(timeout=1)
            if not item:
                continue
            try:
                with self.lease.job(item.text().split()[0]):
                    self.do(item, self.report)
            except ebb_worker.Retired:
                item.put_back()
                raise

    def lock_then_fetch(self):
        """Thumbs, as if the queue forgot what it has handed out: nothing is claimed without the lease."""
        while self.spool.is_open():
            with self.lease.turn() as turn:
                item = self.spool.claim(timeout=1)
                if item:
                    turn.label("thumb")
                    self.do(item, self.thumb)

    def run(self):
        self.lease.ready()
        (self.fetch_then_lock if self.kind == "reports" else self.lock_then_fetch)()


if __name__ == "__main__":
    Worker(*sys.argv[1:]).run()
