/* SPDX-License-Identifier: Apache-2.0
 * y = softmax(q * kT) * v over a cache that keeps what was looked at most. */
#include "causal_row.h"

/* By row of the cache, for one head of keys and values. */
typedef struct {
  int32_t *sums;
  uint16_t *history; /* of the first of the last `steps` queries; the others lie `step` apart */
  int32_t step;
} head_scores;

static head_scores scores_of(const lm_heavy_attention *p, const lm_heavy_row *row, int32_t head) {
  const int32_t counts = p->attention.key_value_heads * p->rows;
  uint16_t *const history = (uint16_t *)(void *)(row->scores + counts);
  return (head_scores){row->scores + head * p->rows, history + head * p->rows, counts};
}

static void clear_scores(const lm_heavy_attention *p, const lm_heavy_row *row) {
  const int32_t counts = p->attention.key_value_heads * p->rows;
  for (int32_t i = 0; i < counts; i++) row->scores[i] = 0;
  uint16_t *const history = (uint16_t *)(void *)(row->scores + counts);
  for (int32_t i = 0; i < p->steps * counts; i++) history[i] = 0;
}

/* shares += weights / total, in 1/2^12 */
static void add_shares(const uint8_t *weights, int32_t total, int32_t keys, uint16_t *shares) {
  const uint32_t inverse = (1u << 24) / (uint32_t)total;
  for (int32_t key = 0; key < keys; key++) {
    const uint32_t sum = shares[key] + (weights[key] * inverse >> 12);
    shares[key] = (uint16_t)(sum < UINT16_MAX ? sum : UINT16_MAX);
  }
}

static void add_to_scores(const lm_heavy_attention *p, head_scores scores, int32_t token,
                          const uint16_t *shares, int32_t keys) {
  uint16_t *const latest =
      p->steps == 0 ? NULL : scores.history + token % p->steps * scores.step;
  for (int32_t key = 0; key < keys; key++) {
    const int32_t before = scores.sums[key] - (latest == NULL ? 0 : latest[key]);
    scores.sums[key] = before > INT32_MAX - shares[key] ? INT32_MAX : before + shares[key];
    if (latest != NULL) latest[key] = shares[key];
  }
}

/* What lies in the row that the next token takes goes where the least score is, if it has more. */
static void make_room(const lm_heavy_attention *p, const lm_heavy_row *row, int32_t head,
                      head_scores scores) {
  const lm_causal_attention *const a = &p->attention;
  const int32_t from = lm_ring_row(row->token + 1, p->rows, p->pinned);
  int32_t least = 0;
  for (int32_t i = 1; i < p->pinned; i++) {
    if (scores.sums[i] < scores.sums[least]) least = i;
  }
  const bool moves = scores.sums[from] > scores.sums[least];
  if (moves) {
    int8_t *const keys = row->keys + head * a->head_width;
    memmove(keys + least * row->key_stride, keys + from * row->key_stride,
                      (size_t)a->head_width);
    int8_t *const values = row->values + head * a->value_width * row->value_stride;
    for (int32_t column = 0; column < a->value_width; column++) {
      values[column * row->value_stride + least] = values[column * row->value_stride + from];
    }
    scores.sums[least] = scores.sums[from];
  }
  scores.sums[from] = 0;
  for (int32_t step = 0; step < p->steps; step++) {
    uint16_t *const history = scores.history + step * scores.step;
    if (moves) history[least] = history[from];
    history[from] = 0;
  }
}

void lm_heavy_attention_s8_s8(const lm_heavy_attention *p, const lm_heavy_row *row, int8_t *y) {
  const lm_causal_attention *const a = &p->attention;
  const int32_t sharing = a->heads / a->key_value_heads;
  const int32_t keys = lm_min(row->token + 1, p->rows);
  uint16_t *const shares = row->scratch;
  uint8_t *const weights = (uint8_t *)(shares + p->rows);
  if (row->token == 0) clear_scores(p, row);
  for (int32_t group = 0; group < a->key_value_heads; group++) {
    const lm_rows k = {row->keys + group * a->head_width, row->key_stride};
    const lm_rows v = {row->values + group * a->value_width * row->value_stride,
                       row->value_stride};
    const head_scores scores = scores_of(p, row, group);
    for (int32_t key = 0; key < keys; key++) shares[key] = 0;
    for (int32_t head = group * sharing; head < (group + 1) * sharing; head++) {
      const int32_t total =
          lm_weigh_keys(a, head, row->q + head * a->head_width, k, keys, weights);
      lm_mix_values(a, lm_divide_requant(a->mix, total), weights, v, keys,
                    y + head * a->value_width);
      add_shares(weights, total, keys, shares);
    }
    add_to_scores(p, scores, row->token, shares, keys);
    if (row->token + 1 >= p->rows) make_room(p, row, group, scores);
  }
}
