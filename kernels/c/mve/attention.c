/* SPDX-License-Identifier: Apache-2.0
 * attention.c for Helium: two query rows a, b by three keys, then by three value columns.
 * A row, key or column without a neighbour is its own.
 *
 * Scratch: (2, tokens) bytes, first the scores + 128 and then the weights of rows a and b. The
 * values of eight keys in a column are gathered, which needs strides below 9,362. */
#include "../kernels.h"
#include "mve.h"

/* Sums between two requantizations: whole vectors of four and whole blocks of three. */
enum { BAND = 48 };

/* Scores + 128 of keys `first` ... `first + count - 1`; sums: (2, BAND). k: one head's columns. */
static void score_band(const lm_attention *p, int32_t head, const int8_t *const q[2], lm_rows k,
                       int32_t first, int32_t count, uint8_t *const scores[2]) {
  const lm_requant requant = {p->score_multipliers[head], p->score_shifts[head]};
  const int8_t *u = k.data + first * k.stride;
  int32_t sums[2 * BAND];
  for (int32_t i = 0; i < count; i += 3) {
    const int8_t *v = u + lm_min(1, count - i - 1) * k.stride;
    const int8_t *w = u + lm_min(2, count - i - 1) * k.stride;
    lm_dot_2x3(q[0], q[1], u, v, w, p->head_width, sums + i, sums + BAND + i);
    u += 3 * k.stride;
  }
  lm_finish_uniform(sums, count, requant, 128, 0, 255, scores[0] + first);
  lm_finish_uniform(sums + BAND, count, requant, 128, 0, 255, scores[1] + first);
}

/* Turns a row's scores into weights and returns their sum; `keys` to `all_keys` weigh nothing. */
static int32_t weigh_keys(const uint8_t *exp_table, uint8_t *scores, int32_t keys,
                          int32_t all_keys) {
  uint8_t largest = 0;
  for (int32_t key = 0; key < keys; key += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)(keys - key));
    largest = vmaxvq_u8(largest, vldrbq_z_u8(scores + key, lanes));
  }
  uint32_t total = 0;
  for (int32_t key = 0; key < keys; key += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)(keys - key));
    const uint8x16_t differences =
        vsubq_u8(vdupq_n_u8(largest), vldrbq_z_u8(scores + key, lanes));
    const uint8x16_t weights = vldrbq_gather_offset_z_u8(exp_table, differences, lanes);
    vstrbq_p_u8(scores + key, weights, lanes);
    total = vaddvaq_u8(total, weights);
  }
  for (int32_t key = keys; key < all_keys; key++) scores[key] = 0;
  return (int32_t)total;
}

/* Sums over keys of weights a, b times the columns of v that begin at the three vectors of offsets:
 * 13 instructions for 48 products. */
static inline void mix_2x3(const uint8_t *const weights[2], lm_rows v, int32_t keys,
                           const uint16x8_t offsets[3], int32_t *sums_a, int32_t *sums_b) {
  const uint8_t *a = weights[0], *b = weights[1];
  const int8_t *base = v.data;
  int32_t au = 0, av = 0, aw = 0, bu = 0, bv = 0, bw = 0;
  __asm volatile(
      "wlstp.16 lr, %[n], 1f\n"
      "2:\n\t"
      "vldrb.u16 q0, [%[a]], #8\n\t"
      "vldrb.s16 q2, [%[base], %q[u]]\n\t"
      "vmladava.s16 %[au], q0, q2\n\t"
      "vldrb.u16 q1, [%[b]], #8\n\t"
      "vmladava.s16 %[bu], q1, q2\n\t"
      "vldrb.s16 q3, [%[base], %q[v]]\n\t"
      "vmladava.s16 %[av], q0, q3\n\t"
      "vmladava.s16 %[bv], q1, q3\n\t"
      "vldrb.s16 q2, [%[base], %q[w]]\n\t"
      "vmladava.s16 %[aw], q0, q2\n\t"
      "vmladava.s16 %[bw], q1, q2\n\t"
      "add %[base], %[base], %[step]\n\t"
      "letp lr, 2b\n"
      "1:"
      : [au] "+Te"(au), [av] "+Te"(av), [aw] "+Te"(aw), [bu] "+Te"(bu), [bv] "+Te"(bv),
        [bw] "+Te"(bw), [a] "+l"(a), [b] "+l"(b), [base] "+r"(base)
      : [n] "r"(keys), [step] "r"(8 * v.stride), [u] "w"(offsets[0]), [v] "w"(offsets[1]),
        [w] "w"(offsets[2])
      : "q0", "q1", "q2", "q3", "lr", "memory");
  sums_a[0] = au;
  sums_a[1] = av;
  sums_a[2] = aw;
  sums_b[0] = bu;
  sums_b[1] = bv;
  sums_b[2] = bw;
}

/* Sums of `count` columns of v. sums: (2, BAND) */
static void mix_band(const uint8_t *const weights[2], lm_rows v, int32_t keys, int32_t count,
                     int32_t *sums) {
  const uint16x8_t rows = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)v.stride);
  for (int32_t column = 0; column < count; column += 3) {
    const uint16x8_t offsets[3] = {
        rows,
        vaddq_n_u16(rows, (uint16_t)lm_min(1, count - column - 1)),
        vaddq_n_u16(rows, (uint16_t)lm_min(2, count - column - 1)),
    };
    mix_2x3(weights, v, keys, offsets, sums + column, sums + BAND + column);
    v.data += 3;
  }
}

void lm_attention_s8_s8_mve(const lm_attention *p, const lm_attention_tile *tile, int8_t *y,
                            int32_t y_stride) {
  uint8_t *const weights[2] = {tile->scratch, (uint8_t *)tile->scratch + tile->tokens};
  const uint8_t *const read_weights[2] = {weights[0], weights[1]};
  int32_t sums[2 * BAND];
  for (int32_t row = 0; row < tile->rows; row += 2) {
    const int32_t next = lm_min(row + 1, tile->rows - 1);
    const int32_t seen_a = p->causal ? tile->row_start + row + 1 : tile->tokens;
    const int32_t seen_b = p->causal ? tile->row_start + next + 1 : tile->tokens;
    const int32_t keys_a = lm_min(tile->tokens, seen_a);
    const int32_t keys = lm_min(tile->tokens, seen_b);
    for (int32_t head = 0; head < p->heads; head++) {
      const int8_t *const q[2] = {tile->q.data + row * tile->q.stride + head * p->head_width,
                                  tile->q.data + next * tile->q.stride + head * p->head_width};
      const lm_rows k = {tile->k.data + head * p->head_width, tile->k.stride};
      const uint8_t *exp_table = p->exp_tables + head * 256;
      for (int32_t key = 0; key < keys; key += BAND) {
        score_band(p, head, q, k, key, lm_min(BAND, keys - key), weights);
      }
      const lm_requant mix_a =
          lm_divide_requant(p->mix, weigh_keys(exp_table, weights[0], keys_a, keys));
      const lm_requant mix_b =
          lm_divide_requant(p->mix, weigh_keys(exp_table, weights[1], keys, keys));
      for (int32_t column = 0; column < p->value_width; column += BAND) {
        const int32_t first = head * p->value_width + column;
        const int32_t count = lm_min(BAND, p->value_width - column);
        const lm_rows v = {tile->v.data + first, tile->v.stride};
        mix_band(read_weights, v, keys, count, sums);
        lm_finish_uniform(sums, count, mix_a, p->zero_point, INT8_MIN, INT8_MAX,
                          y + row * y_stride + first);
        lm_finish_uniform(sums + BAND, count, mix_b, p->zero_point, INT8_MIN, INT8_MAX,
                          y + next * y_stride + first);
      }
    }
  }
}
