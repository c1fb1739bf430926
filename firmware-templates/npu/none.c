/* SPDX-License-Identifier: Apache-2.0
 * There is no NPU: no model that was compiled for this board has a job. */
#include "npu/npu.h"

bool lm_npu_run(const lm_npu_job *job, void *const *bases, const uint32_t *base_bytes) {
  (void)job;
  (void)bases;
  (void)base_bytes;
  return false;
}

lm_npu_failure lm_npu_last_failure(void) {
  return (lm_npu_failure){.message = "there is no NPU"};
}
