#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Which room may include which: one table, checked against every #include of the sources. No arrow runs up."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

MAY_INCLUDE = {
    "include": set(),
    "vmlinux": set(),
    "bpf": {"include", "vmlinux"},
    "user/base": set(),
    "user/core": {"user/base", "include"},
    "user/shm": {"user/base", "include"},
    "user/os": {"user/base", "include"},
    "user/kern": {"user/base", "user/os", "include", "skeleton"},
    "user/ebbd": {"user/base", "user/core", "user/shm", "user/os", "include"},
    "user/watch": {"user/base", "user/core", "user/shm", "user/os", "user/kern", "include"},
    "user/cli": {"user/base", "user/core", "user/shm", "user/os", "include"},
}
# core judges; it may not reach for a clock, a file or a process.
PURE = {"user/core": {"unistd.h", "fcntl.h", "time.h", "sys/stat.h", "sys/mman.h", "dirent.h", "sys/socket.h", "clock.h"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[:2]) if parts[0] == "user" else parts[0]


def owners():
    """Header name as it is written in an #include -> the rooms that have one of that name."""
    found = {}
    for path in ROOT.glob("**/*.h"):
        parts = path.relative_to(ROOT).parts
        if parts[0] not in ("include", "vmlinux", "bpf", "user"):
            continue
        name = "/".join(parts[1:]) if parts[0] == "include" else path.name
        found.setdefault(name, set()).add(room_of(path))
        found.setdefault(path.name, set()).add(room_of(path))
    return found


def complaints():
    header_rooms = owners()
    for room, allowed in sorted(MAY_INCLUDE.items()):
        for path in sorted((ROOT / room).rglob("*.[ch]")):
            for match in INCLUDE.finditer(path.read_text()):
                quoted, name = match.group(1) == '"', match.group(2)
                where = f"{path.relative_to(ROOT)}: {name}"
                if name in PURE.get(room, ()):
                    yield f"{where}: {room} is pure"
                if not quoted or name in header_rooms and room in header_rooms[name]:
                    continue
                rooms = {"skeleton"} if name.endswith(".skel.h") else header_rooms.get(name)
                if rooms is None:
                    yield f"{where}: no such header in any room"
                elif not rooms & allowed:
                    yield f"{where}: {room} may not include {', '.join(sorted(rooms))}"


def main():
    found = list(complaints())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
