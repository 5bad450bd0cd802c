#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Installs what BUILD holds below DESTDIR/PREFIX. Called by `make install`. Starts nothing, and leaves /etc alone.
set -eu

: "${BUILD:?where the programs are}" "${PREFIX:?such as /usr/local}"
top=$(dirname "$0")/..
root=${DESTDIR:-}$PREFIX

put() { # mode, folder, files
  mode=$1 folder=$root/$2
  shift 2
  install -d "$folder"
  install -m "$mode" "$@" "$folder"
}

put 755 bin "$BUILD/ebb"
put 755 sbin "$BUILD/ebbd"
put 755 libexec/ebb "$BUILD/ebb-watch"
put 644 include/ebb "$top/include/ebb/worker.h" "$top/include/ebb/lease.h"
put 644 share/ebb/python "$top/user/sdk/python/ebb_worker.py"
put 755 share/ebb/shell "$top/user/sdk/shell/worker.sh"
put 644 share/doc/ebb "$top/tools/examples/ebb.conf" "$top/tools/systemd/opened.conf" "$top/README.md" "$top/LICENSE"
put 644 share/man/man1 "$top/tools/man/ebb.1"
put 644 share/man/man5 "$top/tools/man/ebb.conf.5"
put 644 share/man/man8 "$top/tools/man/ebbd.8"

install -d "$root/lib/systemd/system"
sed "s|@PREFIX@|$PREFIX|g" "$top/tools/systemd/ebbd.service" >"$root/lib/systemd/system/ebbd.service"
chmod 644 "$root/lib/systemd/system/ebbd.service"
