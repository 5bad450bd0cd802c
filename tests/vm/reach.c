/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "reach.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REGISTERS 11

/* Before an instruction: which registers hold one value whichever way it was reached, and which. */
struct state {
  bool known[REGISTERS];
  uint64_t value[REGISTERS];
};

struct walk {
  const struct bpf_insn *insns;
  size_t n;
  bool *reached;
  struct state *before; /* one each */
  size_t *open;         /* to be looked at, or again */
  size_t n_open;
  bool *is_open;
};

static void set(struct state *state, unsigned reg, bool known, uint64_t value) {
  state->known[reg] = known;
  state->value[reg] = known ? value : 0;
}

static void forget(struct state *state, unsigned first, unsigned last) {
  for (unsigned reg = first; reg <= last; reg++)
    set(state, reg, false, 0);
}

/* What both agree on is left. Says whether that is less than `into` knew. */
static bool join(struct state *into, const struct state *from) {
  bool changed = false;
  for (unsigned reg = 0; reg < REGISTERS; reg++) {
    if (into->known[reg] && !(from->known[reg] && from->value[reg] == into->value[reg])) {
      set(into, reg, false, 0);
      changed = true;
    }
  }
  return changed;
}

static int go_to(struct walk *walk, size_t to, const struct state *state) {
  if (to >= walk->n)
    return -EINVAL;
  bool changed = !walk->reached[to];
  if (changed)
    walk->before[to] = *state;
  else
    changed = join(&walk->before[to], state);
  walk->reached[to] = true;
  if (changed && !walk->is_open[to]) {
    walk->is_open[to] = true;
    walk->open[walk->n_open++] = to;
  }
  return 0;
}

static bool operand(const struct state *state, const struct bpf_insn *insn, uint64_t *ret) {
  if (BPF_SRC(insn->code) == BPF_K) {
    *ret = (uint64_t)(int64_t)insn->imm;
    return true;
  }
  *ret = state->value[insn->src_reg];
  return state->known[insn->src_reg];
}

static bool compute(uint8_t op, uint64_t a, uint64_t b, unsigned bits, uint64_t *ret) {
  unsigned shift = (unsigned)(b & (bits - 1));
  switch (op) {
  case BPF_MOV:
    *ret = b;
    return true;
  case BPF_ADD:
    *ret = a + b;
    return true;
  case BPF_SUB:
    *ret = a - b;
    return true;
  case BPF_AND:
    *ret = a & b;
    return true;
  case BPF_OR:
    *ret = a | b;
    return true;
  case BPF_XOR:
    *ret = a ^ b;
    return true;
  case BPF_LSH:
    *ret = a << shift;
    return true;
  case BPF_RSH:
    *ret = (bits == 32 ? (uint32_t)a : a) >> shift;
    return true;
  case BPF_ARSH:
    *ret = (uint64_t)((bits == 32 ? (int64_t)(int32_t)a : (int64_t)a) >> shift);
    return true;
  default:
    return false;
  }
}

static void calculate(struct state *state, const struct bpf_insn *insn) {
  bool wide = BPF_CLASS(insn->code) == BPF_ALU64, move = BPF_OP(insn->code) == BPF_MOV;
  uint64_t b = 0, result = 0;
  bool known = operand(state, insn, &b) && (move || state->known[insn->dst_reg]) && (!move || !insn->off) &&
               compute(BPF_OP(insn->code), state->value[insn->dst_reg], b, wide ? 64 : 32, &result);
  set(state, insn->dst_reg, known, wide ? result : (uint32_t)result);
}

static bool compare(uint8_t op, uint64_t a, uint64_t b, int64_t sa, int64_t sb) {
  switch (op) {
  case BPF_JEQ:
    return a == b;
  case BPF_JNE:
    return a != b;
  case BPF_JSET:
    return a & b;
  case BPF_JGT:
    return a > b;
  case BPF_JGE:
    return a >= b;
  case BPF_JLT:
    return a < b;
  case BPF_JLE:
    return a <= b;
  case BPF_JSGT:
    return sa > sb;
  case BPF_JSGE:
    return sa >= sb;
  case BPF_JSLT:
    return sa < sb;
  default: /* BPF_JSLE */
    return sa <= sb;
  }
}

static int branch(struct walk *walk, size_t at, const struct state *state) {
  const struct bpf_insn *insn = &walk->insns[at];
  bool wide = BPF_CLASS(insn->code) == BPF_JMP;
  size_t target = (size_t)((int64_t)at + 1 + insn->off);
  uint64_t a = state->value[insn->dst_reg], b = 0;
  bool known = operand(state, insn, &b) && state->known[insn->dst_reg], taken = false;
  if (known && wide)
    taken = compare(BPF_OP(insn->code), a, b, (int64_t)a, (int64_t)b);
  else if (known)
    taken = compare(BPF_OP(insn->code), (uint32_t)a, (uint32_t)b, (int32_t)a, (int32_t)b);
  int r = !known || taken ? go_to(walk, target, state) : 0;
  return r || (known && taken) ? r : go_to(walk, at + 1, state);
}

/* A function of the program starts with nothing known; a call leaves nothing in the registers that calls may use. */
static int call(struct walk *walk, size_t at, struct state *state) {
  const struct bpf_insn *insn = &walk->insns[at];
  struct state fresh = {0};
  int r = 0;
  if (insn->src_reg == BPF_PSEUDO_CALL)
    r = go_to(walk, (size_t)((int64_t)at + 1 + insn->imm), &fresh);
  forget(state, 0, 5);
  return r ? r : go_to(walk, at + 1, state);
}

static int load_wide(struct walk *walk, size_t at, struct state *state) {
  const struct bpf_insn *insn = &walk->insns[at];
  struct state fresh = {0};
  int r = 0;
  if (at + 1 >= walk->n)
    return -EINVAL;
  if (insn->src_reg == BPF_PSEUDO_FUNC)
    r = go_to(walk, (size_t)((int64_t)at + 1 + insn->imm), &fresh);
  set(state, insn->dst_reg, !insn->src_reg, (uint32_t)insn->imm | (uint64_t)(uint32_t)walk->insns[at + 1].imm << 32);
  return r ? r : go_to(walk, at + 2, state);
}

static int step(struct walk *walk, size_t at) {
  const struct bpf_insn *insn = &walk->insns[at];
  struct state state = walk->before[at];
  switch (BPF_CLASS(insn->code)) {
  case BPF_ALU:
  case BPF_ALU64:
    calculate(&state, insn);
    return go_to(walk, at + 1, &state);
  case BPF_LD:
    if (insn->code == (BPF_LD | BPF_IMM | BPF_DW))
      return load_wide(walk, at, &state);
    forget(&state, 0, 5);
    return go_to(walk, at + 1, &state);
  case BPF_LDX:
    set(&state, insn->dst_reg, false, 0);
    return go_to(walk, at + 1, &state);
  case BPF_STX: /* an atomic operation may give something back */
    if (BPF_MODE(insn->code) == BPF_ATOMIC) {
      set(&state, insn->src_reg, false, 0);
      set(&state, 0, false, 0);
    }
    return go_to(walk, at + 1, &state);
  case BPF_ST:
    return go_to(walk, at + 1, &state);
  default:
    break;
  }
  if (BPF_OP(insn->code) == BPF_EXIT)
    return 0;
  if (BPF_OP(insn->code) == BPF_CALL)
    return call(walk, at, &state);
  if (BPF_OP(insn->code) == BPF_JA)
    return go_to(walk, (size_t)((int64_t)at + 1 + (BPF_CLASS(insn->code) == BPF_JMP ? insn->off : insn->imm)), &state);
  return branch(walk, at, &state);
}

int reach__find(const struct bpf_insn *insns, size_t n, bool *ret_reached) {
  struct state start = {0};
  struct walk walk = {.insns = insns,
                      .n = n,
                      .reached = ret_reached,
                      .before = calloc(n, sizeof(*walk.before)),
                      .open = calloc(n, sizeof(*walk.open)),
                      .is_open = calloc(n, sizeof(*walk.is_open))};
  memset(ret_reached, 0, n * sizeof(*ret_reached));
  int r = walk.before && walk.open && walk.is_open ? go_to(&walk, 0, &start) : -ENOMEM;
  while (!r && walk.n_open) {
    size_t at = walk.open[--walk.n_open];
    walk.is_open[at] = false;
    r = step(&walk, at);
  }
  free(walk.before);
  free(walk.open);
  free(walk.is_open);
  return r;
}
