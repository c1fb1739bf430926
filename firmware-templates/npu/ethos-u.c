/* SPDX-License-Identifier: Apache-2.0
 * Runs jobs by the registers of the Ethos-U55: reset, where the queue and the regions lie, run, wait.
 *
 * Registers and bits as in Arm's public ethosu55_interface.h, the order of the steps as in its
 * ethosu_device_u55_u65.c (ethos-u-core-driver). What goes wrong resets the NPU, so that it writes
 * nothing any more; the next job finds it as after power-on. Only one job runs at a time.
 *
 * The core waits, so that a line of the data cache that the NPU's memory shares with other data of
 * the same buffer stays clean; the linker script keeps the arena apart from what interrupts write.
 */
#include <stddef.h>

#include "board.h"
#include "npu/hardware.h"
#include "npu/npu.h"
#include "platform.h"

enum {
  NPU_ID = 0x00,
  NPU_STATUS = 0x04,
  NPU_CMD = 0x08,
  NPU_RESET = 0x0C,
  NPU_QBASE = 0x10,
  NPU_QBASE_HI = 0x14,
  NPU_QREAD = 0x18,
  NPU_QCONFIG = 0x1C,
  NPU_QSIZE = 0x20,
  NPU_PROT = 0x24,
  NPU_CONFIG = 0x28,
  NPU_REGIONCFG = 0x3C,
  NPU_AXI_LIMIT0 = 0x40, /* four of them */
  NPU_BASEP0 = 0x80      /* a low and a high word for each region */
};

#define STATUS_IRQ_RAISED (1u << 1)
#define STATUS_BUS_ERROR (1u << 2)
#define STATUS_RESETTING (1u << 3)
#define STATUS_PARSE_ERROR (1u << 4)
#define STATUS_END_REACHED (1u << 5)
#define STATUS_WEIGHT_FAULT (1u << 7)
#define STATUS_ECC_FAULT (1u << 8)
#define STATUS_CHANNEL(status) (((status) >> 12) & 0xFu)

#define CMD_RUN (1u << 0) /* the Q bits beside it stay 0: clock and power stay on */
#define CMD_CLEAR_IRQ (1u << 1)

/* RESET takes, and PROT shows, the level that the NPU works at. */
#define LEVEL_PRIVILEGED_SECURE 1u

/* Product in 31:28, version of the command stream in 7:4, log2 of the MACs in 3:0. */
#define CONFIG_COMPARED 0xF00000FFu
#define ID_MAJOR(id) ((id) >> 28)
#define ID_MINOR(id) (((id) >> 20) & 0xFFu)

/* As many transactions under way as the buses allow: 32 reads, 16 writes. */
#define AXI_LIMIT ((31u << 16) | (15u << 24))
/* AXI1 only reads: it takes the commands and region 0; AXI0 takes all other regions. */
#define QCONFIG_AXI1 2u
#define REGIONCFG_CONSTANTS_AXI1 3u

/* Reads of STATUS; some 16 clocks of the NPU suffice. */
#define RESET_POLLS 100000u
/* No job takes more than milliseconds. */
#define TIMEOUT_SECONDS 10u

#define TAG_MAGIC 0x31504F43u /* "COP1" */
#define TAG_CONFIG 1u
#define TAG_STREAM 2u
#define TAG_NOP 5u

typedef struct {
  uint32_t config;
  uint32_t id;
  const uint32_t *stream;
  uint32_t words;
} payload_parts;

static bool is_ready;
static lm_npu_failure failure;

lm_npu_failure lm_npu_last_failure(void) { return failure; }

static bool refuse(const char *message) {
  failure = (lm_npu_failure){.message = message};
  return false;
}

static bool is_aligned(const void *pointer) {
  return ((uintptr_t)pointer & (LM_NPU_ALIGNMENT - 1u)) == 0;
}

/* The container is described in toolchain/ethosu/payload.ts. */
static bool read_payload(const lm_npu_job *job, payload_parts *parts) {
  const uint32_t *words = (const uint32_t *)job->payload;
  const uint32_t count = job->payload_bytes / 4u;
  bool has_config = false;
  if (!is_aligned(words)) return refuse("the payload is not aligned to 16 bytes");
  if (count == 0 || words[0] != TAG_MAGIC) return refuse("the payload does not begin with COP1");
  for (uint32_t at = 1; at < count;) {
    switch (words[at] & 0xFFu) {
      case TAG_CONFIG:
        if (count - at < 3u) return refuse("the payload ends within its config");
        parts->config = words[at + 1u];
        parts->id = words[at + 2u];
        has_config = true;
        at += 3u;
        break;
      case TAG_NOP:
        at++;
        break;
      case TAG_STREAM:
        parts->words = (words[at] >> 16) | (((words[at] >> 8) & 0xFFu) << 16);
        parts->stream = words + at + 1u;
        if (!has_config) return refuse("the command stream comes before the config");
        if (parts->words > count - at - 1u) return refuse("the command stream is cut off");
        if (!is_aligned(parts->stream)) {
          return refuse("the command stream is not aligned to 16 bytes");
        }
        return true;
      default:
        return refuse("the payload has an unknown tag");
    }
  }
  return refuse("the payload has no command stream");
}

static bool check_bases(const lm_npu_job *job, void *const *bases) {
  if (job->bases > LM_NPU_MOST_BASES) return refuse("the job has more than 8 regions");
  for (uint32_t i = 0; i < job->bases; i++) {
    if (!is_aligned(bases[i])) return refuse("a region is not aligned to 16 bytes");
  }
  return true;
}

static bool reset(void) {
  npu_write(NPU_RESET, LEVEL_PRIVILEGED_SECURE);
  for (uint32_t polls = 0; (npu_read(NPU_STATUS) & STATUS_RESETTING) != 0; polls++) {
    if (polls == RESET_POLLS) return refuse("the NPU does not come out of its reset");
  }
  if (npu_read(NPU_PROT) != LEVEL_PRIVILEGED_SECURE) {
    return refuse("the NPU does not work at the level secure and privileged");
  }
  for (uint32_t i = 0; i < 4u; i++) npu_write(NPU_AXI_LIMIT0 + 4u * i, AXI_LIMIT);
  return true;
}

static bool check_config(const payload_parts *parts) {
  const uint32_t id = npu_read(NPU_ID);
  if (((npu_read(NPU_CONFIG) ^ parts->config) & CONFIG_COMPARED) != 0) {
    return refuse("the job was compiled for an NPU with another number of MACs, or another product");
  }
  if (ID_MAJOR(id) != ID_MAJOR(parts->id) || ID_MINOR(id) < ID_MINOR(parts->id)) {
    return refuse("the job was compiled for a newer architecture than the NPU's");
  }
  return true;
}

static void uncache(const lm_npu_job *job, void *const *bases, const uint32_t *base_bytes) {
  for (uint32_t i = 0; i < job->bases; i++) npu_uncache(bases[i], base_bytes[i]);
}

static void start(const lm_npu_job *job, const payload_parts *parts, void *const *bases) {
  npu_write(NPU_QBASE, npu_address(parts->stream));
  npu_write(NPU_QBASE_HI, 0);
  npu_write(NPU_QSIZE, 4u * parts->words);
  npu_write(NPU_QCONFIG, QCONFIG_AXI1);
  for (uint32_t i = 0; i < job->bases; i++) {
    npu_write(NPU_BASEP0 + 8u * i, npu_address(bases[i]));
    npu_write(NPU_BASEP0 + 8u * i + 4u, 0);
  }
  npu_write(NPU_REGIONCFG, REGIONCFG_CONSTANTS_AXI1);
  npu_write(NPU_CMD, CMD_RUN);
}

/* False: it took too long. */
static bool wait_for_end(void) {
  const uint64_t limit = (uint64_t)TIMEOUT_SECONDS * BOARD_CLOCK_HZ;
  const uint64_t begin = counter_ticks();
  while ((npu_read(NPU_STATUS) & STATUS_IRQ_RAISED) == 0) {
    if (counter_ticks() - begin > limit) return false;
    npu_sleep(NPU_STATUS, STATUS_IRQ_RAISED);
  }
  return true;
}

static const char *name_bus_error(uint32_t channel) {
  switch (channel) {
    case 0:
      return "the NPU met a bus error reading commands";
    case 1:
      return "the NPU met a bus error reading an input";
    case 2:
      return "the NPU met a bus error reading weights";
    case 3:
      return "the NPU met a bus error reading scales";
    case 8:
      return "the NPU met a bus error writing an output";
    default:
      return "the NPU met a bus error moving memory";
  }
}

/* NULL: the job is done. */
static const char *name_fault(uint32_t status) {
  if ((status & STATUS_BUS_ERROR) != 0) return name_bus_error(STATUS_CHANNEL(status));
  if ((status & STATUS_PARSE_ERROR) != 0) return "the NPU cannot read the command stream";
  if ((status & STATUS_WEIGHT_FAULT) != 0) return "the NPU cannot decode the weights";
  if ((status & STATUS_ECC_FAULT) != 0) return "the NPU's own memory is faulty";
  if ((status & STATUS_END_REACHED) == 0) return "the NPU stopped before the end of the job";
  return NULL;
}

/* The NPU is at rest afterwards. */
static bool fail(const char *message) {
  const uint32_t status = npu_read(NPU_STATUS);
  const uint32_t word = npu_read(NPU_QREAD) / 4u;
  is_ready = reset();
  failure = (lm_npu_failure){.message = message, .status = status, .word = word};
  return false;
}

bool lm_npu_run(const lm_npu_job *job, void *const *bases, const uint32_t *base_bytes) {
  payload_parts parts = {0};
  if (!read_payload(job, &parts) || !check_bases(job, bases)) return false;
  if (!is_ready) is_ready = reset();
  if (!is_ready || !check_config(&parts)) return false;
  uncache(job, bases, base_bytes);
  start(job, &parts, bases);
  if (!wait_for_end()) return fail("the NPU did not finish the job in 10 s");
  const uint32_t status = npu_read(NPU_STATUS);
  npu_write(NPU_CMD, CMD_CLEAR_IRQ);
  const char *fault = name_fault(status);
  if (fault != NULL) return fail(fault);
  /* Lines that the core fetched ahead while the NPU wrote. */
  uncache(job, bases, base_bytes);
  return true;
}
