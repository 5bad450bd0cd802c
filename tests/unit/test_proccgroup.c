/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is a process in a cgroup only when it is in that one, or below it? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernfile.h"
#include "proccgroup.h"

static void lines(void **unused) {
  (void)unused;
  const struct {
    const char *line, *path;
    bool within;
  } cases[] = {
      {"0::/app.slice/worker", "/app.slice", true},
      {"0::/app.slice/worker", "/app.slice/", true},
      {"0::/app.slice/worker", "/app.slice/worker", true},
      {"0::/app.slice", "/app.slice/worker", false},
      {"0::/app.slice-of-others", "/app.slice", false},
      {"0::/others/app.slice", "/app.slice", false},
      {"0::/", "/", true},
      {"0::/anywhere", "/", true},
      {"4:memory:/app", "/app", true},
      {"12:cpu,cpuacct:/app/x", "/app", true},
      {"1:name=a:/app", "/app", true},
      {"0::/a:/app", "/app", false}, /* a colon in a name */
      {"0::/../app", "/app", false}, /* out of the namespace */
      {"0::app", "/app", false},
      {"0:/app", "/app", false},
      {"", "/app", false},
      {"0::/app", "", false},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
    if (proccgroup__line_is_within(cases[i].line, cases[i].path) != cases[i].within)
      fail_msg("%s in %s", cases[i].line, cases[i].path);
}

static void of_processes(void **unused) {
  (void)unused;
  char text[8192];
  if (kernfile__read("/proc/self/cgroup", text, sizeof(text)) || !*text)
    skip();
  assert_int_equal(proccgroup__is_within(getpid(), "/"), 1);
  assert_int_equal(proccgroup__is_within(getpid(), "/no-such-cgroup"), 0);
  assert_int_equal(proccgroup__is_within(4 * 1024 * 1024 - 1, "/"), -ESRCH);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(of_processes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
