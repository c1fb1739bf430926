/* SPDX-License-Identifier: Apache-2.0
 * The NPU of an emulated board: rings at the host, whose simulator works on the same memory
 * (toolchain/emulate/npu-service.ts), and waits.
 *
 * The doorbell is a pair of FIFOs that semihosting reads and writes, as files of QEMU's current
 * folder. The wait is a read that blocks QEMU itself, and so takes no time of the emulated core.
 */
#include "npu/npu.h"

/* Semihosting for AArch32 and AArch64 (Arm, ABI release 2025Q4), sections 7.16, 7.18, 7.21. */
enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };

/* What npu-service.ts reads and writes. */
typedef struct {
  uint32_t payload, payload_bytes;
  uint32_t bases;
  uint32_t base[LM_NPU_MOST_BASES];
  uint32_t bytes[LM_NPU_MOST_BASES];
} npu_request;

typedef struct {
  uint32_t is_done;
  char message[252]; /* ends with a zero */
} npu_answer;

static int32_t request_file = -1;
static int32_t answer_file = -1;
static npu_answer answer;
static const char *message = "";

static int32_t semihosting(int32_t operation, const void *arguments) {
  register int32_t r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = arguments;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static int32_t open_file(const char *path, uint32_t bytes, uint32_t mode) {
  const uint32_t arguments[] = {(uint32_t)(uintptr_t)path, mode, bytes};
  return semihosting(SYS_OPEN, arguments);
}

/* Read or write all of it. */
static bool transfer(int32_t operation, int32_t file, void *data, uint32_t bytes) {
  const uint32_t arguments[] = {(uint32_t)file, (uint32_t)(uintptr_t)data, bytes};
  return semihosting(operation, arguments) == 0;
}

static bool open_doorbell(void) {
  static const char request_path[] = "npu-request";
  static const char answer_path[] = "npu-answer";
  if (answer_file >= 0) return true;
  request_file = open_file(request_path, sizeof request_path - 1u, OPEN_WRITE_BINARY);
  if (request_file < 0) return false;
  answer_file = open_file(answer_path, sizeof answer_path - 1u, OPEN_READ_BINARY);
  return answer_file >= 0;
}

static bool refuse(const char *why) {
  message = why;
  return false;
}

bool lm_npu_run(const lm_npu_job *job, void *const *bases, const uint32_t *base_bytes) {
  npu_request request = {
      .payload = (uint32_t)(uintptr_t)job->payload,
      .payload_bytes = job->payload_bytes,
      .bases = job->bases,
  };
  if (job->bases > LM_NPU_MOST_BASES) return refuse("the job has more than 8 regions");
  for (uint32_t i = 0; i < job->bases; i++) {
    request.base[i] = (uint32_t)(uintptr_t)bases[i];
    request.bytes[i] = base_bytes[i];
  }
  if (!open_doorbell()) return refuse("nobody on the host simulates the NPU");
  if (!transfer(SYS_WRITE, request_file, &request, sizeof request) ||
      !transfer(SYS_READ, answer_file, &answer, sizeof answer)) {
    return refuse("the NPU's simulator on the host is gone");
  }
  return answer.is_done != 0 || refuse(answer.message);
}

lm_npu_failure lm_npu_last_failure(void) { return (lm_npu_failure){.message = message}; }
