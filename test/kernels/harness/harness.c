/* SPDX-License-Identifier: Apache-2.0
 * Runs kernels on cases from a stream, the same source on the host and on each emulated core.
 *
 * A case is the words {kernel, argument count, region count, arena bytes}, the arguments, the
 * regions, and the arena: all the memory of one call, in which pointers are byte offsets (-1: NULL).
 * The answer is {counter ticks, 1 if a second call did the same} and the arena after the call.
 * `kernel_rows.h` is generated from kernels.json: a ROW(family, name, input, output) a kernel. */
#include "harness.h"

#include <stddef.h>
#include <string.h>

#include "kernels.h"

enum { ARENA_BYTES = 1 << 20, MAX_ARGUMENTS = 64, MAX_REGIONS = 64 };

/* 16: alignments are chosen by the cases. */
static uint8_t pristine[ARENA_BYTES] __attribute__((aligned(16)));
static uint8_t arena[ARENA_BYTES] __attribute__((aligned(16)));
static uint8_t first_result[ARENA_BYTES] __attribute__((aligned(16)));

static void *at(int32_t offset) { return offset < 0 ? NULL : arena + offset; }

static lm_rows rows_at(const int32_t *a) {
  const lm_rows rows = {at(a[0]), a[1]};
  return rows;
}

static inline lm_wide_rows wide_rows_at(const int32_t *a) {
  const lm_wide_rows rows = {at(a[0]), a[1]};
  return rows;
}

#define INPUT_int8_t rows_at
#define INPUT_int16_t wide_rows_at

static lm_norm norm_at(const int32_t *a) {
  const lm_norm norm = {
      .width = a[0],
      .epsilon = (int64_t)(((uint64_t)(uint32_t)a[2] << 32) | (uint32_t)a[1]),
      .fraction = a[3],
      .out_shift = a[4],
      .min = a[5],
      .max = a[6],
      .gamma = at(a[7]),
      .beta = at(a[8]),
  };
  return norm;
}

#define RUN_linear(name, input, type)                                                    \
  static void run_##name(const int32_t *a) {                                             \
    const lm_linear p = {a[0], a[1], at(a[2]), at(a[3]), at(a[4]), at(a[5]), a[6], a[7], \
                         a[8], at(a[9]), a[16], (int8_t)a[17], (int8_t)a[18]};           \
    name(&p, INPUT_##input(a + 10), a[12], (type *)at(a[13]), a[14], at(a[15]));         \
  }

#define RUN_attention(name, input, type)                                                 \
  static void run_##name(const int32_t *a) {                                             \
    const lm_attention p = {a[0],     a[1],     a[2],     a[3] != 0,    a[4],            \
                            at(a[5]), at(a[6]), at(a[7]), {a[8], a[9]}, a[10]};          \
    const lm_attention_tile tile = {a[11],           a[12],           a[13],             \
                                    rows_at(a + 14), rows_at(a + 16), rows_at(a + 18),   \
                                    at(a[20])};                                          \
    name(&p, &tile, (type *)at(a[21]), a[22]);                                           \
  }

#define RUN_normalized_attention(name, input, type)                                      \
  static void run_##name(const int32_t *a) {                                             \
    const lm_normalized_attention p = {a[0],     a[1],     a[2],     at(a[3]),     at(a[4]), \
                                       at(a[5]), at(a[6]), at(a[7]), {a[8], a[9]}, a[10]};   \
    const lm_attention_tile tile = {a[11],           a[12],           a[13],             \
                                    rows_at(a + 14), rows_at(a + 16), rows_at(a + 18),   \
                                    at(a[20])};                                          \
    name(&p, &tile, (type *)at(a[21]), a[22]);                                           \
  }

#define RUN_causal_attention(name, input, type)                                          \
  static void run_##name(const int32_t *a) {                                             \
    const lm_causal_attention p = {a[0],     a[1],         a[2], a[3], at(a[4]),         \
                                   at(a[5]), {a[6], a[7]}, a[8]};                        \
    const lm_causal_tile tile = {a[9],            a[10],           rows_at(a + 11),      \
                                 rows_at(a + 13), rows_at(a + 15), at(a[17])};           \
    name(&p, &tile, (type *)at(a[18]), a[19]);                                           \
  }

#define RUN_heavy_attention(name, input, type)                                           \
  static void run_##name(const int32_t *a) {                                             \
    const lm_heavy_attention p = {{a[0], a[1], a[2], a[3], at(a[4]), at(a[5]),           \
                                   {a[6], a[7]}, a[8]},                                  \
                                  a[9], a[10], a[11]};                                   \
    const lm_heavy_row row = {a[12], at(a[13]), at(a[14]), a[15],                        \
                              at(a[16]), a[17], at(a[18]), at(a[19])};                   \
    name(&p, &row, (type *)at(a[20]));                                                   \
  }

#define RUN_rotary(name, input, type)                                                    \
  static void run_##name(const int32_t *a) {                                             \
    const lm_rotary p = {a[0], a[1], a[2], a[3], at(a[4])};                              \
    name(&p, wide_rows_at(a + 5), a[7], a[8], (type *)at(a[9]), a[10]);                  \
  }

#define RUN_gated_product(name, input, type)                                             \
  static void run_##name(const int32_t *a) {                                             \
    const lm_gated_product p = {a[0], at(a[1]), a[2], a[3], a[4]};                       \
    name(&p, rows_at(a + 5), rows_at(a + 7), a[9], (type *)at(a[10]), a[11]);            \
  }

#define RUN_residual_add(name, input, type)                                              \
  static void run_##name(const int32_t *a) {                                             \
    const lm_residual_add p = {a[0], a[1], a[2], a[3]};                                  \
    name(&p, wide_rows_at(a + 4), wide_rows_at(a + 6), a[8], (type *)at(a[9]), a[10]);   \
  }

#define RUN_scaled_add(name, input, type)                                                \
  static void run_##name(const int32_t *a) {                                             \
    const lm_scaled_add p = {a[0], a[1], at(a[2]), a[3], a[4], a[5], a[6], a[7]};        \
    name(&p, rows_at(a + 8), rows_at(a + 10), a[12], (type *)at(a[13]), a[14]);          \
  }

#define RUN_rms_norm(name, input, type)                                                  \
  static void run_##name(const int32_t *a) {                                             \
    const lm_rms_norm p = {                                                              \
        .width = a[0],                                                                   \
        .epsilon = (int64_t)(((uint64_t)(uint32_t)a[2] << 32) | (uint32_t)a[1]),         \
        .fraction = a[3],                                                                \
        .out_shift = a[4],                                                               \
        .offset = a[5],                                                                  \
        .min = a[6],                                                                     \
        .max = a[7],                                                                     \
        .gamma = at(a[8]),                                                               \
    };                                                                                   \
    name(&p, wide_rows_at(a + 9), a[11], (type *)at(a[12]), a[13]);                      \
  }

#define RUN_add(name, input, type)                                                       \
  static void run_##name(const int32_t *a) {                                             \
    const lm_add p = {a[0],         a[1],  a[2],  {a[3], a[4]}, {a[5], a[6]},            \
                      {a[7], a[8]}, a[9], a[10], a[11]};                                 \
    name(&p, rows_at(a + 12), rows_at(a + 14), a[16], (type *)at(a[17]), a[18]);         \
  }

#define RUN_layer_norm(name, input, type)                           \
  static void run_##name(const int32_t *a) {                        \
    const lm_norm p = norm_at(a);                                   \
    name(&p, INPUT_##input(a + 9), a[11], (type *)at(a[12]), a[13]); \
  }

#define RUN_add_layernorm(name, input, type)                                     \
  static void run_##name(const int32_t *a) {                                     \
    const lm_add_layernorm p = {norm_at(a), a[9], a[10], a[11], a[12]};          \
    name(&p, rows_at(a + 13), rows_at(a + 15), a[17], (type *)at(a[18]), a[19]); \
  }

#define RUN_lookup_rows(name, input, type)                \
  static void run_##name(const int32_t *a) {              \
    const lm_lookup_rows p = {a[0], a[1], at(a[2]), at(a[3]), a[4]}; \
    const lm_token_tile tile = {at(a[5]), a[6], a[7]};    \
    name(&p, &tile, (type *)at(a[8]), a[9]);              \
  }

#define RUN_weight_rows(name, input, type)                \
  static void run_##name(const int32_t *a) {              \
    const lm_weight_rows p = {a[0], a[1], at(a[2]), at(a[3]), a[4]}; \
    const lm_token_tile tile = {at(a[5]), a[6], a[7]};    \
    name(&p, &tile, (type *)at(a[8]), a[9]);              \
  }

enum { MAX_GROUPS = 6, MAX_STAGES = 6 };

/* a: ids, rows, row_start, y, y_stride, groups, bits, packed, before, width, then 7 words a
 * cluster. */
#define RUN_cluster_rows(name, input, type)                                                 \
  static void run_##name(const int32_t *a) {                                                \
    lm_cluster clusters[MAX_GROUPS];                                                        \
    for (int32_t i = 0; i < a[5]; i++) {                                                    \
      const int32_t *const b = a + 10 + 7 * i;                                              \
      clusters[i] = (lm_cluster){b[0],     b[1],     at(b[2]), at(b[3]),                    \
                                 at(b[4]), at(b[5]), at(b[6])};                             \
    }                                                                                       \
    const lm_cluster_rows p = {a[9], {a[5], a[6], at(a[7]), at(a[8])}, clusters};           \
    const lm_token_tile tile = {at(a[0]), a[1], a[2]};                                      \
    name(&p, &tile, (type *)at(a[3]), a[4]);                                                \
  }

/* The same first nine, rank, stages, two words a tier, three a stage. */
#define RUN_codebook_rows(name, input, type)                                                \
  static void run_##name(const int32_t *a) {                                                \
    lm_tier tiers[MAX_GROUPS];                                                              \
    lm_codebook books[MAX_STAGES];                                                          \
    const int32_t *b = a + 11;                                                              \
    for (int32_t i = 0; i < a[5]; i++, b += 2) tiers[i] = (lm_tier){b[0], at(b[1])};        \
    for (int32_t i = 0; i < a[10]; i++, b += 3) {                                           \
      books[i] = (lm_codebook){b[0], b[1], at(b[2])};                                       \
    }                                                                                       \
    const lm_codebook_rows p = {a[9], {a[5], a[6], at(a[7]), at(a[8])}, tiers, books};      \
    const lm_token_tile tile = {at(a[0]), a[1], a[2]};                                      \
    name(&p, &tile, (type *)at(a[3]), a[4]);                                                \
  }

#define RUN_trigrams(name, input, type)                                                     \
  static void run_##name(const int32_t *a) {                                                \
    const lm_trigrams p = {a[0]};                                                           \
    name(&p, rows_at(a + 1), a[3], a[4], a[5], (type *)at(a[6]), a[7]);                     \
  }

#define RUN_embed(name, input, type)                                                        \
  static void run_##name(const int32_t *a) {                                                \
    const lm_embed p = {a[0], at(a[1]), a[2], a[3], a[4], a[5], a[6], a[7]};                \
    const lm_embedding_tile tile = {rows_at(a + 8), rows_at(a + 10), a[12], a[13], a[14]};  \
    name(&p, &tile, (type *)at(a[15]), a[16]);                                              \
  }

#define RUN_embed_layernorm(name, input, type)                                              \
  static void run_##name(const int32_t *a) {                                                \
    const lm_embed_layernorm p = {norm_at(a), at(a[9]), a[10], a[11], a[12], a[13]};        \
    const lm_embedding_tile tile = {rows_at(a + 14), rows_at(a + 16), a[18], a[19], a[20]}; \
    name(&p, &tile, (type *)at(a[21]), a[22]);                                              \
  }

/* Block `index` of a streamed x; a: data, stride, tokens, carry, rows of even and of odd blocks. */
static lm_block block_at(const int32_t *a, int32_t first, int32_t index) {
  lm_block block = {rows_at(a), first, lm_min(a[4 + (index & 1)], a[2] - first), a[2], at(a[3])};
  block.x.data += first * block.x.stride;
  return block;
}

#define FOR_BLOCKS(a) for (int32_t first = 0, index = 0; first < (a)[2]; index++)

#define RUN_mean_rows(name, input, type)                           \
  static void run_##name(const int32_t *a) {                       \
    const lm_mean_rows p = {a[0], a[1], {a[2], a[3]}, a[4], a[5]}; \
    FOR_BLOCKS(a + 6) {                                            \
      const lm_block block = block_at(a + 6, first, index);        \
      name(&p, &block, (type *)at(a[12]));                         \
      first += block.rows;                                         \
    }                                                              \
  }

#define RUN_attend_inputs(name, input, type)                                              \
  static void run_##name(const int32_t *a) {                                              \
    const lm_attend_inputs p = {a[0],     a[1],     at(a[2]), at(a[3]),                   \
                                at(a[4]), at(a[5]), a[6],     {a[7], a[8]}};              \
    FOR_BLOCKS(a + 12) {                                                                  \
      const lm_block block = block_at(a + 12, first, index);                              \
      name(&p, INPUT_##input(a + 9), a[11], &block, at(a[18]), (type *)at(a[19]), a[20]); \
      first += block.rows;                                                                \
    }                                                                                     \
  }

#define ROW(family, name, input, type) RUN_##family(name, input, type)
#include "kernel_rows.h"
#undef ROW

#define ROW(family, name, input, type) run_##name,
static void (*const runners[])(const int32_t *) = {
#include "kernel_rows.h"
};
#undef ROW

static uint32_t run_once(int32_t kernel, const int32_t *arguments, uint32_t size,
                         const region *regions, int32_t region_count) {
  memcpy(arena, pristine, size);
  guard(arena, size, regions, region_count);
  const uint32_t start = read_counter();
  runners[kernel](arguments);
  const uint32_t ticks = (start - read_counter()) & 0xffffffu;
  unguard(arena, size);
  return ticks;
}

void run_cases(void) {
  int32_t header[4]; /* kernel, argument count, region count, arena bytes */
  int32_t arguments[MAX_ARGUMENTS];
  region regions[MAX_REGIONS];
  while (read_bytes(header, sizeof header)) {
    const uint32_t size = (uint32_t)header[3];
    read_bytes(arguments, (uint32_t)header[1] * (uint32_t)sizeof arguments[0]);
    read_bytes(regions, (uint32_t)header[2] * (uint32_t)sizeof regions[0]);
    read_bytes(pristine, size);
    run_once(header[0], arguments, size, regions, header[2]);
    memcpy(first_result, arena, size);
    const uint32_t ticks = run_once(header[0], arguments, size, regions, header[2]);
    const uint32_t answer[2] = {ticks, memcmp(first_result, arena, size) == 0};
    write_bytes(answer, sizeof answer);
    write_bytes(arena, size);
  }
}
