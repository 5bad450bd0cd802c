#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The computations of make bench-small: for each package of the lists the one that resembles it most, piece by piece. A piece
is idempotent: its result is a file, which appears whole or not at all. It ends when it is done, and needs no lease.

    small_piece.py whole CATEGORY PIECES FOLDER LISTS    all of them, in one process, which keeps what it has parsed
    small_piece.py piece CATEGORY PIECES FOLDER LISTS    the next one; exit status 75 if there is none
"""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
from queue_jobs import CACHE, report  # noqa: E402

MOST = 100  # pieces of a category
PIECE_BYTES = 2 << 20  # of the lists, which are read round and round
NOTHING_TO_DO = os.EX_TEMPFAIL


def place(folder, category, piece):
    return os.path.join(folder, f"{category}.{piece:02}")


def left(folder, category, pieces):
    return [piece for piece in range(pieces) if not os.path.exists(place(folder, category, piece))]


def do(category, piece, folder, lists):
    at = (category * MOST + piece) * PIECE_BYTES
    report(lists, at, PIECE_BYTES)
    pairs = CACHE["report", at, PIECE_BYTES][2]
    to = place(folder, category, piece)
    with open(to + ".new", "w", encoding="utf-8") as file:
        file.writelines(f"{n} {one} {other}\n" for n, one, other in pairs)
    os.rename(to + ".new", to)


def main(what, category, pieces, folder, lists):
    category = int(category)
    todo = left(folder, category, int(pieces))
    if not todo and what == "piece":
        sys.exit(NOTHING_TO_DO)
    for piece in todo if what == "whole" else todo[:1]:
        do(category, piece, folder, lists)


if __name__ == "__main__":
    main(*sys.argv[1:])
