/* SPDX-License-Identifier: Apache-2.0
 * Runs jobs on an Arm Ethos-U NPU. One file of this folder is linked:
 *
 *   ethos-u.c   the registers of the NPU, by itself
 *   driver.c    Arm's ethos-u-core-driver, for programs that link it already
 *   emulated.c  a doorbell to the host, whose simulator runs the job on the same memory (QEMU)
 *   none.c      there is no NPU
 *
 * A job is a payload as Arm's driver takes it ("COP1", toolchain/ethosu/payload.ts): a command stream
 * that works on regions of memory given at run time. Region 0 holds constants, which the NPU only
 * reads. The caller owns all memory, and the NPU can reach all of it.
 */
#ifndef LM2MCU_NPU_H
#define LM2MCU_NPU_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Regions that a command stream can name. */
#define LM_NPU_MOST_BASES 8u
/* Of payloads and bases, in bytes. */
#define LM_NPU_ALIGNMENT 16u

typedef struct {
  const void *payload;
  uint32_t payload_bytes;
  uint32_t bases; /* regions that the stream uses: the first so many */
} lm_npu_job;

/* Runs the job to its end. bases, base_bytes (job->bases): where each region begins, and its size.
 * False: it was refused or went wrong, and what it writes is undefined; lm_npu_last_failure says why. */
bool lm_npu_run(const lm_npu_job *job, void *const *bases, const uint32_t *base_bytes);

typedef struct {
  const char *message;
  uint32_t status; /* the NPU's STATUS register, or 0 */
  uint32_t word;   /* of the command stream, up to which the NPU has read; or 0 */
} lm_npu_failure;

/* Of the last job that returned false. */
lm_npu_failure lm_npu_last_failure(void);

#ifdef __cplusplus
}
#endif

#endif
