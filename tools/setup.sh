#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Installs the Debian packages that building, testing and the demo need and that are missing; with --lint also those of
# `make lint` and of a build of the sanitized tests by clang, with --fuzz those of `make fuzz`, with --vm those of
# `make check-vm`. The only list of packages.
set -eu

packages='gcc make clang-16 llvm libbpf-dev bpftool libelf-dev zlib1g-dev libsystemd-dev libinih-dev libjson-c-dev
libncurses-dev libcap-ng-dev libseccomp-dev libcmocka-dev pkg-config python3 util-linux spin'
[ "${1:-}" != --lint ] || packages="$packages libclang-rt-16-dev clang-format clang-tidy cppcheck git"
[ "${1:-}" != --fuzz ] || packages="$packages libclang-rt-16-dev"
[ "${1:-}" != --vm ] || packages="$packages qemu-system-x86 busybox-static perl-base e2fsprogs zstd
debian-archive-keyring"

missing=''
for package in $packages; do
  dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "setup: as root, install:$missing" >&2
  exit 1
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
