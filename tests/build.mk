# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Programs that test and measure. Included by the Makefile, whose words it uses.

units   := $(wildcard tests/unit/test_*.c)
bpfts   := $(wildcard tests/bpf/test_*.c)
helpers := $(filter-out %/heap.c,$(wildcard tests/lib/*.c))
fuzz    := $(wildcard tests/fuzz/fuzz_*.c)
bench   := $(filter-out %.bpf.c,$(wildcard tools/bench/*.c))
bench_parts := tools/bench/hand.c tools/bench/setting.c

unit_bins   := $(patsubst tests/unit/%.c,$(B)/unit/%,$(units))
bpf_bins    := $(patsubst tests/bpf/%.c,$(B)/bpf-tests/%,$(bpfts))
helper_bins := $(patsubst tests/lib/%.c,$(B)/lib/%,$(helpers))
fuzz_bins   := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(fuzz))
bench_bins  := $(patsubst tools/bench/%.c,$(B)/bench/%,$(filter-out $(bench_parts),$(bench)))
next_bins   := $(patsubst $(B)/%,$(B)/next/%,$(programs))

build-tests: $(unit_bins) $(bpf_bins) $(helper_bins) $(next_bins) $(B)/simulate $(B)/faulty/ebbd $(B)/lib/heap.so build-fuzz
build-fuzz: $(fuzz_bins)
build-bench: $(bench_bins)
build-vm: $(B)/vm/relocate $(B)/vm/missing.bpf.o $(B)/bpf/ebb.linked.o $(B)/bpf/probe.bpf.o \
          $(B)/bpf-arm64/ebb.linked.o $(B)/bpf-arm64/probe.bpf.o

# Unit and BPF tests are always under ASan and UBSan.
$(call san,$(bpfts)): | $(skels)
$(B)/unit/%: $(B)/san/tests/unit/%.o $(B)/libcommon-san.a
	$(call link,$(SANFLAGS) -lcmocka)
$(B)/bpf-tests/%: $(B)/san/tests/bpf/%.o $(call san,$(kern)) $(B)/libcommon-san.a
	$(call link,$(SANFLAGS) $(LIBS_KERN) -lcmocka)
$(B)/vm/relocate: $(patsubst %,$(B)/san/tests/vm/%.o,relocate reach)
	$(call link,$(SANFLAGS) -lbpf)

# Fuzz targets: for `make check` with a main that replays files, for `make fuzz` all of it once more with libFuzzer.
FUZZ_MAIN ?= $(B)/san/tests/fuzz/replay.o
$(B)/fuzz/%: $(B)/san/tests/fuzz/%.o $(filter %.o,$(FUZZ_MAIN)) $(B)/libcli-san.a $(B)/libsimulate-san.a $(B)/libcommon-san.a
	$(call link,$(SANFLAGS) $(filter -%,$(FUZZ_MAIN)) $(LIBS_CLI) -lm)

# What tests let fail: sanitized, with the points of user/base/fault.h.
$(B)/faulty/ebbd: $(call san,$(ebbd)) $(B)/libcommon-san.a
	$(call link,$(SANFLAGS) $(LIBS_LOOP))

# The programs of a later version, for the drill of an upgrade: the same, but that they share files of another version.
$(next_bins): $(B)/next/board.o $(B)/next/trace.o
$(B)/next/%.o: user/shm/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -DBOARD_VERSION=1000 -DTRACE_VERSION=1000 -c -o $@ $<

# Preloaded into the daemons as they are: what do they allocate?
$(B)/lib/heap.so: tests/lib/heap.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) -O2 -g -Wall -Wextra -std=gnu11 -D_GNU_SOURCE -fPIC -shared -o $@ $<
$(B)/lib/%: $(B)/obj/tests/lib/%.o
	$(call link,-lpthread)

# Benchmarks, with the kernel programs that they compare ours with.
$(call obj,$(bench)): | $(skels) $(B)/skel/floor.skel.h
$(B)/bench/cost: $(call obj,$(bench_parts))
$(B)/bench/cost $(B)/bench/reaction: $(B)/libkern.a
$(B)/bench/%: $(B)/obj/tools/bench/%.o $(B)/libcommon.a
	$(call link,$(LIBS_KERN) -lpthread)
