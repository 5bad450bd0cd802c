#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# A worker in shell: an example to copy from. It takes files out of a folder and runs a command on each.
#
#   worker.sh <spool> <command> [argument…]         the command gets the file's path as its last argument
#
# <spool>/new holds what is to be done; a file is claimed by renaming it into <spool>/claimed (one renamer wins) and
# acknowledged by renaming it into <spool>/done. A file whose command failed stays in claimed.
#
# The lease is one lock (flock(1), from util-linux) and one byte. While this shell holds the lock, nobody retires it.
# Without EBB_LEASE it runs unmanaged.
set -u

# Open the lease once, read-write and never truncated, as descriptor 9. Commands inherit it, and with it the lock: if
# this shell dies in a job, the lease stays held until the job's command has ended as well.
lease_open() {
  [ -z "${EBB_LEASE:-}" ] || exec 9<>"$EBB_LEASE"
}

# Step 1: take the lock, so that nobody can retire us any more. Step 2: read the order, and leave if it is X.
# A lease that ebbd holds under the order X has been taken from us for good, so that is not waited for.
lease_begin() {
  [ -n "${EBB_LEASE:-}" ] || return 0
  if ! flock -n 9; then
    [ "$(lease_order)" != X ] || exit 0
    flock 9 || exit 1
  fi
  if [ "$(lease_order)" = X ]; then
    flock -u 9
    exit 0
  fi
  [ "$(lease_order)" != T ] || lease_trim
  # Not known yet what the job is; the last one's label must not stand for it.
  [ "$label" = - ] && [ "$sequence" -gt 0 ] || lease_label -
}

lease_order() {
  IFS= read -r order <"$EBB_LEASE" && echo "$order"
}

# Give memory back to the system (order T), then go on. What the jobs' commands took has gone with them, and a shell has
# nothing to speak of; a worker that keeps something in memory, or a helper running, drops it here.
lease_trim() {
  :
}

# What kind of job it is: those of one label are counted together (`ebb jobs`). May be left out. Two fields of 112 bytes
# in turn, so that one is always whole.
sequence=0
label=-
lease_label() {
  [ -n "${EBB_LEASE:-}" ] || return 0
  label=$1
  sequence=$((sequence + 1))
  { printf '%d %.90s' "$sequence" "$label" | tr -c '[:print:]' '?' && echo; } |
    dd of="$EBB_LEASE" bs=1 seek=$((sequence % 2 ? 128 : 16)) conv=notrunc 2>/dev/null
}

lease_end() {
  [ -z "${EBB_LEASE:-}" ] || flock -u 9
}

# Sets $item to a claimed file. Names that sort first come first.
fetch() {
  for item in "$spool"/new/*; do
    if mv "$item" "$spool/claimed/" 2>/dev/null; then
      item="$spool/claimed/${item##*/}"
      return 0
    fi
  done
  return 1
}

acknowledge() {
  mv "$item" "$spool/done/"
}

[ $# -ge 2 ] || {
  echo "usage: worker.sh <spool> <command> [argument...]" >&2
  exit 2
}
spool=$1
shift

lease_open

# Ready: lock and unlock once before the first fetch. A fresh worker waits here until ebbd wants it to work.
lease_begin
lease_end

# Lock, then fetch: a folder does not hand a claimed file out again, so it is claimed under the lock. The lock is let go
# every second, for a worker that never lets go cannot be retired.
#
# Where the queue does deliver again what was not acknowledged, fetch first and lock then; an idle worker's lease is
# then free all the time:
#   while fetch; do lease_begin; lease_label "$item"; "$@" "$item" && acknowledge; lease_end; done
while [ -d "$spool/new" ]; do
  lease_begin
  if fetch; then
    name=${item##*/}
    lease_label "${name%%[-.]*}" # invoice-17.json is an invoice
    "$@" "$item" && acknowledge
    lease_end
  else
    lease_end
    sleep 1
  fi
done
