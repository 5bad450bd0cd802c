/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is the one who makes the pressure told from those who suffer it, and does the rule take it, and nobody else? */
#include "scene.h"

#include "contribution.h"
#include "policy.h"
#include "text.h"

#define NO_OTHER_LIMITS .retained_limit_bytes = EBB_UNKNOWN, .max_jobs = EBB_UNKNOWN, .max_lifetime_ns = EBB_UNKNOWN

#define SEC 1000000000ULL
#define MIB (1024ULL * 1024)
#define PAGE 4096u
#define NOW (1000 * SEC)
#define N 4

/* Shares: N workers of 100 MiB, half of it swapped, seen once at NOW. */

static struct contribution contribution;
static struct ebb_worker_facts workers[EBB_SLOTS_MAX];

static struct ebb_worker_facts a_worker(uint32_t generation) {
  return (struct ebb_worker_facts){
      .generation = generation,
      .pid = 1000 + (int)generation,
      .footprint_bytes = 100 * MIB,
      .anon_bytes = 50 * MIB,
      .swap_bytes = 50 * MIB,
      .shmem_bytes = 0,
      .stall_us = EBB_UNKNOWN,
  };
}

static void look(uint64_t at_ns) {
  contribution__look(&contribution, workers, N, at_ns);
}

static int begin(void **state) {
  (void)state;
  contribution__init(&contribution, PAGE);
  for (uint32_t i = 0; i < N; i++)
    workers[i] = a_worker(i + 1);
  look(NOW);
  return 0;
}

static void grow(uint32_t worker, uint64_t mib) {
  workers[worker].footprint_bytes += mib * MIB;
  workers[worker].anon_bytes += mib * MIB;
}

static void swap_in(uint32_t worker, uint64_t mib) {
  workers[worker].swap_bytes -= mib * MIB;
  workers[worker].anon_bytes += mib * MIB;
}

static void stall_all(uint64_t us) {
  for (uint32_t i = 0; i < N; i++)
    workers[i].stall_us = us;
}

/* "750 250 - 0": of the first workers, up to the last that is named. */
static void expect_shares(const char *expected) {
  char said[128];
  struct text text = TEXT(said);
  for (uint32_t i = 0; i < N; i++) {
    uint64_t permille = contribution__permille(&contribution, i);
    if (permille == EBB_UNKNOWN)
      text__addf(&text, "%s-", i ? " " : "");
    else
      text__addf(&text, "%s%llu", i ? " " : "", (unsigned long long)permille);
  }
  assert_string_equal(said, expected);
}

static void it_is_told_only_under_pressure(void **state) {
  (void)state;
  grow(1, 100);
  contribution__tell(&contribution, workers, N, false, NOW + SEC);
  assert_int_equal(workers[1].contribution_permille, EBB_UNKNOWN);
  contribution__tell(&contribution, workers, N, true, NOW + 2 * SEC);
  assert_int_equal(workers[0].contribution_permille, 0);
  assert_int_equal(workers[1].contribution_permille, 1000);
}

static void nothing_to_share_is_not_known(void **state) {
  (void)state;
  expect_shares("- - - -");
  look(NOW + SEC);
  expect_shares("- - - -");
  grow(0, 7);
  look(NOW + 2 * SEC);
  expect_shares("- - - -"); /* all of 7 MiB is next to nothing */
  grow(1, 1);
  look(NOW + 3 * SEC);
  expect_shares("875 125 0 0");
  contribution__init(&contribution, PAGE);
  contribution__look(&contribution, workers, 0, NOW);
  assert_true(contribution__permille(&contribution, 0) == EBB_UNKNOWN);
  assert_true(contribution__permille(&contribution, EBB_SLOTS_MAX) == EBB_UNKNOWN);
}

static void growth_is_demanded(void **state) {
  (void)state;
  grow(0, 30);
  grow(1, 10);
  workers[2].footprint_bytes -= 40 * MIB;
  workers[2].anon_bytes -= 40 * MIB;
  look(NOW + SEC);
  expect_shares("750 250 0 0");
  grow(2, 40); /* what was given back and is taken again is demanded */
  look(NOW + 2 * SEC);
  expect_shares("375 125 500 0");
}

static void swapping_out_is_not_demanded(void **state) {
  (void)state;
  grow(0, 20);
  workers[1].anon_bytes -= 40 * MIB;
  workers[1].swap_bytes += 40 * MIB;
  look(NOW + SEC);
  expect_shares("1000 0 0 0");
}

static void what_comes_back_is_demanded(void **state) {
  (void)state;
  swap_in(0, 30);
  grow(1, 30);
  look(NOW + SEC);
  expect_shares("500 500 0 0");
  workers[2].swap_bytes -= 50 * MIB; /* given back while it was out: nothing came in */
  workers[2].footprint_bytes -= 50 * MIB;
  look(NOW + 2 * SEC);
  expect_shares("500 500 0 0");
}

/* As much goes out as comes in: no size changes, and only the faults tell. */
static void even_thrashing_is_demanded(void **state) {
  (void)state;
  grow(0, 10);
  workers[1].major_faults += 30 * MIB / PAGE;
  look(NOW + SEC);
  expect_shares("250 750 0 0");
}

/* Both tell of the same pages, and both too little of them. */
static void faults_and_swap_are_not_counted_twice(void **state) {
  (void)state;
  grow(0, 40);
  swap_in(1, 40);
  workers[1].major_faults += 10 * MIB / PAGE;
  swap_in(2, 10);
  workers[2].major_faults += 40 * MIB / PAGE;
  look(NOW + SEC);
  expect_shares("333 333 333 0");
}

static void a_page_is_as_large_as_the_machine_has_it(void **state) {
  (void)state;
  contribution__init(&contribution, 4 * PAGE);
  look(NOW);
  grow(0, 30);
  workers[1].major_faults += 10 * MIB / (4 * PAGE);
  look(NOW + SEC);
  expect_shares("750 250 0 0");
}

static void the_mean_where_stall_is_known(void **state) {
  (void)state;
  stall_all(1000);
  look(NOW + SEC);
  grow(0, 30);
  grow(1, 10);
  workers[1].stall_us += 900000;
  workers[2].stall_us += 100000;
  look(NOW + 2 * SEC);
  expect_shares("375 575 50 0");
}

static void demand_alone_where_stall_is_not_known(void **state) {
  (void)state;
  workers[1].stall_us = 5;
  look(NOW + SEC);
  grow(0, 30);
  grow(1, 10);
  workers[1].stall_us += 900000;
  look(NOW + 2 * SEC);
  expect_shares("750 625 0 0");
}

static void little_stall_is_noise(void **state) {
  (void)state;
  stall_all(0);
  look(NOW + SEC);
  grow(0, 10);
  workers[1].stall_us += 99999;
  look(NOW + 2 * SEC);
  expect_shares("1000 0 0 0");
  workers[1].stall_us++;
  look(NOW + 3 * SEC);
  expect_shares("500 500 0 0");
}

/* Files read with system calls: no faults, no growth, much waiting. */
static void stall_alone_where_nothing_is_demanded(void **state) {
  (void)state;
  stall_all(0);
  look(NOW + SEC);
  workers[0].stall_us += 600000;
  workers[3].stall_us += 200000;
  look(NOW + 2 * SEC);
  expect_shares("750 0 0 250");
}

/* The first stall that is measured is where counting begins, not what was suffered since boot. */
static void stall_that_becomes_known(void **state) {
  (void)state;
  grow(0, 30);
  look(NOW + SEC);
  stall_all(5000000);
  workers[1].stall_us = 90000000;
  look(NOW + 2 * SEC);
  expect_shares("1000 0 0 0");
  workers[2].stall_us += 200000;
  look(NOW + 3 * SEC);
  expect_shares("500 0 500 0");
}

static void ten_seconds_then_it_fades(void **state) {
  (void)state;
  grow(0, 100);
  look(NOW + SEC);
  grow(1, 100);
  look(NOW + 10 * SEC); /* what worker 0 took is of the part before, and has not begun to fade */
  expect_shares("500 500 0 0");
  look(NOW + 15 * SEC);
  expect_shares("333 666 0 0");
  look(NOW + 20 * SEC - SEC / 1000);
  expect_shares("0 999 0 0");
  look(NOW + 20 * SEC);
  expect_shares("0 1000 0 0");
  look(NOW + 30 * SEC);
  expect_shares("- - - -");
}

static void a_long_pause_forgets_all(void **state) {
  (void)state;
  grow(0, 100);
  look(NOW + SEC);
  look(NOW + 500 * SEC);
  expect_shares("- - - -");
}

/* The same things happen, looked at once a second or sixteen times; what happened is of the moment it was seen. */
static void the_rhythm_of_looks_does_not_matter(void **state) {
  uint64_t shares[2][N];
  for (uint64_t fine = 0; fine < 2; fine++) {
    uint64_t looks = fine ? 16 : 1;
    (void)begin(state);
    for (uint64_t i = 1; i <= 37 * looks; i++) {
      uint64_t second = (i + looks - 1) / looks;
      workers[0].footprint_bytes += 16 * second * MIB / looks;
      workers[1].major_faults += 16 * (40 - second) * MIB / PAGE / looks;
      look(NOW + i * SEC / looks);
    }
    for (uint32_t i = 0; i < N; i++)
      shares[fine][i] = contribution__permille(&contribution, i);
  }
  for (uint32_t i = 0; i < N; i++)
    assert_in_range(shares[0][i] + 10 - shares[1][i], 0, 20);
  assert_in_range(shares[0][0], 700, 850);
}

static void time_that_goes_back_is_ignored(void **state) {
  (void)state;
  grow(0, 10);
  look(NOW + 5 * SEC);
  grow(1, 90);
  look(NOW + 4 * SEC);
  expect_shares("1000 0 0 0");
  look(NOW + 5 * SEC);
  expect_shares("100 900 0 0");
}

static void figures_that_are_not_known_are_waited_for(void **state) {
  (void)state;
  grow(0, 30);
  grow(1, 10);
  struct ebb_worker_facts known = workers[0];
  workers[0].footprint_bytes = workers[0].anon_bytes = workers[0].swap_bytes = workers[0].major_faults = EBB_UNKNOWN;
  look(NOW + SEC);
  expect_shares("0 1000 0 0");
  workers[0] = known;
  look(NOW + 2 * SEC);
  expect_shares("750 250 0 0");
}

static void counters_that_fall_begin_anew(void **state) {
  (void)state;
  contribution__init(&contribution, PAGE);
  for (uint32_t i = 0; i < N; i++)
    workers[i].major_faults = workers[i].stall_us = 5000000;
  look(NOW + SEC);
  grow(0, 20);
  workers[1].major_faults = 10; /* a process of it has gone, and its faults with it */
  workers[1].stall_us = 10;
  look(NOW + 2 * SEC);
  expect_shares("1000 0 0 0");
  workers[1].major_faults += 20 * MIB / PAGE;
  workers[1].stall_us += 300000;
  look(NOW + 3 * SEC);
  expect_shares("250 750 0 0");
}

/* What it held when it was first seen was there before; what it takes as it starts up is demanded. */
static void one_that_comes_begins_with_its_first_look(void **state) {
  (void)state;
  grow(0, 30);
  workers[1] = a_worker(9);
  workers[1].footprint_bytes = workers[1].anon_bytes = 900 * MIB;
  workers[1].major_faults = 1000000;
  workers[1].stall_us = 900000000;
  look(NOW + SEC);
  expect_shares("1000 0 0 0");
  grow(1, 30);
  look(NOW + 2 * SEC);
  expect_shares("500 500 0 0");
}

/* Process numbers are used again. */
static void the_same_process_number_of_another_generation_is_another_worker(void **state) {
  (void)state;
  grow(0, 30);
  grow(1, 10);
  look(NOW + SEC);
  workers[0].generation = 99;
  grow(0, 500);
  look(NOW + 2 * SEC);
  expect_shares("0 250 0 0");
}

/* Else those who were pushed out by it would be next. */
static void one_that_has_left_keeps_its_share(void **state) {
  (void)state;
  grow(0, 90);
  swap_in(1, 10);
  look(NOW + SEC);
  expect_shares("900 100 0 0");
  workers[0] = (struct ebb_worker_facts){0};
  look(NOW + 2 * SEC);
  expect_shares("- 100 0 0");
  workers[0] = a_worker(7);
  look(NOW + 3 * SEC);
  expect_shares("0 100 0 0");
  look(NOW + 15 * SEC); /* it fades like the others' */
  expect_shares("0 100 0 0");
  swap_in(1, 10);
  look(NOW + 20 * SEC);
  expect_shares("0 1000 0 0");
}

static void another_process_of_the_same_generation_is_another_worker(void **state) {
  (void)state;
  grow(0, 30);
  grow(1, 10);
  look(NOW + SEC);
  workers[0].pid++;
  grow(0, 500);
  look(NOW + 2 * SEC);
  expect_shares("0 250 0 0");
}

static void slots_that_are_no_more(void **state) {
  (void)state;
  grow(1, 30);
  grow(3, 10);
  look(NOW + SEC);
  contribution__look(&contribution, workers, 2, NOW + 2 * SEC);
  expect_shares("0 750 - -");
  workers[2].pid = 0;
  workers[3].generation = 0;
  look(NOW + 3 * SEC);
  expect_shares("0 750 - -");
}

static void as_many_as_there_can_be(void **state) {
  (void)state;
  contribution__init(&contribution, PAGE);
  for (uint32_t i = 0; i < EBB_SLOTS_MAX; i++)
    workers[i] = a_worker(i + 1);
  contribution__look(&contribution, workers, EBB_SLOTS_MAX + 5, NOW);
  grow(EBB_SLOTS_MAX - 1, 3 * EBB_SLOTS_MAX);
  for (uint32_t i = 0; i < EBB_SLOTS_MAX - 1; i++)
    grow(i, 1);
  contribution__look(&contribution, workers, EBB_SLOTS_MAX + 5, NOW + SEC);
  assert_int_equal(contribution__permille(&contribution, EBB_SLOTS_MAX - 1), 750);
  assert_int_equal(contribution__permille(&contribution, 0), 0);
}

static void more_than_there_can_be(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++)
    workers[i].footprint_bytes = workers[i].anon_bytes = 1ULL << 63;
  look(NOW + SEC);
  expect_shares("500 500 0 0");
  workers[2].major_faults = EBB_UNKNOWN - 1;
  look(NOW + 2 * SEC);
  expect_shares("333 333 333 0");
}

/* Whatever comes, in whatever order: a share is a share, and all of them are one at the most. */
static void nonsense_does_no_harm(void **state) {
  (void)state;
  uint64_t seed = 42, now_ns = 0;
  contribution__init(&contribution, PAGE);
  for (int round = 0; round < 20000; round++) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < N; i++) {
      __u64 *fields[] = {&workers[i].footprint_bytes, &workers[i].anon_bytes, &workers[i].swap_bytes,
                         &workers[i].major_faults, &workers[i].stall_us};
      for (int j = 0; j < 5; j++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        *fields[j] = seed >> 60 == 0 ? EBB_UNKNOWN : seed >> (seed >> 58 & 63);
      }
      workers[i].generation = (uint32_t)(seed >> 20 & 1);
    }
    now_ns += seed >> (20 + (seed >> 59));
    look(now_ns);
    for (uint32_t i = 0; i < N; i++) {
      uint64_t permille = contribution__permille(&contribution, i);
      sum += permille == EBB_UNKNOWN ? 0 : permille;
      assert_true(permille == EBB_UNKNOWN || permille <= 1000);
    }
    /* A stall that is not measured is made up for by the other share, at most once for each. */
    assert_in_range(sum, 0, 1000 + 500 * N);
  }
}

/* The rule. A pressed host, all of one pool: worker 0 of 300 MiB, 1 of 400 and quiet, 2 of 200. */

struct world {
  struct ebb_host_rules host_rules;
  struct ebb_host_facts host;
  struct ebb_pool_rules rules[2];
  struct ebb_pool_facts pools[2];
  struct ebb_worker_facts workers[N];
};

static struct ebb_worker_facts an_idle_worker(uint32_t index, uint64_t mib, uint64_t permille) {
  return (struct ebb_worker_facts){
      .slot = index,
      .generation = 1,
      .pid = 1000 + (int)index,
      .state = EBB_SLOT_SERVING,
      .born_ns = NOW - 500 * SEC,
      .since_ns = NOW - 5 * SEC,
      .footprint_bytes = mib * MIB,
      .rest_bytes = mib * MIB,
      .private_bytes = mib * MIB,
      .private_ns = NOW - SEC / 10,
      .contribution_permille = permille,
  };
}

static struct world pressed_world(void) {
  struct world world = {
      .host_rules = {.memory_budget_bytes = EBB_UNKNOWN, .reserve_bytes = 100 * MIB, .cooldown_ns = 15 * SEC},
      .host = {.now_ns = NOW,
               .mem_available_bytes = 5000 * MIB,
               .pools_footprint_bytes = 900 * MIB,
               .level = EBB_PRESSURE_ELEVATED,
               .stall_growing = 1,
               .reclaim_moved = 1},
      .workers = {an_idle_worker(0, 300, 700), an_idle_worker(1, 400, 100), an_idle_worker(2, 200, 200)},
  };
  for (int i = 0; i < 2; i++) {
    world.rules[i] =
        (struct ebb_pool_rules){NO_OTHER_LIMITS, .footprint_limit_bytes = EBB_UNKNOWN, .min_lifetime_ns = 10 * SEC,
                                .strikes = 1,    .contribution_limit_permille = 500,   .min_gain_bytes = 64 * MIB};
    world.pools[i] = (struct ebb_pool_facts){.baseline_bytes = EBB_UNKNOWN};
  }
  return world;
}

static struct policy_input input_of(const struct world *world) {
  return (struct policy_input){
      .host_rules = &world->host_rules,
      .host = &world->host,
      .pool_rules = world->rules,
      .pools = world->pools,
      .workers = world->workers,
      .n_pools = 2,
      .n_workers = N,
      .now_ns = NOW,
  };
}

/* "contribution/0 pressure/1 ?2 !3": acts in their order, workers to be confirmed, workers struck. */
static void describe(const struct plan *plan, struct text *text) {
  for (uint32_t i = 0; i < plan->n_acts; i++)
    text__addf(text, "%s%s/%u", text->used ? " " : "", reason__name(plan->acts[i].reason), plan->acts[i].worker);
  for (uint32_t i = 0; i < plan->n_confirm; i++)
    text__addf(text, "%s?%u", text->used ? " " : "", plan->confirm[i]);
  for (uint32_t i = 0; i < plan->n_struck; i++)
    text__addf(text, "%s!%u", text->used ? " " : "", plan->struck[i]);
}

static struct policy_verdict explain(const struct world *world, uint32_t worker) {
  struct policy_verdict verdict;
  struct policy_input in = input_of(world);
  policy__explain(&in, worker, &verdict);
  return verdict;
}

static const struct policy_line *line_of(const struct policy_verdict *verdict, enum reason code) {
  const struct policy_line *line =
      code >= REASON_UNLEASED ? &verdict->guards[code - REASON_UNLEASED] : &verdict->rules[code - REASON_REQUEST];
  assert_int_equal(line->code, code);
  return line;
}

/* What decide does, and that explain says the same of each. */
static void expect(const char *name, const struct world *world, const char *expected) {
  char said[256];
  struct text text = TEXT(said);
  struct plan plan;
  struct policy_input in = input_of(world);
  policy__decide(&in, &plan);
  said[0] = 0;
  describe(&plan, &text);
  if (strcmp(said, expected) != 0)
    fail_msg("%s: '%s' instead of '%s'", name, said, expected);
  for (uint32_t i = 0; i < plan.n_acts; i++) {
    struct policy_verdict verdict = explain(world, plan.acts[i].worker);
    if (verdict.outcome != plan.acts[i].reason || !line_of(&verdict, plan.acts[i].reason)->fires)
      fail_msg("%s: explain says %s of %u", name, reason__name(verdict.outcome), plan.acts[i].worker);
    if (plan.acts[i].reason == REASON_CONTRIBUTION && plan.acts[i].limit_bytes != EBB_UNKNOWN)
      fail_msg("%s: a share is no number of bytes", name);
  }
}

struct case_ {
  const char *name;
  void (*change)(struct world *world, struct ebb_worker_facts *worker);
  const char *expected;
};

#define CHANGE(name, ...)                                                                                              \
  static void name(struct world *world, struct ebb_worker_facts *worker) {                                             \
    (void)world;                                                                                                       \
    (void)worker;                                                                                                      \
    __VA_ARGS__                                                                                                        \
  }

static void run_cases(const struct case_ *cases, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct world world = pressed_world();
    cases[i].change(&world, world.workers);
    expect(cases[i].name, &world, cases[i].expected);
  }
}
#define RUN(cases) run_cases(cases, sizeof(cases) / sizeof(*(cases)))

CHANGE(nothing, )
CHANGE(at_the_limit, worker->contribution_permille = 500;)
CHANGE(share_unknown, worker->contribution_permille = EBB_UNKNOWN;)
CHANGE(limit_off, world->rules[0].contribution_limit_permille = EBB_SHARE_OFF;)
CHANGE(another_pool_is_limited, world->rules[0].contribution_limit_permille = EBB_SHARE_OFF; worker[2].pool = 1;
       worker[2].contribution_permille = 501;)
CHANGE(critical, world->host.level = EBB_PRESSURE_CRITICAL;)
CHANGE(calm, world->host.level = EBB_PRESSURE_CALM;)
CHANGE(level_unknown, world->host.level = EBB_PRESSURE_UNKNOWN;)
CHANGE(no_reclaim, world->host.reclaim_moved = 0;)
CHANGE(no_reclaim_but_short, world->host.reclaim_moved = 0; world->host.mem_available_bytes = 100 * MIB - 1;)
CHANGE(stall_has_stopped, world->host.stall_growing = 0;)
CHANGE(two_over, world->rules[0].contribution_limit_permille = 150;)
CHANGE(two_over_the_second_more, world->rules[0].contribution_limit_permille = 150;
       worker[2].contribution_permille = 800;)
CHANGE(two_over_and_the_first_young, world->rules[0].contribution_limit_permille = 150; worker->born_ns = NOW;)
CHANGE(a_tie_with_a_busy_one, world->rules[0].contribution_limit_permille = 150; worker->contribution_permille = 200;
       worker->busy = 1;)
CHANGE(one_retiring, worker[3] = an_idle_worker(3, 10, 0); worker[3].state = EBB_SLOT_RETIRING;)
CHANGE(one_retiring_for_long, worker[3] = an_idle_worker(3, 10, 0); worker[3].state = EBB_SLOT_RETIRING;
       worker[3].since_ns = NOW - 60 * SEC;)
CHANGE(footprint_acts, world->rules[0].footprint_limit_bytes = 350 * MIB;)
CHANGE(request_acts, world->pools[0].requests = 1;)
CHANGE(budget_too, world->host_rules.memory_budget_bytes = 500 * MIB;)
CHANGE(busy, worker->busy = 1;)
CHANGE(busy_and_all_busy, worker[0].busy = worker[1].busy = worker[2].busy = 1;)

static void the_rule(void **state) {
  (void)state;
  static const struct case_ cases[] = {
      {"over its limit, though another one is larger", nothing, "contribution/0"},
      {"at its limit", at_the_limit, "pressure/1"},
      {"share unknown", share_unknown, "pressure/1"},
      {"limit off", limit_off, "pressure/1"},
      {"the limit is its pool's", another_pool_is_limited, "contribution/2"},
      {"critical", critical, "contribution/0"},
      {"calm", calm, ""},
      {"no pressure figures", level_unknown, ""},
      {"no reclaim, so no shortage", no_reclaim, ""},
      {"no reclaim, but under the reserve", no_reclaim_but_short, "contribution/0"},
      {"no new stall", stall_has_stopped, ""},
      {"two are over: the one of the larger share, alone", two_over, "contribution/0"},
      {"two are over: not the first of them", two_over_the_second_more, "contribution/2"},
      {"the next one where that one must not go", two_over_and_the_first_young, "contribution/2"},
      {"an idle one before a busy one of the same share", a_tie_with_a_busy_one, "contribution/2"},
      {"another one is on its way out", one_retiring, ""},
      {"another one has been for long", one_retiring_for_long, "contribution/0"},
      {"footprint has taken one", footprint_acts, "footprint/1"},
      {"a request has taken one", request_acts, "request/1"},
      {"budget counts it as gone", budget_too, "contribution/0 budget/1"},
      {"a busy one is due, and frees nothing yet", busy, "contribution/0 pressure/1"},
      {"a busy one is due, alone", busy_and_all_busy, "contribution/0"},
  };
  RUN(cases);
}

CHANGE(too_young, worker->born_ns = NOW - 10 * SEC + 1;)
CHANGE(held, world->pools[0].hold_retire_ns = NOW + SEC;)
CHANGE(unleased, worker->state = EBB_SLOT_UNLEASED;)
CHANGE(due, worker->state = EBB_SLOT_DUE;)
CHANGE(min_ready, world->rules[0].min_ready = 3;)
CHANGE(cooling, world->host.last_act_ns = NOW - 15 * SEC + 1;)
CHANGE(cooled, world->host.last_act_ns = NOW - 15 * SEC;)
CHANGE(cooling_when_critical, world->host.level = EBB_PRESSURE_CRITICAL; world->host.last_act_ns = NOW - 2 * SEC + 1;)
CHANGE(cooled_when_critical, world->host.level = EBB_PRESSURE_CRITICAL; world->host.last_act_ns = NOW - 2 * SEC;)
CHANGE(strikes, world->rules[0].strikes = 3;)
CHANGE(below_baseline, world->pools[0].baseline_bytes = 400 * MIB;)

static void its_guards(void **state) {
  (void)state;
  static const struct case_ cases[] = {
      {"too young", too_young, "pressure/1"},
      {"held", held, ""},
      {"unleased", unleased, "pressure/1"},
      {"due already", due, "pressure/1"},
      {"min_ready", min_ready, ""},
      {"the last act was a moment ago", cooling, ""},
      {"the last act was long ago", cooled, "contribution/0"},
      {"a moment ago, when it is critical", cooling_when_critical, ""},
      {"two seconds ago, when it is critical", cooled_when_critical, "contribution/0"},
      {"strikes are not counted", strikes, "contribution/0"},
      {"the baseline is another limit's matter", below_baseline, "contribution/0"},
  };
  RUN(cases);
}

CHANGE(gains_just_enough, worker->private_bytes = 64 * MIB;)
CHANGE(gains_too_little, worker->private_bytes = 64 * MIB - 1;)
CHANGE(too_small_to_gain, worker->footprint_bytes = 64 * MIB - 1; worker->private_ns = 0;)
CHANGE(unread, worker->private_ns = 0; worker->private_bytes = EBB_UNKNOWN;)
CHANGE(read_long_ago, worker->private_ns = NOW - 3 * SEC; worker->private_bytes = 0;)
CHANGE(unreadable, worker->private_bytes = EBB_UNKNOWN;)
CHANGE(any_gain_will_do, world->rules[0].min_gain_bytes = 0; worker->private_bytes = 1;)
CHANGE(no_gain_at_all, world->rules[0].min_gain_bytes = 0; worker->private_bytes = 0;)
CHANGE(busy_and_small_at_rest, worker->busy = 1; worker->rest_bytes = 64 * MIB - 1;)
CHANGE(busy_and_large_at_rest, worker->busy = 1; worker->rest_bytes = 64 * MIB;)
CHANGE(busy_and_never_at_rest, worker->busy = 1; worker->rest_bytes = EBB_UNKNOWN;)
CHANGE(busy_small_at_rest_and_unread, worker->busy = 1; worker->rest_bytes = MIB; worker->private_ns = 0;)
CHANGE(busy_and_unread, worker->busy = 1; worker->private_ns = 0;)
CHANGE(idle_and_rest_is_old, worker->rest_bytes = MIB;)

static void it_frees_min_gain_or_stays(void **state) {
  (void)state;
  static const struct case_ cases[] = {
      {"just enough", gains_just_enough, "contribution/0"},
      {"a byte short: pressure takes whom it takes", gains_too_little, "pressure/1"},
      {"its footprint is too small already", too_small_to_gain, "pressure/1"},
      {"unread: nobody goes in its place", unread, "?0"},
      {"read long ago", read_long_ago, "?0"},
      {"could not be read", unreadable, "pressure/1"},
      {"any gain will do", any_gain_will_do, "contribution/0"},
      {"no gain at all", no_gain_at_all, "pressure/1"},
      {"busy: what its job took comes back by itself", busy_and_small_at_rest, "pressure/1"},
      {"busy: what it held before the job does not", busy_and_large_at_rest, "contribution/0 pressure/1"},
      {"busy, never seen between jobs", busy_and_never_at_rest, "pressure/1"},
      {"busy: reading would change nothing", busy_small_at_rest_and_unread, "pressure/1"},
      {"busy and unread", busy_and_unread, "pressure/1 ?0"},
      {"idle: what it holds now counts", idle_and_rest_is_old, "contribution/0"},
  };
  RUN(cases);
}

static void explain_shows_the_numbers(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.workers[0].private_bytes = 10 * MIB;
  struct policy_verdict verdict = explain(&world, 0);
  static const struct {
    enum reason code;
    bool on, fires;
    uint64_t value, limit;
  } lines[] = {
      {REASON_CONTRIBUTION, true, true, 700, 500},
      {REASON_MIN_GAIN, true, true, 10 * MIB, 64 * MIB},
      {REASON_STRIKES, true, false, 0, 1},
      {REASON_PRIVATE, true, false, 10 * MIB, 64 * MIB - 1},
  };
  assert_int_equal(verdict.outcome, REASON_NONE);
  for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
    const struct policy_line *line = line_of(&verdict, lines[i].code);
    if (line->on != lines[i].on || line->fires != lines[i].fires || line->value != lines[i].value ||
        line->limit != lines[i].limit)
      fail_msg("%s: on %d, fires %d, %llu, %llu", reason__name(lines[i].code), line->on, line->fires,
               (unsigned long long)line->value, (unsigned long long)line->limit);
  }
  world.workers[0].private_bytes = 300 * MIB;
  world.workers[0].busy = 1;
  world.workers[0].rest_bytes = 20 * MIB;
  verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_MIN_GAIN)->value == 20 * MIB);
  assert_true(line_of(&verdict, REASON_MIN_GAIN)->fires);
}

/* With a lower limit several are over it. One goes; the others are wanted too, and told that they come later. */
static void explain_of_the_second(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.rules[0].contribution_limit_permille = 150;
  struct policy_verdict verdict = explain(&world, 2);
  assert_int_equal(verdict.outcome, REASON_NONE);
  assert_true(line_of(&verdict, REASON_CONTRIBUTION)->fires);
  for (int guard = REASON_UNLEASED; guard <= REASON_HOLD; guard++)
    assert_false(line_of(&verdict, (enum reason)guard)->fires);
  world.workers[3] = an_idle_worker(3, 10, 0);
  world.workers[3].state = EBB_SLOT_RETIRING;
  verdict = explain(&world, 2);
  assert_true(line_of(&verdict, REASON_CONTRIBUTION)->fires);
  verdict = explain(&world, 1);
  assert_false(line_of(&verdict, REASON_CONTRIBUTION)->fires);
  assert_true(line_of(&verdict, REASON_CONTRIBUTION)->on);
}

static void explain_while_it_is_calm_or_off(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.host.level = EBB_PRESSURE_CALM;
  world.workers[0].contribution_permille = EBB_UNKNOWN;
  struct policy_verdict verdict = explain(&world, 0);
  const struct policy_line *line = line_of(&verdict, REASON_CONTRIBUTION);
  assert_false(line->on || line->fires);
  assert_true(line->value == EBB_UNKNOWN && line->limit == 500);
  world.rules[0].contribution_limit_permille = EBB_SHARE_OFF;
  verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_CONTRIBUTION)->limit == EBB_UNKNOWN);
}

int main(void) {
#define SHARES(test) cmocka_unit_test_setup(test, begin)
  const struct CMUnitTest tests[] = {
      SHARES(nothing_to_share_is_not_known),
      SHARES(growth_is_demanded),
      SHARES(swapping_out_is_not_demanded),
      SHARES(what_comes_back_is_demanded),
      SHARES(even_thrashing_is_demanded),
      SHARES(faults_and_swap_are_not_counted_twice),
      SHARES(a_page_is_as_large_as_the_machine_has_it),
      SHARES(the_mean_where_stall_is_known),
      SHARES(demand_alone_where_stall_is_not_known),
      SHARES(little_stall_is_noise),
      SHARES(stall_alone_where_nothing_is_demanded),
      SHARES(stall_that_becomes_known),
      SHARES(ten_seconds_then_it_fades),
      SHARES(a_long_pause_forgets_all),
      SHARES(the_rhythm_of_looks_does_not_matter),
      SHARES(time_that_goes_back_is_ignored),
      SHARES(figures_that_are_not_known_are_waited_for),
      SHARES(counters_that_fall_begin_anew),
      SHARES(one_that_comes_begins_with_its_first_look),
      SHARES(the_same_process_number_of_another_generation_is_another_worker),
      SHARES(one_that_has_left_keeps_its_share),
      SHARES(another_process_of_the_same_generation_is_another_worker),
      SHARES(slots_that_are_no_more),
      SHARES(as_many_as_there_can_be),
      SHARES(more_than_there_can_be),
      SHARES(nonsense_does_no_harm),
      SHARES(it_is_told_only_under_pressure),
      cmocka_unit_test(the_rule),
      cmocka_unit_test(its_guards),
      cmocka_unit_test(it_frees_min_gain_or_stays),
      cmocka_unit_test(explain_shows_the_numbers),
      cmocka_unit_test(explain_of_the_second),
      cmocka_unit_test(explain_while_it_is_calm_or_off),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
