# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The jobs of make bench-queue: three kinds, over the machine's package lists, and the list of them that every run gets.

    reports   parse some MiB of the lists, index all words, and find for each package the one that resembles it most. What
              was parsed and indexed is kept, as a cache that nobody ever bounded: 10 to 45 MiB each.
    imports   parse a part of a list into rows, and query them in a database; the rows are kept: 1 to 2 MiB each.
    mails     render one package's text, compress and sign it; a copy is kept: a few KiB.

Nothing here frees memory on purpose, and nothing knows of ebb or any other tool: each runs these same functions.
"""
import collections
import hashlib
import os
import random
import re
import sqlite3
import sys
import zlib

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../demo"))
from demo_worker import parse, read  # noqa: E402

POOLS = {"reports": 4, "imports": 2, "mails": 2}  # job types, and workers of each
PER_SECOND = {"reports": 0.8, "imports": 3.0, "mails": 18.0}
REPORT_BYTES = 1 << 20, 5 << 20  # of the lists, least and most
IMPORT_BYTES, MAIL_BYTES = 256 << 10, 16 << 10
SEED = 1
WORD = re.compile(r"[a-z][a-z0-9+-]{3,}")
COMMON = 1000  # words of more packages than this tell nothing

CACHE = {}  # the leak: keyed by the job's arguments, which never come twice

Job = collections.namedtuple("Job", "at pool name text")


def schedule(seconds):
    """Every job in the order of arrival, `at` in seconds. The same each time."""
    chance, jobs = random.Random(SEED), []
    for pool, rate in PER_SECOND.items():
        for i in range(int(seconds * rate)):
            size = {"reports": chance.randrange(*REPORT_BYTES), "imports": IMPORT_BYTES, "mails": MAIL_BYTES}[pool]
            text = f"{chance.randrange(1 << 30)} {size}"
            jobs.append(Job((i + chance.random()) / rate, pool, f"{pool}-{i:05}", text))
    return sorted(jobs)


def words_of(package):
    return set(WORD.findall((package.get("Description", "") + " " + package.get("Tag", "") + " " +
                             package.get("Depends", "")).lower()))


def index(packages):
    """word -> the packages that have it."""
    at = collections.defaultdict(list)
    for i, package in enumerate(packages):
        package["words"] = words_of(package)
        for word in package["words"]:
            at[word].append(i)
    return at


def likest(packages, at):
    """For each package the one of the same section that shares most words with it."""
    pairs = []
    for i, package in enumerate(packages):
        shared = collections.Counter()
        for word in package["words"]:
            if len(at[word]) <= COMMON:
                shared.update(at[word])
        del shared[i]
        same = [(n, j) for j, n in shared.items() if packages[j].get("Section") == package.get("Section")]
        if same:
            n, j = max(same)
            pairs.append((n, package.get("Package"), packages[j].get("Package")))
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))


def by_section(packages):
    groups = collections.defaultdict(list)
    for package in packages:
        size = package.get("Installed-Size", "0")
        groups[package.get("Section", "?")].append(int(size) if size.isdigit() else 0)
    return sorted(((sum(sizes), section) for section, sizes in groups.items()), reverse=True)


def report(lists, at, size):
    packages = parse(read(lists, at, size).decode("utf-8", "replace"))
    words = index(packages)
    CACHE["report", at, size] = packages, words, likest(packages, words), by_section(packages)
    return len(packages)


def import_rows(lists, at, size):
    rows = parse(read(lists, at, size).decode("utf-8", "replace"))
    CACHE["import", at, size] = rows
    with sqlite3.connect(":memory:") as database:
        database.execute("create table package (name text, section text, version text, depends text)")
        database.execute("create index by_name on package (section, name)")
        database.execute("create table word (word text, name text)")
        for row in rows:
            name = row.get("Package")
            database.execute("insert into package values (?, ?, ?, ?)",
                             (name, row.get("Section"), row.get("Version"), ",".join(row["depends"])))
            database.executemany("insert into word values (?, ?)", [(word, name) for word in words_of(row)])
        database.execute("create index by_word on word (word, name)")
        top = database.execute("select section, word, count(*) from package join word using (name) "
                               "group by 1, 2 order by 3 desc limit 20").fetchall()
    database.close()
    return top


def mail(lists, at, size):
    text = read(lists, at, size)
    body = zlib.compress(text, 9)
    CACHE["mail", at, size] = body
    return hashlib.pbkdf2_hmac("sha256", body, b"bench", 80000).hex()


DO = {"reports": report, "imports": import_rows, "mails": mail}


class Log:
    """Who began and ended which job, and when: one short line each, in one write, so that lines of many stay whole."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def note(self, what, name, ns):
        os.write(self.fd, f"{what} {name} {os.getpid()} {ns}\n".encode())
