# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# ebb: keeps pools of job workers from drowning their host. `make help` lists the targets.

B       ?= build
CLANG   ?= clang-16
BPFTOOL ?= bpftool
PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
DESTDIR ?=
KERNELS ?= 6.1 6.12
VERSION := 0.1.0

# On all processors, unless told otherwise. Two goals come one after the other: `make clean all`.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS))$(word 2,$(MAKECMDGOALS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
Q    := $(if $(V),,@)
say   = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')

OPT      ?= -O2
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
INCLUDES := -Iinclude -Iuser/base -Iuser/core -Iuser/shm -Iuser/os -Iuser/kern -I$(B)/skel
CFLAGS   ?= $(OPT) -g
override CFLAGS += -std=gnu11 -Wall -Wextra $(WERROR) -D_GNU_SOURCE -DEBB_VERSION='"$(VERSION)"' $(INCLUDES) \
                   -MMD -MP $(if $(SAN),$(SANFLAGS))
override LDFLAGS += $(if $(SAN),$(SANFLAGS))
BPFFLAGS := -g -O2 -target bpf -std=gnu11 -Wall -Wextra $(WERROR) -D__TARGET_ARCH_$(ARCH) -Iinclude -Ivmlinux -MMD -MP

# One folder is one room; the rooms that hold no opinions and no loop make up the library of the three programs.
common := $(wildcard user/base/*.c user/core/*.c user/shm/*.c user/os/*.c)
kern   := $(wildcard user/kern/*.c)
ebbd   := $(wildcard user/ebbd/*.c)
watch  := $(wildcard user/watch/*.c)
cli    := $(wildcard user/cli/*.c)
bpf    := $(filter-out bpf/probe.bpf.c,$(wildcard bpf/*.bpf.c))
simulate := $(wildcard tools/simulate/*.c)

obj  = $(patsubst %.c,$(B)/obj/%.o,$(1))
san  = $(patsubst %.c,$(B)/san/%.o,$(1))
skels := $(B)/skel/ebb.skel.h $(B)/skel/probe.skel.h

LIBS_COMMON := -Wl,--as-needed -linih -lcap-ng -lseccomp
LIBS_KERN   := -lbpf -lelf -lz
LIBS_LOOP   := -lsystemd -lpthread
LIBS_CLI    := -ljson-c -lncursesw -ltinfo

programs := $(B)/ebbd $(B)/ebb-watch $(B)/ebb

.PHONY: all simulate demo check check-unit check-fuzz check-model check-scenario check-bpf check-e2e check-proc check-vm soak \
        build-tests build-vm build-fuzz lint format fuzz bench bench-fault bench-reaction bench-pressed bench-queue bench-small \
        bench-leak install clean help setup
.DEFAULT_GOAL := all
.SECONDARY:

all: $(programs) ## build ebbd, ebb-watch and ebb into build/
demo: setup ## the main job on real input: the same jobs with the memory rules off, then on
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) tools/demo/demo.py --bin $(B)

check: setup ## all tests: unit and old bad input (sanitized), protocol model, simulated hosts, BPF, end to end
	$(Q)$(MAKE) --no-print-directory all build-tests build-bench
	$(Q)$(PYTHON) tests/run.py --build $(B)

check-unit check-fuzz check-model check-scenario check-bpf check-e2e check-proc: check-%: all build-tests build-bench ## only these tests
	$(Q)$(PYTHON) tests/run.py --build $(B) --only $*

check-vm: ## the BPF and core end-to-end tests on real kernels in emulated machines; KERNELS="6.1 6.12", or all
	$(Q)sh tools/setup.sh --vm
	$(Q)$(MAKE) --no-print-directory all build-tests build-vm
	$(Q)$(PYTHON) tests/vm/matrix.py --build $(B) $(KERNELS)

soak: all build-tests ## 500 kills of each daemon in a storm, 20,000 workers that come and go: some 15 minutes on a quiet machine
	$(Q)EBB_BUILD=$(B) EBB_STORM=500 $(PYTHON) tests/e2e/23-storm.py storm
	$(Q)EBB_BUILD=$(B) EBB_CYCLES=20000 $(PYTHON) tests/e2e/24-leaks.py

fuzz: ## bad input for each parser and reader, for SECONDS=60; TARGETS="config proc", or all
	$(Q)sh tools/setup.sh --fuzz
	$(Q)$(MAKE) --no-print-directory build-fuzz B=$(B)/clang CC=$(CLANG) FUZZ_MAIN=-fsanitize=fuzzer \
	        SANFLAGS='$(SANFLAGS) -fsanitize=fuzzer-no-link'
	$(Q)$(PYTHON) tests/fuzz/fuzz.py --build $(B)/clang --seconds $(or $(SECONDS),60) $(TARGETS)

bench: setup ## costs and reaction times, as ratios within one run
	$(Q)$(MAKE) --no-print-directory all build-bench
	$(Q)$(PYTHON) tools/bench/bench.py --bin $(B)

bench-fault bench-reaction bench-pressed: bench-%: setup ## cost per page fault, lease, switch and sweep; reaction time; that under pressure (as root)
	$(Q)$(MAKE) --no-print-directory all build-bench
	$(Q)$(PYTHON) tools/bench/$*.py --bin $(B)

simulate: $(B)/simulate ## simulated weeks, with ebb and doing nothing; SCENARIO=file, or all
	$(Q)$(B)/simulate $(if $(SCENARIO),$(SCENARIO),--table $(wildcard tests/scenarios/*.ini))

bench-queue bench-small bench-leak: bench-%: ## results from the field, scaled: a queue, computations, long leaks (as root)
	$(Q)sh tools/setup.sh $(if $(filter queue,$*),--bench)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) tools/bench/field_$*.py --bin $(B)

setup: ## install the Debian packages that are missing (as root)
	$(Q)sh tools/setup.sh

lint: $(skels) ## formatting, layers, static analysis
	$(Q)sh tools/lint.sh

format: ## lay out the sources as .clang-format says
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | grep -v '^vmlinux/' | xargs clang-format -i

install: all ## install below $(DESTDIR)$(PREFIX)
	$(Q)DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' BUILD='$(B)' sh tools/install.sh

clean: ## remove what was built
	$(Q)rm -rf $(B)

help: ## this list
	$(Q)sed -n 's/^\([a-z][a-z -]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r t d; do printf '  %-15s %s\n' "$$t" "$$d"; done

define link
$(call say,LINK,$@)
$(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %kern.a,$^) $(filter %cli-san.a %simulate-san.a,$^) \
  $(filter %common.a %common-san.a,$^) $(LIBS_COMMON) $(1)
endef

# Programs.
$(B)/libcommon.a: $(call obj,$(common))
$(B)/libcommon-san.a: $(call san,$(common))
$(B)/libkern.a: $(call obj,$(kern))
$(B)/libcli-san.a: $(call san,$(filter-out %/main.c,$(cli)))
$(B)/libsimulate-san.a: $(call san,$(filter-out %/main.c,$(simulate)))
$(B)/libcommon.a $(B)/libcommon-san.a $(B)/libkern.a $(B)/libcli-san.a $(B)/libsimulate-san.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/ebbd $(B)/next/ebbd: $(call obj,$(ebbd)) $(B)/libcommon.a
	$(call link,$(LIBS_LOOP))
$(B)/ebb-watch $(B)/next/ebb-watch: $(call obj,$(watch)) $(B)/libkern.a $(B)/libcommon.a
	$(call link,$(LIBS_KERN) $(LIBS_LOOP))
$(B)/ebb $(B)/next/ebb: $(call obj,$(cli)) $(B)/libcommon.a
	$(call link,$(LIBS_CLI))

$(B)/obj/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -c -o $@ $<

$(B)/san/%.o: %.c
	$(call say,CC-SAN,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -O1 $(SANFLAGS) -DEBB_FAULTS -c -o $@ $<

# Kernel side: one object of all programs, and the probe that says what this kernel can do.
$(call obj,$(kern)) $(call san,$(kern)): | $(skels)

# As compiled for a kernel of that architecture.
bpf_cc = $(Q)mkdir -p $(@D) && $(CLANG) $(subst __TARGET_ARCH_$(ARCH),__TARGET_ARCH_$(1),$(BPFFLAGS)) -c -o $@ $<
$(B)/bpf/%.o: bpf/%.c
	$(call say,BPF,$<)
	$(call bpf_cc,$(ARCH))
# The same objects for arm64: their relocations are resolved against the types of kernels for it.
$(B)/bpf-arm64/%.o: bpf/%.c
	$(call say,BPF64,$<)
	$(call bpf_cc,arm64)
$(B)/vm/missing.bpf.o: tests/vm/missing.bpf.c
$(B)/bpf/floor.bpf.o: tools/bench/floor.bpf.c
$(B)/vm/missing.bpf.o $(B)/bpf/floor.bpf.o:
	$(call say,BPF,$<)
	$(call bpf_cc,$(ARCH))

$(B)/bpf/ebb.linked.o: $(bpf:%.c=$(B)/%.o)
$(B)/bpf-arm64/ebb.linked.o: $(bpf:bpf/%.c=$(B)/bpf-arm64/%.o)
$(B)/bpf/ebb.linked.o $(B)/bpf-arm64/ebb.linked.o:
	$(call say,BPFLINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(B)/skel/ebb.skel.h: $(B)/bpf/ebb.linked.o
$(B)/skel/probe.skel.h: $(B)/bpf/probe.bpf.o
$(B)/skel/floor.skel.h: $(B)/bpf/floor.bpf.o
$(skels) $(B)/skel/floor.skel.h:
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D) && $(BPFTOOL) gen skeleton $< name $(@F:.skel.h=) > $@.new && mv $@.new $@

# Weeks in seconds: the policy over a simulated host.
$(B)/simulate: $(call obj,$(simulate)) $(B)/libcommon.a
	$(call link,-ljson-c -lm)

include tests/build.mk
-include $(shell find $(B) -name '*.d' 2>/dev/null)
