/* SPDX-License-Identifier: Apache-2.0
 * Values turned so that the tokens of a column lie together, for products over tokens. */
#ifndef LM_MVE_TURNED_H
#define LM_MVE_TURNED_H

#include "../kernels.h"
#include "mve.h"

/* Columns that are turned at a time, and the bytes of a quad of tokens of these. */
enum { LM_TURNED_COLUMNS = 16, LM_TURNED_STEP = 4 * LM_TURNED_COLUMNS };

/* turned (quads, 16, 4) = v: quads of tokens, at most 16 columns; 15 instructions for 64 values. A
 * quad's row lies `v.stride` behind its first, the others `next` apart; turned quads lie `step` bytes
 * apart. */
static inline void lm_turn_quads(lm_rows v, int32_t next, int32_t columns, int32_t quads,
                                 int32_t step, void *turned) {
  const int8_t *a = v.data, *b = a + v.stride, *c = b + next, *d = c + next;
  __asm volatile(
      "vctp.8 %[columns]\n\t"
      "wls lr, %[n], 1f\n"
      "2:\n\t"
      "vpstttt\n\t"
      "vldrbt.u8 q0, [%[a]]\n\t"
      "vldrbt.u8 q1, [%[b]]\n\t"
      "vldrbt.u8 q2, [%[c]]\n\t"
      "vldrbt.u8 q3, [%[d]]\n\t"
      "vst40.8 {q0, q1, q2, q3}, [%[to]]\n\t"
      "add %[a], %[step]\n\t"
      "vst41.8 {q0, q1, q2, q3}, [%[to]]\n\t"
      "add %[b], %[step]\n\t"
      "vst42.8 {q0, q1, q2, q3}, [%[to]]\n\t"
      "add %[c], %[step]\n\t"
      "vst43.8 {q0, q1, q2, q3}, [%[to]]\n\t"
      "add %[to], %[to_step]\n\t"
      "add %[d], %[step]\n\t"
      "le lr, 2b\n"
      "1:"
      : [a] "+&r"(a), [b] "+&r"(b), [c] "+&r"(c), [d] "+&r"(d), [to] "+&r"(turned)
      : [columns] "r"(columns), [n] "r"(quads), [step] "r"(4 * v.stride), [to_step] "r"(step)
      : "q0", "q1", "q2", "q3", LM_PREDICATE "lr", "memory");
}

/* The same of any number of tokens. What stands for those behind the last weighs nothing. */
LM_NOINLINE static void lm_turn_rest(lm_rows v, int32_t tokens, int32_t columns, int32_t step,
                                     void *turned) {
  const int32_t whole = tokens & ~3;
  lm_turn_quads(v, v.stride, columns, whole >> 2, step, turned);
  if (whole == tokens) return;
  const bool two = tokens - whole >= 2;
  const lm_rows rest = {v.data + whole * v.stride, two ? v.stride : 0};
  lm_turn_quads(rest, tokens - whole == 3 ? v.stride : 0, columns, 1, step,
                (int8_t *)turned + (whole >> 2) * step);
}

#endif
