#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""A worker of make bench-leak: each job compresses and signs a mail, and keeps some KiB that it should not. Job numbers come
from a FIFO, 8 bytes each, and go into the log when done.

    leak_worker.py FIFO LISTS LOG ROUNDS

ROUNDS of the signature's key: 4000 make a job of 1.2 to 2.5 ms, by machine, 16000 one of 4 to 6.

Lock, then fetch: the FIFO forgets what it has handed out.
"""
import hashlib
import os
import select
import sys
import zlib

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../user/sdk/python"))
import ebb_worker  # noqa: E402

MAIL_BYTES = 24 << 10
NUMBER_BYTES = 8
SENT = {}  # the leak


def archive(lists, size, number, rounds):
    text = os.pread(lists, MAIL_BYTES, number * MAIL_BYTES % max(1, size - MAIL_BYTES))
    body = zlib.compress(text, 9)
    SENT[number] = body, hashlib.pbkdf2_hmac("sha256", body, b"bench", rounds)


def main(fifo, lists, log, rounds):
    rounds = int(rounds)
    fifo = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    lists = os.open(lists, os.O_RDONLY)
    log = os.open(log, os.O_WRONLY | os.O_APPEND)
    size = os.fstat(lists).st_size
    lease = ebb_worker.Lease()
    lease.ready()
    while True:
        with lease.turn() as turn:
            try:
                number = os.read(fifo, NUMBER_BYTES)
            except BlockingIOError:
                select.select([fifo], [], [], 1)
                continue
            if number:
                turn.label("mail")
                archive(lists, size, int.from_bytes(number, "little"), rounds)
                os.write(log, number)


if __name__ == "__main__":
    main(*sys.argv[1:])
