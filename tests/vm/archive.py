# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Kernels from Debian's archive, fetched by apt and checked by its keyring, unpacked into a cache; nothing is installed.

apt gets a configuration of its own (sources, lists, state), so that suites and architectures which the machine does not
use can be looked at without touching it. The mirrors are those that the machine uses for Debian itself.
"""
import hashlib
import os
import re
import subprocess
import time

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Where kernels are looked for: a suite, and whether it has security updates beside it.
SUITES = (("bookworm", True), ("bookworm-backports", False), ("bullseye", True), ("trixie-backports", False))
DEBIAN = re.compile(r"(?:bullseye|bookworm|trixie|forky|sid|(?:old){0,2}stable|testing|unstable)(-security)?")
LISTS_LAST = 24 * 3600  # seconds


class Missing(Exception):
    """Why a kernel cannot be had."""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.startswith("E: ")] or ["no reason given"]
        raise Missing(f"{os.path.basename(command[0])}: {said[0].removeprefix('E: ')}")
    return done.stdout


def mirrors():
    """Of the machine: (Debian itself, its security updates)."""
    found = {}
    for line in run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages").splitlines():
        uri, _, release = line.partition(" ")
        if match := DEBIAN.fullmatch(release):
            found.setdefault(bool(match.group(1)), uri)
    if False not in found:
        raise Missing("the machine's apt has no source for Debian")
    return found[False], found.get(True)


class Archive:
    def __init__(self, cache):
        self.cache = os.path.abspath(cache)
        self.apt = os.path.join(self.cache, "apt")
        for folder in ("lists/partial", "archives/partial"):
            os.makedirs(os.path.join(self.apt, folder), exist_ok=True)
        self.note = ""  # what is wrong, but perhaps not for what is in the cache

    def options(self):
        at = self.apt
        settings = {"Dir::Etc::sourcelist": f"{at}/sources.list", "Dir::Etc::sourceparts": "/dev/null",
                    "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": "/dev/null", "Dir::State": at,
                    "Dir::State::lists": f"{at}/lists", "Dir::State::status": f"{at}/status", "Dir::Cache": at,
                    "Dir::Cache::archives": f"{at}/archives", "Dir::Cache::pkgcache": "pkgcache.bin",
                    "Dir::Cache::srcpkgcache": "srcpkgcache.bin", "Acquire::GzipIndexes": "false", "APT::Architecture": "amd64", "APT::Architectures::": "amd64",
                    "APT::Get::AllowUnauthenticated": "false", "Acquire::AllowInsecureRepositories": "false",
                    "Acquire::Languages": "none", "APT::Sandbox::User": "root", "Acquire::Retries": "2"}
        words = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        return words + ["-o", "APT::Architectures::=arm64"]

    def update(self):
        """Bring the lists up to date where they are old or others; without the network, those that are there do."""
        main, security = mirrors()
        lines = [f"deb [signed-by={KEYRING}] {main} {suite} main\n" for suite, _ in SUITES]
        if security:
            lines += [f"deb [signed-by={KEYRING}] {security} {suite}-security main\n" for suite, more in SUITES if more]
        sources, stamp = os.path.join(self.apt, "sources.list"), os.path.join(self.apt, "updated")
        fresh = os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < LISTS_LAST
        if fresh and os.path.exists(sources) and "".join(lines) == open(sources, encoding="utf-8").read():
            return
        with open(sources, "w", encoding="utf-8") as file:
            file.writelines(lines)
        open(os.path.join(self.apt, "status"), "w", encoding="utf-8").close()
        try:
            run("apt-get", *self.options(), "-q", "update")
            open(stamp, "w", encoding="utf-8").close()
        except Missing as reason:  # one suite that is gone is no reason to do without the others
            self.note = str(reason)

    def versions(self, architecture):
        """Of the package that depends on the newest kernel, newest first."""
        table = run("apt-cache", *self.options(), "madison", f"linux-image-{architecture}:{architecture}")
        return list(dict.fromkeys(line.split("|")[1].strip() for line in table.splitlines() if "Packages" in line))

    def show(self, package, version, field):
        text = run("apt-cache", *self.options(), "show", f"{package}={version}")
        found = re.search(rf"^{field}: (.*)$", text, re.M)
        return found.group(1) if found else ""

    def packages(self, architecture, version):
        """The packages that hold a kernel and its modules: what the depending one leads to."""
        names, look = [], [f"linux-image-{architecture}"]
        for package in look:
            for name in re.findall(r"\b(linux-(?:image|modules|base|binary)-[^ ,|]+) \(= ",
                                   self.show(f"{package}:{architecture}", version, "Depends")):
                if name not in look:
                    look.append(name)
                    names.append(name)
        return names

    def download(self, package, architecture, version):
        """The .deb: from the cache where it is what the signed lists say, else from the archive."""
        wanted = self.show(f"{package}:{architecture}", version, "SHA256")
        folder = os.path.join(self.cache, "debs")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{package}_{version.replace(':', '%3a')}_{architecture}.deb")
        if not (os.path.exists(path) and digest(path) == wanted):
            done = subprocess.run(["apt-get", *self.options(), "-q", "download", f"{package}:{architecture}={version}"],
                                  cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
            if done.returncode != 0 or not os.path.exists(path) or digest(path) != wanted:
                errors = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
                raise Missing(errors[0].removeprefix("E: ") if errors else f"{package}: not what the lists say")
        return path

    def unpacked(self, architecture, version):
        """A directory with boot/ and lib/modules/ of a kernel."""
        target = os.path.join(self.cache, "kernels", f"{version}-{architecture}")
        if os.path.exists(os.path.join(target, "complete")):
            return target
        only = ["--wildcards", "*/vmlinuz*"] if architecture == "arm64" else ["--exclude=./usr/share"]
        for package in self.packages(architecture, version):
            os.makedirs(target, exist_ok=True)
            deb = self.download(package, architecture, version)
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as source:
                subprocess.run(["tar", "-x", "-C", target, *only], stdin=source.stdout, stderr=subprocess.DEVNULL,
                               check=False)
        if not image_in(target):
            raise Missing(f"no kernel in the packages of {version}")
        open(os.path.join(target, "complete"), "w", encoding="utf-8").close()
        return target

    def kernel(self, architecture, wanted):
        """(version, directory) of the newest kernel of that version, or of the newest at all ("newest")."""
        fits = [version for version in self.versions(architecture) if wanted == "newest" or is_of(version, wanted)]
        if not fits:
            raise Missing(f"the archive has no such kernel{self.note and '; ' + self.note}")
        reasons = []
        for version in fits[:3]:  # old suites list what their archive no longer has
            try:
                return version, self.unpacked(architecture, version)
            except Missing as reason:
                reasons.append(str(reason))
        raise Missing(reasons[0])


def image_in(tree):
    """The kernel itself: in /boot, or beside its modules (trixie-backports, from 7.x on)."""
    for folder, _, files in os.walk(tree):
        for name in files:
            if name.startswith("vmlinuz"):
                return os.path.join(folder, name)
    return None


def is_of(version, wanted):
    return re.match(re.escape(wanted) + r"(?![0-9])", version) is not None


def digest(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()
