/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>

#include "fault.h"
#include "keeper.h"
#include "log.h"
#include "reload.h"

int main(int argc, char **argv) {
  static struct keeper keeper; /* everything it will ever need, allocated at start */
  static struct config config;
  struct options options;
  struct config_error error;

  options__parse(&options, argc, argv);
  log__init("ebbd", options.verbose);
  log__never_wait();
  if (!fault__arm()) {
    log__error("EBB_FAULT names no point of --fault-points");
    return 2;
  }
  if (reload__load(&config, options.config_path, &error)) {
    log__error("%s", error.text);
    return 1;
  }
  if (options.check) {
    printf("ok: %u pools, %u workers\n", config.n_pools, config.n_slots);
    return 0;
  }
  return keeper__run(&keeper, &options, &config) ? 1 : 0;
}
