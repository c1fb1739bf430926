/* SPDX-License-Identifier: Apache-2.0
 * Building blocks for cores with the DSP extension (Armv7E-M, Armv8-M): SXTB16, SMLAD, SSAT.
 * Assembly where a compiler would choose the registers badly or miss a carry. */
#ifndef LM_DSP_H
#define LM_DSP_H

#include "../fixed_point.h"

/* Scratch of a linear besides 4 bytes an input, as kernels.json says: room for a third row of up to
 * 128 inputs. */
enum { LM_LINEAR_DSP_SCRATCH_BYTES = 256 };

/* Four bytes at any address: one LDR. */
static inline uint32_t lm_load4(const int8_t *from) {
  uint32_t word;
  __builtin_memcpy(&word, from, sizeof word);
  return word;
}

/* Bytes 0 and 2 as two int16, and bytes 1 and 3. */
static inline uint32_t lm_widen_even(uint32_t bytes) {
  uint32_t pair;
  __asm("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
  return pair;
}

static inline uint32_t lm_widen_odd(uint32_t bytes) {
  uint32_t pair;
  __asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
  return pair;
}

/* The sum of four uint8, added to another. */
static inline int32_t lm_add_bytes(uint32_t bytes, int32_t sum) {
  int32_t result;
  __asm("usada8 %0, %1, %2, %3" : "=r"(result) : "r"(bytes), "r"(0), "r"(sum));
  return result;
}

/* Each int16 of a pair twice; in -2^14 ... 2^14 - 1. */
static inline uint32_t lm_double_s16x2(uint32_t pair) {
  uint32_t doubled;
  __asm("sadd16 %0, %1, %1" : "=r"(doubled) : "r"(pair));
  return doubled;
}

/* Four saturated sums of int8. */
static inline uint32_t lm_qadd8(uint32_t x, uint32_t y) {
  uint32_t sums;
  __asm("qadd8 %0, %1, %2" : "=r"(sums) : "r"(x), "r"(y));
  return sums;
}

/* sum + x0 * y0 + x1 * y1 of two pairs of int16. */
static inline int32_t lm_smlad(uint32_t x, uint32_t y, int32_t sum) {
  int32_t result;
  __asm("smlad %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
  return result;
}

/* The product's high half with its rounding, plus what rounds the shift after it. */
static inline int32_t lm_smmlar(int32_t x, int32_t y, int32_t sum) {
  int32_t result;
  __asm("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
  return result;
}

static inline int32_t lm_saturate16(int32_t x) {
  int32_t result;
  __asm("ssat %0, #16, %1" : "=r"(result) : "r"(x));
  return result;
}

static inline int32_t lm_saturate8(int32_t x) {
  int32_t result;
  __asm("ssat %0, #8, %1" : "=r"(result) : "r"(x));
  return result;
}

/* Functions in assembly get all they need in a block of memory and know its offsets. They save registers there, for
 * no compiler counts what assembly pushes. */
#define LM_SAVE_REGISTERS(offset) "add r12, r0, #" offset "\n\tstm r12, {r4-r11, lr}\n\t"
#define LM_RETURN(offset) "add r0, lr, #" offset "\n\tldm r0, {r4-r11, pc}"

/* A quantized multiplier with its shift split in two; multiplier >= 0. */
typedef struct {
  int32_t multiplier;
  int32_t left;
  int32_t right;
} lm_split_requant;

static inline lm_split_requant lm_split(int32_t multiplier, int32_t shift) {
  const int32_t left = shift & ~(shift >> 31);
  const lm_split_requant split = {multiplier, left, left - shift};
  return split;
}

/* lm_requantize. The product's bits 31 and 30 round the high half; then x - (x < 0) leaves in C the
 * bit that ASRS shifts out last, and where it shifts nothing, what makes up for the - 1. */
static inline int32_t lm_requantize_split(int32_t accumulator, lm_split_requant requant) {
  int32_t low;
  int32_t high;
  __asm("lsl %1, %2, %4\n\t"
        "smull %0, %1, %1, %3\n\t"
        "lsls %0, %0, #1\n\t"
        "adc %1, %1, %1\n\t"
        "add %1, %1, %0, lsr #31\n\t"
        "adds %1, %1, %1, asr #31\n\t"
        "asrs %1, %1, %5\n\t"
        "adc %1, %1, #0"
        : "=&r"(low), "=&r"(high)
        : "r"(accumulator), "r"(requant.multiplier), "r"(requant.left), "r"(requant.right)
        : "cc");
  return high;
}

/* lm_requantize of x, clamped to int16, from 2x: `shift` to the right, less one, and half = 1 << shift,
 * from which the sign takes 1. */
static inline int32_t lm_scale_s16(int32_t doubled, int32_t multiplier, int32_t shift,
                                   int32_t half) {
  int32_t result;
  __asm("add %0, %4, %1, asr #31\n\t"
        "smmlar %0, %1, %2, %0\n\t"
        "asr %0, %0, %3\n\t"
        "ssat %0, #16, %0, asr #1"
        : "=&r"(result)
        : "r"(doubled), "r"(multiplier), "r"(shift), "r"(half));
  return result;
}

/* x + y, clamped to int8 and to int16. */
static inline int32_t lm_add_to_s8(int32_t x, int32_t y) {
  int32_t sum;
  __asm("qadd %0, %1, %2\n\tssat %0, #8, %0" : "=r"(sum) : "r"(x), "r"(y));
  return sum;
}

static inline int32_t lm_add_to_s16(int32_t x, int32_t y) {
  int32_t sum;
  __asm("qadd %0, %1, %2\n\tssat %0, #16, %0" : "=r"(sum) : "r"(x), "r"(y));
  return sum;
}

static inline int32_t lm_add_to_u8(int32_t x, int32_t y) {
  int32_t sum;
  __asm("qadd %0, %1, %2\n\tusat %0, #8, %0" : "=r"(sum) : "r"(x), "r"(y));
  return sum;
}

/* Two rows of int8 as int16 pairs, interleaved for lm_dot_2x2: of each quad of columns, (0, 2) of
 * row 0, (0, 2) of row 1, (1, 3) of row 0, (1, 3) of row 1. */
static inline void lm_widen_rows(const int8_t *row0, const int8_t *row1, int32_t quads,
                                 uint32_t *to) {
  for (int32_t quad = 0; quad < quads; quad++) {
    const uint32_t bytes0 = lm_load4(row0 + 4 * quad);
    const uint32_t bytes1 = lm_load4(row1 + 4 * quad);
    to[4 * quad] = lm_widen_even(bytes0);
    to[4 * quad + 1] = lm_widen_even(bytes1);
    to[4 * quad + 2] = lm_widen_odd(bytes0);
    to[4 * quad + 3] = lm_widen_odd(bytes1);
  }
}

/* Sums of products of two widened rows a, b with two rows w, v of int8. */
typedef struct {
  int32_t aw;
  int32_t bw;
  int32_t av;
  int32_t bv;
} lm_sums_2x2;

/* 16 instructions for 16 products. */
#define LM_DOT_2X2_QUAD              \
  "ldr %[x], [%[w]], #4\n\t"         \
  "ldr %[y], [%[v]], #4\n\t"         \
  "ldrd %[p], %[q], [%[ab]], #8\n\t" \
  "sxtb16 %[t], %[x]\n\t"            \
  "smlad %[aw], %[t], %[p], %[aw]\n\t" \
  "smlad %[bw], %[t], %[q], %[bw]\n\t" \
  "sxtb16 %[t], %[y]\n\t"            \
  "smlad %[av], %[t], %[p], %[av]\n\t" \
  "smlad %[bv], %[t], %[q], %[bv]\n\t" \
  "ldrd %[p], %[q], [%[ab]], #8\n\t" \
  "sxtb16 %[t], %[x], ror #8\n\t"    \
  "smlad %[aw], %[t], %[p], %[aw]\n\t" \
  "smlad %[bw], %[t], %[q], %[bw]\n\t" \
  "sxtb16 %[t], %[y], ror #8\n\t"    \
  "smlad %[av], %[t], %[p], %[av]\n\t" \
  "smlad %[bv], %[t], %[q], %[bv]\n\t"

/* Adds the products of quads >= 1 quads of columns; two quads a turn, an odd one enters midway. */
static inline void lm_dot_2x2(const uint32_t *ab, const int8_t *w, const int8_t *v, int32_t quads,
                              lm_sums_2x2 *sums) {
  int32_t aw = sums->aw, bw = sums->bw, av = sums->av, bv = sums->bv;
  uint32_t x, y, p, q, t;
  __asm volatile(
      "lsrs %[n], %[n], #1\n\t"
      "adc %[n], %[n], #0\n\t"
      "bcs 2f\n"
      "1:\n\t" LM_DOT_2X2_QUAD
      "2:\n\t" LM_DOT_2X2_QUAD
      "subs %[n], %[n], #1\n\t"
      "bne 1b"
      : [aw] "+&r"(aw), [bw] "+&r"(bw), [av] "+&r"(av), [bv] "+&r"(bv), [ab] "+&r"(ab),
        [w] "+&r"(w), [v] "+&r"(v), [n] "+&r"(quads), [x] "=&r"(x), [y] "=&r"(y), [p] "=&r"(p),
        [q] "=&r"(q), [t] "=&r"(t)
      :
      : "cc", "memory");
  sums->aw = aw;
  sums->bw = bw;
  sums->av = av;
  sums->bv = bv;
}

/* The larger of each pair of uint16. */
static inline uint32_t lm_max_u16x2(uint32_t a, uint32_t b) {
  uint32_t larger;
  __asm("usub16 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(larger) : "r"(a), "r"(b));
  return larger;
}

#define LM_MIX_2X2_PAIR                \
  "ldrh %[x], [%[w]]\n\t"              \
  "ldrh %[y], [%[w], %[stride]]\n\t"   \
  "ldrd %[p], %[q], [%[ab]], #8\n\t"   \
  "add %[w], %[w], %[stride], lsl #1\n\t" \
  "pkhbt %[x], %[x], %[y], lsl #16\n\t" \
  "sxtb16 %[y], %[x]\n\t"              \
  "smlad %[aw], %[y], %[p], %[aw]\n\t" \
  "smlad %[bw], %[y], %[q], %[bw]\n\t" \
  "sxtb16 %[y], %[x], ror #8\n\t"      \
  "smlad %[av], %[y], %[p], %[av]\n\t" \
  "smlad %[bv], %[y], %[q], %[bv]\n\t"

/* Like lm_dot_2x2 with two neighbouring columns, w and the next, of a matrix of int8: pairs >= 1 of
 * its rows against the pairs of int16 (a, b), (a, b) ... */
static inline void lm_mix_2x2(const uint32_t *ab, const int8_t *w, int32_t stride, int32_t pairs,
                              lm_sums_2x2 *sums) {
  int32_t aw = sums->aw, bw = sums->bw, av = sums->av, bv = sums->bv;
  uint32_t x, y, p, q;
  __asm volatile(
      "lsrs %[n], %[n], #1\n\t"
      "adc %[n], %[n], #0\n\t"
      "bcs 2f\n"
      "1:\n\t" LM_MIX_2X2_PAIR
      "2:\n\t" LM_MIX_2X2_PAIR
      "subs %[n], %[n], #1\n\t"
      "bne 1b"
      : [aw] "+&r"(aw), [bw] "+&r"(bw), [av] "+&r"(av), [bv] "+&r"(bv), [ab] "+&r"(ab),
        [w] "+&r"(w), [n] "+&r"(pairs), [x] "=&r"(x), [y] "=&r"(y), [p] "=&r"(p), [q] "=&r"(q)
      : [stride] "r"(stride)
      : "cc", "memory");
  sums->aw = aw;
  sums->bw = bw;
  sums->av = av;
  sums->bv = bv;
}

#endif
