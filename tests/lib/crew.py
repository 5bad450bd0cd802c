# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Of a pool `reports` whose workers wait, take over and go: what it is like, and what was true of it all the time."""
import os

from ebbtest import PATIENCE, check, leftovers, wait_for
from machine import write


def workers(ebb):
    """slot -> worker, of those that there are."""
    return {w["slot"]: w for w in ebb.pool("reports")["workers"] if w["pid"]}


def pids(ebb, state=None):
    return {slot: w["pid"] for slot, w in workers(ebb).items() if state in (None, w["state"])}


def settles(ebb, ready, spares=0):
    """So many serve, so many wait, nobody is on its way out or to be replaced, and nobody else is there."""
    def there():
        pool = ebb.pool("reports")
        there = [w for w in pool["workers"] if w["pid"]]
        return (pool["ready"], pool["spares"], len(there), pool["stale"]) == (ready, spares, ready + spares, 0) and not any(
            w["due"] for w in there) and len(leftovers(ebb.run_dir)) == ready + spares
    wait_for(there, PATIENCE, f"{ready} serve, {spares} wait, and nobody is beside them")


def begin(ebb, slot, name="finish"):
    """A job that has begun, and goes on until finish(): its order, and the worker's pid."""
    order = ebb.order("reports", slot, ["until", os.path.join(ebb.spool, name)])
    return order, ebb.wait_journal(PATIENCE, ev="start", order=order)["pid"]


def finish(ebb, name="finish"):
    write(os.path.join(ebb.spool, name), "")


def answer(ebb, name):
    """(done or refused, reason); None: not answered yet."""
    return next(((r["ev"], r.get("reason")) for r in ebb.audit(id=name) if r["ev"] in ("done", "refused")), None)


def answered(ebb, name):
    return wait_for(lambda: answer(ebb, name), PATIENCE, f"{name} is answered")


def no_signal_in_a_job(ebb):
    check(not [s for s in ebb.signals() if s["job"] is not None], f"no signal within a job: {ebb.signals()}")


def fewest_up(ebb, size):
    """By the workers' own log: how many were up and not told to go, at the least, once `size` had come up."""
    up, counts = set(), []
    for entry in sorted(ebb.journal(), key=lambda e: e["t"]):
        if entry["ev"] == "up":
            up.add(entry["pid"])
        elif entry["ev"] in ("signal", "exit"):
            up.discard(entry["pid"])
        if counts or len(up) >= size:
            counts.append(len(up))
    return min(counts)


def most_there(ebb):
    """By the audit: the largest number of processes at one time."""
    there, most = 0, 0
    for record in ebb.audit(pool="reports"):
        there += (record["ev"] == "refill") - (record["ev"] == "exited")
        most = max(most, there)
    return most


def serving(ebb):
    """By the audit: each record with the number of those that are let in, and are neither fenced nor gone, after it."""
    inside = set()
    for record in ebb.audit(pool="reports"):
        place = record.get("slot"), record.get("generation")
        if record["ev"] == "ready":
            inside.add(place)
        elif record["ev"] in ("fenced", "exited"):
            inside.discard(place)
        yield record, len(inside)


def never_fewer_nor_more(ebb, size):
    """Never more than `size` at work; and who goes is replaced in the turn of ebbd that fences it, by one that was up."""
    records, full = list(serving(ebb)), False
    for at, (record, n) in enumerate(records):
        check(n <= size, f"no more than {size} at work: {record}")
        full |= n == size
        if full and n < size:
            rest = records[at:]
            turn = next((i for i, (r, _) in enumerate(rest) if i and r["ev"] == "exited"), len(rest))
            check(any(m == size for _, m in rest[:turn]), f"one comes as one goes, in the same turn: {record}")
    check(fewest_up(ebb, size) >= size, f"by the workers' own log, never fewer than {size} were up")
    no_signal_in_a_job(ebb)
