/* SPDX-License-Identifier: Apache-2.0
 * Properties of code points, stored as runs, for the files of tokenizers. */
#ifndef LM_RUNS_H
#define LM_RUNS_H

#include <stdbool.h>
#include <stdint.h>

/* The last run of the plane that starts at or before the code point; each plane starts one.
 * planes: (18) first run of each plane of 65,536 code points, and the end; run_starts: low 16 bits
 * of the first code point of a run. */
static inline uint32_t lm_find_run(const uint16_t *planes, const uint16_t *run_starts,
                                   uint32_t code_point) {
  const uint32_t low_bits = code_point & 0xFFFF;
  uint32_t run = planes[code_point >> 16];
  uint32_t end = planes[(code_point >> 16) + 1];
  while (end - run > 1) {
    const uint32_t middle = (run + end) / 2;
    if (run_starts[middle] <= low_bits) {
      run = middle;
    } else {
      end = middle;
    }
  }
  return run;
}

/* White_Space of Unicode 17.0. */
static inline bool lm_is_white_space(uint32_t code_point) {
  if (code_point < 0x80) return code_point == ' ' || (code_point >= 0x09 && code_point <= 0x0D);
  return code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 ||
         code_point == 0x2029 || code_point == 0x202F || code_point == 0x205F ||
         code_point == 0x3000;
}

#endif
