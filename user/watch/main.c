/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "log.h"
#include "watch.h"

int main(int argc, char **argv) {
  static struct watch watch; /* everything it will ever need, allocated at start */
  struct options options;

  options__parse(&options, argc, argv);
  log__init("ebb-watch", options.verbose);
  log__never_wait();
  if (options.doctor)
    return doctor__run(&options);
  return watch__run(&watch, &options) ? 1 : 0;
}
