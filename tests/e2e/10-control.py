#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Every FIFO command, good and bad, in pieces, glued together, 4 KiB long, binary, 50,000 in a burst while workers
exit: is each answered in the audit, and are the pools at size afterwards?

Actors: ebbd and ebb-watch; pools a (three workers) and b (one); the test as several deploy scripts that write into the
FIFO.
"""
# once: what is said and answered does not depend on the sensor
# exclusive: a flood
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import random  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from ebbtest import PATIENCE, Ebb, check, main, wait_for  # noqa: E402

POOLS = {"a": {"size": 3}, "b": {"size": 1}}
FLOOD, WRITERS = 50_000, 5

# line; sizes of a and b afterwards
GOOD = [("retire a/0", 3, 1), ("retire a/1 gen={gen}", 3, 1), ("retire a refill=after", 3, 1),
        ("retire  a/2\trefill=no", 2, 1), ("refill a/2", 3, 1), ("refill a", 3, 1), ("scale a 4", 4, 1),
        ("scale a -1", 3, 1), ("scale a +1", 4, 1), ("scale a 3", 3, 1), ("drain b", 3, 0), ("resume b", 3, 1),
        ("drain all", 0, 0), ("resume all", 3, 1), ("hold a", 3, 1), ("hold a what=retire for=1s", 3, 1),
        ("hold all what=refill for=500ms", 3, 1), ("hold b what=all for=1s", 3, 1), ("resume all", 3, 1),
        ("   retire b/0", 3, 1), ("retire b/0 # a comment", 3, 1), ("note watch text=hello", 3, 1), ("reload", 3, 1)]

# line, code of the refusal (None: any)
BAD = [("frobnicate a", "unknown-verb"), ("RETIRE a", "unknown-verb"), ("retire", "missing-word"),
       ("retire nosuch", "no-such-pool"), ("retire a/9", "no-such-slot"), ("retire a/-1", "bad-slot"),
       ("retire a/x", "bad-slot"), ("retire a/", "bad-slot"), ("retire a/99999999999999999999", "bad-slot"),
       ("retire ../../etc/passwd", None), ("retire %s%n%s", "bad-pool"), ("retire a/0 gen=x", "bad-value"),
       ("retire a/0 refill=maybe", "bad-value"), ("retire a/0 what=all", "bad-option"),
       ("retire a/0 b/0", "extra-word"),
       ("retire all", None), ("scale a", "missing-word"), ("scale a many", "bad-value"), ("scale a 99999999", None),
       ("scale a -99", "bad-value"), ("scale all 3", None), ("hold a for=ever", "bad-value"),
       ("hold a for=5", "bad-value"), ("hold a what=nothing", "bad-value"), ("drain", "missing-word"),
       ("drain nosuch", "no-such-pool"), ("resume", "missing-word"), ("reload now", "extra-word"),
       ("stop it", "extra-word"), ("roll a batch=0", "bad-value"), ("limit a", "missing-word"),
       ("adopt a 0", "bad-value"), ("retire a/0 refill=second", "bad-value"), ("refill", "missing-word"),
       ("refill a/7", "no-such-slot"), ("a" * 400, "unknown-verb"), ("retire " + "p" * 300, "bad-pool"),
       ("retire a/0 gen=4000000000", "other-generation"), ("note nonsense", None),
       ("hold all what=retire for=99999999999999d", "bad-value")]


def answered(ebb, name, wanted):
    record = ebb.wait_audit(PATIENCE, lambda r: r["ev"] in ("done", "refused"), id=name)
    check(record["ev"] == wanted, f"{name}: {record}")
    return record


def at_size(ebb, sizes):
    def same():
        return all(len([w for w in pool["workers"] if w["state"] in ("ready", "idle", "busy")]) == sizes[pool["name"]]
                   for pool in ebb.status()["pools"])
    wait_for(same, PATIENCE, f"pools at size {sizes}")


def each_good_command():
    with Ebb(POOLS) as ebb:
        ebb.ready()
        for number, (line, *sizes) in enumerate(GOOD):
            line = line.format(gen=ebb.slot("a", 1).get("generation"))
            words, hash_, comment = line.partition("#")
            ebb.send(f"{words.rstrip()} id=good-{number} {hash_}{comment}")
            answered(ebb, f"good-{number}", "done")
            check(ebb.audit(ev="accepted", id=f"good-{number}"), f"{line}: accepted first")
            at_size(ebb, dict(zip("ab", sizes)))
        before = len(ebb.audit())
        ebb.send("# nothing but a comment")
        ebb.send("")
        ebb.send("   \t ")
        answered(ebb, ebb.command("reload")["id"], "done")
        check(not [r for r in ebb.audit()[before:] if r["ev"] == "refused"], "blanks and comments are no commands")


def each_bad_command():
    with Ebb(POOLS) as ebb:
        ebb.ready()
        pids = [w["pid"] for p in ebb.status()["pools"] for w in p["workers"]]
        for number, (line, code) in enumerate(BAD):
            ebb.send(f"{line} id=bad-{number}")
            record = answered(ebb, f"bad-{number}", "refused")
            check(record.get("text") == f"{line} id=bad-{number}", f"{line}: what was refused: {record}")
            check(record["reason"] and code in (None, record["reason"]), f"{line}: {code} expected: {record}")
            check(not ebb.audit(ev="accepted", id=f"bad-{number}"), f"{line}: not accepted")
        for name in ("x" * 200, "a/b", "a=b", "", "\"quoted\""):
            before = len(ebb.audit(ev="refused"))
            ebb.send(f"reload id={name}")
            wait_for(lambda n=before: len(ebb.audit(ev="refused")) > n, PATIENCE, f"bad id {name!r} is refused")
        check(pids == [w["pid"] for p in ebb.status()["pools"] for w in p["workers"]], "nothing else changes")


def pieces_and_glue():
    with Ebb(POOLS) as ebb:
        ebb.ready()
        fd = os.open(os.path.join(ebb.run_dir, "control"), os.O_WRONLY)
        for byte in b"hold a what=retire for=1s id=pieces\n":
            os.write(fd, bytes([byte]))
            time.sleep(0.002)
        answered(ebb, "pieces", "done")
        os.write(fd, b"".join(b"hold b for=1s id=glued-%d\n" % n for n in range(100)) + b"hold a for=1s id=torn")
        for n in range(100):
            answered(ebb, f"glued-{n}", "done")
        check(not ebb.audit(id="torn"), "half a line is no command")
        os.write(fd, b"-off\n")
        answered(ebb, "torn-off", "done")
        os.close(fd)


def overlong_and_binary():
    with Ebb(POOLS) as ebb:
        ebb.ready()
        junk = [(b"retire a/0 " + b"x" * 4085, "too-long"), (b"retire a/0 #" + b"y" * 500, "too-long"),
                (b"retire a/0\0 id=nul", "binary"), (b"\x1b[2J retire a/0", "binary"), (bytes(range(1, 10)), "binary"),
                (b"retire a/0\r", "binary"), (b"\xff\xfe\xfd", None), (b"retire \xc3\xa9t\xc3\xa9", None),
                (b"z" * 70_000, "too-long")]
        for number, (line, code) in enumerate(junk):
            before = len(ebb.audit(ev="refused"))
            ebb.send(line + b"\nhold b for=1s id=after-%d\n" % number)
            answered(ebb, f"after-{number}", "done")
            refused = ebb.audit(ev="refused")[before:]
            check(len(refused) == 1, f"{line[:40]!r}: refused once: {refused}")
            check(code is None or refused[0]["reason"] == code, f"{line[:40]!r}: {code} expected: {refused}")
            check(0 < len(refused[0]["text"]) <= 512, f"with the text, as far as it was kept: {refused}")
        check(not ebb.audit(ev="retire"), "none of it was obeyed")
        random.seed(2)
        for _ in range(20):
            ebb.send(random.randbytes(5000))
        ebb.send(b"\nhold b for=1s id=noise\n")
        answered(ebb, "noise", "done")
        at_size(ebb, {"a": 3, "b": 1})


def taken_back():
    """What is due in a job and wanted again stays."""
    with Ebb(POOLS) as ebb:
        ebb.ready()
        for out, back in (("scale a -1", "scale a +1"), ("drain a", "resume a")):
            job = ebb.order("a", 2, ["work", 3])
            start = ebb.wait_journal(PATIENCE, ev="start", order=job)
            ebb.send(out)
            ebb.wait_audit(PATIENCE, ev="due", pool="a", slot=2, pid=start["pid"])
            ebb.send(back)
            check(ebb.done(job)["pid"] == start["pid"], "the job goes on")
            check(ebb.done(ebb.order("a", 2, ["work", 0.1]))["pid"] == start["pid"], f"{back}: it is kept")
            ebb.ready()
        check(not ebb.audit(ev="exited", slot=2) and not ebb.signals(slot=2), "nobody touched it")


def flood():
    lines = ["retire a/{r} id={id}", "retire a id={id}", "hold b what=refill for=1s id={id}", "resume b id={id}",
             "frobnicate id={id}", "retire nosuch/3 id={id}", "scale b {s} id={id}", "refill a id={id}",
             "drain id={id}", "retire b/0 id={id}"]

    def write(ebb, writer):
        source = random.Random(writer)
        fd = os.open(os.path.join(ebb.run_dir, "control"), os.O_WRONLY)
        for n in range(FLOOD // WRITERS):
            line = lines[source.randrange(len(lines))]
            line = line.format(r=source.randrange(4), s=source.randrange(1, 3), id=f"f{writer}-{n}")
            os.write(fd, line.encode() + b"\n")
        os.close(fd)

    with Ebb(POOLS) as ebb:
        ebb.ready()
        writers = [threading.Thread(target=write, args=(ebb, n)) for n in range(WRITERS)]
        for thread in writers:
            thread.start()
        answers = {}
        seen = 0

        def settled():
            nonlocal seen
            records = ebb.audit()
            for record in records[seen:]:
                if record["ev"] in ("done", "refused") and str(record.get("id", "")).startswith("f"):
                    answers.setdefault(record["id"], []).append(record["ev"])
            seen = len(records)
            return len(answers) >= FLOOD
        try:
            wait_for(settled, 120, f"all {FLOOD} commands are answered")
        finally:
            print(f"{len(answers)} answered, {len(ebb.audit(ev='exited'))} workers have gone meanwhile")
        for thread in writers:
            thread.join()
        check(all(len(events) == 1 for events in answers.values()), "each exactly once")
        check(len(ebb.audit(ev="exited")) > 0, "workers exited meanwhile")
        for line in ("resume all", "scale b 1", "refill a"):
            answered(ebb, ebb.command(line)["id"], "done")
        at_size(ebb, {"a": 3, "b": 1})


main(each_good_command, each_bad_command, pieces_and_glue, overlong_and_binary, taken_back, flood)
