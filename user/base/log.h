/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Messages for people, one line each, on standard error with the syslog level prefix that the journal understands
 * when standard error is the journal ($JOURNAL_STREAM), "<program>: " otherwise. Only ebbd, watch and cli log.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

void log__init(const char *program, bool verbose);
/* From now on a message for which nobody makes room is dropped, rather than waited for; the next one says how many were. */
void log__never_wait(void);
void log__error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log__warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log__info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Only with verbose. */
void log__debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
