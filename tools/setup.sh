#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Installs the Debian packages that building, testing and the demo need and that are missing; with --lint also those of
# `make lint` and of a build of the sanitized tests by clang, with --fuzz those of `make fuzz`, with --vm those of
# `make check-vm`, with --bench those of `make bench-queue`, whose services are not started. The only list of packages.
set -eu

packages='gcc make clang-16 llvm libbpf-dev bpftool libelf-dev zlib1g-dev libsystemd-dev libinih-dev libjson-c-dev
libncurses-dev libcap-ng-dev libseccomp-dev libcmocka-dev pkg-config python3 util-linux spin'
[ "${1:-}" != --lint ] || packages="$packages libclang-rt-16-dev clang-format clang-tidy cppcheck git"
[ "${1:-}" != --fuzz ] || packages="$packages libclang-rt-16-dev"
[ "${1:-}" != --vm ] || packages="$packages qemu-system-x86 busybox-static perl-base e2fsprogs zstd
debian-archive-keyring"
services='redis-server supervisor earlyoom'
[ "${1:-}" != --bench ] || packages="$packages $services python3-redis python3-celery uwsgi-core
uwsgi-plugin-python3"

missing=''
for package in $packages; do
  dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
# Not in Debian: to be measured where there is a npm anyway.
pm2="${XDG_CACHE_HOME:-$HOME/.cache}/ebb/pm2"
if [ "${1:-}" = --bench ] && command -v npm >/dev/null && [ ! -e "$pm2/node_modules" ]; then
  npm install --silent --no-audit --no-fund --prefix "$pm2" pm2@7.0.4 || echo 'setup: no pm2'
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "setup: as root, install:$missing" >&2
  exit 1
fi
# What is installed here is run by us, not by the machine: a watchdog of all of the host would be no small matter.
policy=/usr/sbin/policy-rc.d
if [ "${1:-}" = --bench ] && [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
[ ! -d /run/systemd/system ] || for service in ${services:-}; do
  case "$missing " in *" $service "*) systemctl --quiet disable "$service" ;; esac
done
