/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How many of one are in the other. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#define NS_PER_SEC 1000000000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_US 1000ULL

#endif
