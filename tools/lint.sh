#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Formatting, layers, licence lines, static analysis. Each check says what it found; the exit status is 1 if any did.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0

sources() { git ls-files -co --exclude-standard '*.c' '*.h' | grep -v '^vmlinux/'; }
failed() {
  echo "lint: $1"
  status=1
}

sources | xargs clang-format --dry-run --Werror || failed 'formatting (make format mends it)'
/usr/bin/python3 tools/layers.py || failed 'layers'

unlicensed=$(git ls-files -co --exclude-standard '*.c' '*.h' '*.py' '*.sh' '*.mk' Makefile .ci/run | xargs grep -L SPDX-License-Identifier)
[ -z "$unlicensed" ] || failed "no licence line in: $unlicensed"

user=$(git ls-files -co --exclude-standard 'user/*.c')
# shellcheck disable=SC2086 # lists of words
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability,performance --inline-suppr \
  --suppress=missingIncludeSystem -D_GNU_SOURCE -DEBB_VERSION='"0"' -Iinclude -Iuser/base -Iuser/core -Iuser/shm \
  -Iuser/os -Iuser/kern -j 2 $user || failed 'cppcheck'
# shellcheck disable=SC2086
printf '%s\n' $user | xargs -P 2 -I FILE clang-tidy --quiet --warnings-as-errors='*' FILE -- -std=gnu11 -D_GNU_SOURCE \
  -DEBB_VERSION='"0"' -Iinclude -Iuser/base -Iuser/core -Iuser/shm -Iuser/os -Iuser/kern -Ibuild/skel 2>/dev/null ||
  failed 'clang-tidy'

exit $status
