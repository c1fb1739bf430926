/* SPDX-License-Identifier: Apache-2.0
 * Runs jobs by Arm's ethos-u-core-driver, for programs that link it: call ethosu_init for the NPU
 * before the model runs, without fast memory, for the driver would put that in the place of region 2;
 * let its interrupt handler call ethosu_irq_handler, and where the data cache is on, define
 * ethosu_flush_dcache and ethosu_invalidate_dcache. */
#include "npu/npu.h"

#include <ethosu_driver.h>
#include <stddef.h>

static lm_npu_failure failure;

lm_npu_failure lm_npu_last_failure(void) { return failure; }

bool lm_npu_run(const lm_npu_job *job, void *const *bases, const uint32_t *base_bytes) {
  uint64_t addresses[LM_NPU_MOST_BASES];
  size_t sizes[LM_NPU_MOST_BASES];
  if (job->bases > LM_NPU_MOST_BASES) {
    failure = (lm_npu_failure){.message = "the job has more than 8 regions"};
    return false;
  }
  for (uint32_t i = 0; i < job->bases; i++) {
    addresses[i] = (uintptr_t)bases[i];
    sizes[i] = base_bytes[i];
  }
  struct ethosu_driver *driver = ethosu_reserve_driver();
  if (driver == NULL) {
    failure = (lm_npu_failure){.message = "Arm's driver knows no NPU"};
    return false;
  }
  const int result = ethosu_invoke_v3(driver, job->payload, (int)job->payload_bytes, addresses,
                                      sizes, (int)job->bases, NULL);
  ethosu_release_driver(driver);
  if (result != 0) failure = (lm_npu_failure){.message = "Arm's driver refused the job or failed"};
  return result == 0;
}
