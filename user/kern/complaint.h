/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What libbpf says while something is being opened: all of it, the verifier's logs in full, on standard error; or nothing, of
 * which one line is kept that says why. For one opening at a time, since libbpf's callback has no argument.
 */
#ifndef KERN_COMPLAINT_H
#define KERN_COMPLAINT_H

#include <stdbool.h>

void complaint__begin(bool verbose);
void complaint__end(void);
/* "prog 'name': <what the verifier said last>" of the first program that was refused, else the first warning, else "". As it
 * was at the end, until the next begin. */
const char *complaint__reason(void);

#endif
