/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is one address space told from two that look alike? */
#include "scene.h"

#include <sched.h>
#include <sys/syscall.h>

#include "kcmp.h"

__attribute__((no_sanitize("address"))) static int wait_for_ever(void *unused) {
  (void)unused;
  while (syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0))
    ;
  return 0;
}

static void one_address_space_is_told_from_two(void **state) {
  static char stack[64 * 1024] __attribute__((aligned(16)));

  (void)state;
  pid_t sharer = clone(wait_for_ever, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
  pid_t copy = fork();
  if (!copy)
    (void)wait_for_ever(NULL);
  assert_true(sharer > 0 && copy > 0);
  if (!kcmp__same_memory(getpid(), getpid())) {
    print_message("skipped: no kcmp here\n");
    (void)kill(sharer, SIGKILL);
    (void)kill(copy, SIGKILL);
    skip();
  }
  assert_true(kcmp__same_memory(getpid(), sharer));
  assert_false(kcmp__same_memory(getpid(), copy));
  assert_false(kcmp__same_memory(sharer, copy));
  (void)kill(sharer, SIGKILL);
  (void)kill(copy, SIGKILL);
  assert_int_equal(waitpid(sharer, NULL, 0), sharer);
  assert_int_equal(waitpid(copy, NULL, 0), copy);
  assert_false(kcmp__same_memory(getpid(), copy)); /* nobody's */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_address_space_is_told_from_two),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
