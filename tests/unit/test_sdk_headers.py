#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The C SDK compiles without a warning in every language that it promises, with each compiler that is here."""
import os
import shutil
import subprocess
import tempfile
import unittest

INCLUDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../include")
FLAGS = ["-Wall", "-Wextra", "-Wshadow", "-pedantic", "-Werror", "-I", INCLUDE]
PROGRAM = """
#include "ebb/worker.h"
int main(void) {
  struct ebb_worker w;
  if (ebb_worker_open(&w, EBB_WORKER_ALONE) < 0 || ebb_worker_ready(&w) != EBB_WORKER_RUN)
    return 1;
  if (ebb_worker_begin(&w, "job") != EBB_WORKER_RUN || ebb_worker_label(&w, NULL) || ebb_worker_end(&w))
    return 2;
  ebb_worker_close(&w);
  return 0;
}
"""
C = [["-std=c99", "-D_POSIX_C_SOURCE=200809L"], ["-std=c11", "-D_DEFAULT_SOURCE"], ["-std=gnu99"], ["-std=gnu17"]]
CXX = [["-std=c++98"], ["-std=c++11"], ["-std=c++17"]]


class Headers(unittest.TestCase):
    def build(self, compilers, suffix, standards):
        found = [compiler for compiler in compilers if shutil.which(compiler)]
        if not found:
            self.skipTest("none of these compilers: " + " ".join(compilers))
        with tempfile.TemporaryDirectory(prefix="ebb-sdk.") as folder:
            source, program = os.path.join(folder, "w" + suffix), os.path.join(folder, "w")
            with open(source, "w", encoding="ascii") as file:
                file.write(PROGRAM)
            for compiler in found:
                for standard in standards:
                    with self.subTest(compiler=compiler, standard=standard):
                        subprocess.run([compiler, *standard, *FLAGS, source, "-o", program], check=True)
                        self.assertEqual(subprocess.run([program], env={}, check=False).returncode, 0)

    def test_c(self):
        self.build(["gcc", "clang-16", "clang"], ".c", C)

    def test_cxx(self):
        self.build(["g++", "clang++-16", "clang++"], ".cc", CXX)


if __name__ == "__main__":
    unittest.main(verbosity=2)
