/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What this machine allows, for people and for machines. */
#include <stdio.h>
#include <string.h>

#include "feature.h"
#include "text.h"
#include "watch.h"

static const char *tier_name(enum ebb_tier tier) {
  static const char *const names[] = {
#define X(id, name) name,
      EBB_TIERS(X)
#undef X
  };
  return (unsigned)tier < EBB_TIER_N ? names[tier] : "unknown";
}

static void print_string(const char *key, const char *value) {
  char data[1024];
  struct text text = TEXT(data);
  text__add_json(&text, value, strlen(value));
  printf(",\"%s\":\"%s\"", key, data);
}

static void print_json(const struct options *options, const struct feature *rows, int n) {
  printf("{\"version\":1,\"tier\":\"%s\",\"level\":\"L%u\",\"features\":[", tier_name(features__tier(rows, n)),
         features__level(rows, n));
  for (int i = 0; i < n; i++) {
    printf("%s{\"ok\":%s", i ? "," : "", rows[i].ok ? "true" : "false");
    print_string("name", rows[i].name);
    print_string("use", rows[i].use);
    print_string("remedy", rows[i].remedy);
    print_string("detail", rows[i].detail);
    printf("}");
  }
  printf("],\"daemons\":[");
  doctor__power(options);
  printf("]}\n");
}

static void print_level(enum ebb_tier tier, uint32_t level) {
  static const char *const whens[] = {
      "L0 always", "L1 while a worker is over half of its limit, or `ebb trace --live` looks on", "L2 under pressure"};
  if (tier == EBB_TIER_PROC)
    return;
  printf("level: up to L%u", level);
  for (uint32_t i = 0; i <= level && i < sizeof(whens) / sizeof(whens[0]); i++)
    printf("; %s", whens[i]);
  printf(" (`ebb status` shows which is attached)\n");
}

static void print_table(const struct options *options, const struct feature *rows, int n) {
  enum ebb_tier tier = features__tier(rows, n);
  for (int i = 0; i < n; i++) {
    printf("%-4s %-30s %s", rows[i].ok ? "yes" : "no", rows[i].name, rows[i].use);
    if (rows[i].detail[0])
      printf(" (%s)", rows[i].detail);
    printf("\n");
    if (!rows[i].ok && strcmp(rows[i].remedy, "-") != 0)
      printf("%35s needs: %s\n", "", rows[i].remedy);
  }
  printf("\ntier: %s (full: every growth as it happens; good, basic: with more delay; proc: sweeps of /proc only)\n",
         tier_name(tier));
  print_level(tier, features__level(rows, n));
  doctor__power(options);
}

int doctor__run(const struct options *options) {
  struct feature rows[FEATURE_N];
  int n = features__probe(rows, FEATURE_N);
  if (options->json)
    print_json(options, rows, n);
  else
    print_table(options, rows, n);
  return 0;
}
