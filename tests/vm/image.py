# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What a machine of the kernel matrix boots: the tests with all that they need, and a few modules of its kernel."""
import glob
import lzma
import os
import re

from cpio import Archive, tool

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The real ones where busybox lacks an option that a test uses; busybox has the rest.
TOOLS = ("sh", "cp", "env", "flock", "mkswap", "swapon", "swapoff", "setpriv", "sleep", "true", "false", "perl", "busybox")
# Not needed and large, or drawing in large libraries.
NO_PYTHON = ("test", "idlelib", "lib2to3", "tkinter", "ensurepip", "pydoc_data", "distutils", "turtledemo", "unittest",
             "sqlite3", "wsgiref", "xmlrpc", "dist-packages", "config-3.11-x86_64-linux-gnu", "EXTERNALLY-MANAGED")
NO_EXTENSION = re.compile(r"_(ssl|hashlib|sqlite3|tkinter|dbm|gdbm|crypt|codecs|test|x?xtest|curses)|readline|nis|audioop")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}
# zram for tests that swap; a disk with a file system for those that make a swap file.
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "lzo_rle", "zram")


def write_common(path, build):
    archive = Archive(path)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.folder("usr/" + name)
        archive.link(name, "usr/" + name)
    for name in ("dev", "proc", "sys", "root"):
        archive.folder(name)
    for name, text in FILES.items():
        archive.text(name, text)
    for name in TOOLS:
        archive.program(tool(name), "usr/bin/" + name)
    add_python(archive)
    add_tests(archive, build)
    for entry in ("x/xterm-256color", "x/xterm", "d/dumb"):
        if os.path.exists(f"/lib/terminfo/{entry}"):
            archive.copy(f"/lib/terminfo/{entry}")
    archive.copy(os.path.join(HERE, "init"), "init")
    archive.close()


def add_python(archive):
    interpreter = os.path.realpath("/usr/bin/python3")
    version = os.path.basename(interpreter)
    archive.program(interpreter)
    archive.link("usr/bin/python3", version)
    archive.tree(f"/usr/lib/{version}", f"usr/lib/{version}", NO_PYTHON + ("lib-dynload",))
    for extension in sorted(glob.glob(f"/usr/lib/{version}/lib-dynload/*.so")):
        if not NO_EXTENSION.search(os.path.basename(extension)):
            archive.program(extension)


def add_tests(archive, build):
    for program in ("ebbd", "ebb-watch", "ebb"):
        archive.program(os.path.join(build, program), f"ebb/build/{program}")
    for folder in ("bpf-tests", "lib"):
        for program in sorted(glob.glob(os.path.join(build, folder, "*"))):
            archive.program(program, f"ebb/build/{folder}/{os.path.basename(program)}")
    archive.copy(os.path.join(ROOT, "tests/run.py"), "ebb/tests/run.py")
    for folder in ("tests/e2e", "tests/lib", "user/sdk", "include", "tools/demo", "tools/examples"):
        archive.tree(os.path.join(ROOT, folder), f"ebb/{folder}", ("__pycache__",))


def write_own(path, kernel, arguments):
    """What is this kernel's own: its modules, in the order in which they are loaded."""
    archive = Archive(path)
    order = []
    for module in MODULES:
        add_module(archive, find_modules(kernel), module, order)
    archive.text("modules/order", "".join(f"{name}\n" for name in order))
    archive.text("arguments", " ".join(arguments))
    archive.close()


def find_modules(tree):
    found = {}
    for folder, _, files in os.walk(tree):
        for file in files:
            name, dot, _ = file.partition(".ko")
            if dot:
                found[name.replace("-", "_")] = os.path.join(folder, file)
    return found


def add_module(archive, known, name, order):
    """A module after those that it depends on; one that is not there is built in, as far as we know."""
    path = known.get(name)
    if not path or f"{name}.ko" in order:
        return
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as file:
        data = file.read()
    for depends in re.findall(rb"\0depends=([^\0]*)\0", data)[:1]:
        for other in depends.decode().split(","):
            add_module(archive, known, other.replace("-", "_"), order)
    for softdep in re.findall(rb"\0softdep=pre: ([^\0]*)\0", data):
        for other in softdep.decode().split():
            add_module(archive, known, other.replace("-", "_"), order)
    order.append(f"{name}.ko")
    archive.entry(f"modules/{name}.ko", 0o100644, data=data)
