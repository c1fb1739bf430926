/* SPDX-License-Identifier: Apache-2.0
 * Packs matrices from stdin to streams on stdout. A case: nine int32 (outputs, inputs, block depth,
 * micro depth, bytes of the stream, rows, columns, stride, turned), then rows * stride values. */
#include <stdio.h>
#include <stdlib.h>

#include "npu_attention.h"

enum { FIELDS = 9 };

bool lm_npu_run(const lm_npu_job *job, void *const *bases, const uint32_t *base_bytes) {
  (void)job, (void)bases, (void)base_bytes;
  return false;
}

int main(void) {
  int32_t f[FIELDS];
  while (fread(f, sizeof f, 1, stdin) == 1) {
    const lm_npu_weights shape = {.outputs = f[0], .inputs = f[1], .block_depth = f[2],
                                  .micro_depth = f[3], .bytes = (uint32_t)f[4]};
    const size_t values = (size_t)(f[5] - 1) * (size_t)f[7] + (size_t)f[6];
    int8_t *const x = malloc(values);
    uint8_t *const stream = malloc(shape.bytes);
    if (x == NULL || stream == NULL || fread(x, values, 1, stdin) != 1) return 1;
    lm_npu_pack_weights(&shape, (lm_rows){x, f[7]}, f[5], f[8] != 0, stream);
    fwrite(stream, shape.bytes, 1, stdout);
    free(x);
    free(stream);
  }
  return 0;
}
