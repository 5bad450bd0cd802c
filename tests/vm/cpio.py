# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""An initramfs in the making: cpio archives of the `newc` form, uncompressed (an emulated CPU unpacks slowly).

The kernel takes several archives one after the other, so what all kernels share is written once.
"""
import os
import shutil
import stat
import subprocess


def header(inode, mode, mtime, size, name):
    fields = (inode, mode, 0, 0, 1, mtime, size, 0, 0, 0, 0, len(name) + 1, 0)
    return b"070701" + b"".join(b"%08X" % field for field in fields)


def padding(length):
    return b"\0" * (-length % 4)


class Archive:
    def __init__(self, path):
        self.file = open(path, "wb")
        self.names = {""}  # what is in it; the root needs no entry

    def entry(self, name, mode, mtime=0, data=b""):
        if name in self.names:
            return
        self.folder(os.path.dirname(name))
        self.names.add(name)
        head = header(len(self.names), mode, int(mtime), len(data), name.encode()) + name.encode() + b"\0"
        self.file.write(head + padding(len(head)) + data + padding(len(data)))

    def folder(self, name):
        if name not in self.names:
            self.entry(name, stat.S_IFDIR | 0o755)

    def link(self, name, target):
        self.entry(name, stat.S_IFLNK | 0o777, data=target.encode())

    def text(self, name, text, mode=0o644):
        self.entry(name, stat.S_IFREG | mode, data=text.encode())

    def copy(self, source, name=None):
        """One file, with what a symbolic link leads to in its place. Time stamps stay: Python looks at them."""
        info = os.stat(source)
        with open(source, "rb") as file:
            self.entry(name or in_usr(source), stat.S_IFREG | stat.S_IMODE(info.st_mode), info.st_mtime, file.read())

    def tree(self, source, name, leave_out=()):
        for folder, folders, files in os.walk(source):
            folders[:] = sorted(set(folders) - set(leave_out))
            place = os.path.normpath(os.path.join(name, os.path.relpath(folder, source)))
            for file in sorted(set(files) - set(leave_out)):
                if os.path.isfile(os.path.join(folder, file)):
                    self.copy(os.path.join(folder, file), os.path.join(place, file))

    def program(self, source, name=None):
        """An executable or shared object with all that it needs to start."""
        self.copy(source, name)
        for library in libraries(source):
            self.copy(library)

    def close(self):
        self.entry("TRAILER!!!", 0)
        self.file.write(b"\0" * (-self.file.tell() % 512))
        self.file.close()


def in_usr(path):
    """Where Debian has it since /bin, /sbin and /lib are links."""
    path = path.lstrip("/")
    return path if path.startswith("usr/") else "usr/" + path


def libraries(path):
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    words = [word for line in done.stdout.splitlines() for word in line.split()]
    return [word for word in words if word.startswith("/") and os.path.exists(word)]


def tool(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise FileNotFoundError(f"{name} is not installed")
    return path
