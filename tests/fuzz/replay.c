/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The main of a fuzz target where no fuzzer is linked: one call for each file that is named. */
#include "fuzz.h"

#define INPUT_BYTES_MAX (1024 * 1024)

int main(int argc, char **argv) {
  static uint8_t bytes[INPUT_BYTES_MAX];
  for (int i = 1; i < argc; i++) {
    FILE *file = fopen(argv[i], "re");
    if (!file) {
      perror(argv[i]);
      return 1;
    }
    size_t n = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    uint8_t *data = malloc(n ? n : 1); /* to its exact size, so that reading past the end is seen */
    MUST(data && n < sizeof(bytes));
    memcpy(data, bytes, n);
    (void)printf("%s: ", argv[i]); /* the last one named is the one that it fell over */
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    (void)puts("ok");
  }
  return 0;
}
