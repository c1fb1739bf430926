/* SPDX-License-Identifier: Apache-2.0
 * The runner of npu/ethos-u.c against a model of the NPU's registers, of memory, and of the data cache
 * in between. Arguments: what goes wrong in each of the jobs that are run one after the other.
 *
 * The model holds the runner to the rules of Arm's register description: while the NPU resets, only
 * STATUS can be read and nothing is written; a running NPU is left alone; what a reset clears is set
 * again before the next job. A job reads 16 bytes of region 1, adds one, and writes them to region 2.
 * Memory and what the core sees of it are two arrays, which only npu_uncache brings together; what the
 * core wrote must be in memory before the NPU runs, or a line of the cache could overwrite its output.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npu/hardware.h"
#include "npu/npu.h"
#include "platform.h"

enum {
  ID = 0x00, STATUS = 0x04, CMD = 0x08, RESET = 0x0C, QBASE = 0x10, QREAD = 0x18, QCONFIG = 0x1C,
  QSIZE = 0x20, PROT = 0x24, CONFIG = 0x28, REGIONCFG = 0x3C, AXI_LIMIT0 = 0x40, BASEP0 = 0x80,
  REGISTERS = 0x100
};
enum { RUNNING = 1 << 0, IRQ = 1 << 1, RESETTING = 1 << 3, END_REACHED = 1 << 5 };
#define FAULTS ((1u << 2) | (1u << 4) | (1u << 7) | (1u << 8))

/* A U55-256 of architecture 1.0.6. */
#define CONFIG_U55_256 0x00003008u
#define ID_1_0_6 0x10061001u
#define MEMORY_ORIGIN 0x30000000u
#define MEMORY_BYTES 1024u

static _Alignas(16) uint8_t seen[MEMORY_BYTES]; /* by the core, through its cache */
static uint8_t memory[MEMORY_BYTES];
static bool is_newer[MEMORY_BYTES]; /* in memory, for the NPU wrote it */
static bool is_dirty[MEMORY_BYTES]; /* in the cache, for the core wrote it */
static uint32_t registers[REGISTERS / 4];
static uint32_t reads_until_reset;
static uint32_t sleeps_until_end;
static uint64_t ticks;
static const char *trouble = "";

static bool has(const char *name) { return strcmp(trouble, name) == 0; }

static uint32_t *reg(uint32_t offset) {
  if (offset % 4u != 0 || offset >= REGISTERS) {
    printf("violation: there is no register at 0x%02" PRIx32 "\n", offset);
    exit(1);
  }
  return &registers[offset / 4u];
}

static void violation(const char *what) { printf("violation: %s\n", what); }

/* ---- Memory and cache ---- */

uint32_t npu_address(const void *pointer) {
  return MEMORY_ORIGIN + (uint32_t)((const uint8_t *)pointer - seen);
}

static uint8_t *at(uint32_t address, uint32_t bytes) {
  if (address < MEMORY_ORIGIN || address - MEMORY_ORIGIN + bytes > MEMORY_BYTES) {
    violation("an access beyond the memory");
    exit(1);
  }
  return memory + (address - MEMORY_ORIGIN);
}

void npu_uncache(const void *start, uint32_t bytes) {
  const uint32_t offset = npu_address(start) - MEMORY_ORIGIN;
  if ((*reg(STATUS) & RUNNING) != 0) violation("the cache is cleaned while the NPU runs");
  for (uint32_t i = offset; i < offset + bytes; i++) {
    if (is_newer[i]) seen[i] = memory[i];
    else memory[i] = seen[i];
    is_newer[i] = is_dirty[i] = false;
  }
}

static void core_writes(uint8_t *place, const void *bytes, uint32_t count) {
  memcpy(place, bytes, count);
  for (uint32_t i = 0; i < count; i++) is_dirty[place - seen + i] = true;
}

/* ---- The NPU ---- */

static void finish(void) {
  uint32_t *status = reg(STATUS);
  *status = (*status & ~(uint32_t)RUNNING) | IRQ;
  *reg(QREAD) = *reg(QSIZE);
  if (has("bus-read")) *status |= 1u << 2 | 1u << 12;
  else if (has("bus-write")) *status |= 1u << 2 | 8u << 12;
  else if (has("bus-dma")) *status |= 1u << 2 | 9u << 12;
  else if (has("parse")) *status |= 1u << 4;
  else if (has("weights")) *status |= 1u << 7;
  else if (has("ecc")) *status |= 1u << 8;
  else if (!has("no-end")) *status |= END_REACHED;
  if ((*status & END_REACHED) == 0) {
    *reg(QREAD) = 4;
    return;
  }
  const uint8_t *input = at(*reg(BASEP0 + 8), 16);
  uint8_t *output = at(*reg(BASEP0 + 16), 16);
  for (uint32_t i = 0; i < 16; i++) {
    output[i] = (uint8_t)(input[i] + 1);
    is_newer[output - memory + i] = true;
  }
}

static void start(void) {
  uint32_t first;
  memcpy(&first, at(*reg(QBASE), *reg(QSIZE)), 4);
  if (first != 0xFFFF0000u) violation("the queue does not begin with the command stream");
  if (*reg(QSIZE) != 8) violation("QSIZE is not the stream's length");
  if (*reg(AXI_LIMIT0) == 0) violation("the AXI limits were not set since the reset");
  if (*reg(QCONFIG) < 2) violation("the queue is not on the AXI port that reads");
  if ((*reg(REGIONCFG) & 3u) < 2 || (*reg(REGIONCFG) & ~3u) != 0) {
    violation("regions are on the wrong AXI ports");
  }
  if ((*reg(STATUS) & (END_REACHED | IRQ | FAULTS)) != 0) violation("started in an old state");
  for (uint32_t region = 0; region < 3; region++) {
    const uint8_t *bytes = at(*reg(BASEP0 + 8 * region), 16);
    for (uint32_t i = 0; i < 16; i++) {
      if (is_dirty[bytes - memory + i]) violation("a region is in the cache still");
    }
  }
  *reg(STATUS) |= RUNNING;
  sleeps_until_end = 3;
}

uint32_t npu_read(uint32_t offset) {
  if (reads_until_reset > 0) {
    if (offset != STATUS) {
      violation("a register is read in the reset");
      return 0;
    }
    if (!has("stuck-reset")) reads_until_reset--;
    return RESETTING;
  }
  if (offset == CONFIG) return CONFIG_U55_256;
  if (offset == ID) return ID_1_0_6;
  if (offset == PROT && has("level")) return 3;
  return *reg(offset);
}

void npu_write(uint32_t offset, uint32_t value) {
  printf("%02" PRIx32 " = %08" PRIx32 "\n", offset, value);
  if (reads_until_reset > 0) violation("a register is written in the reset");
  if (offset == RESET) {
    memset(registers, 0, sizeof registers);
    *reg(PROT) = value & 3u;
    reads_until_reset = 3;
    return;
  }
  if ((*reg(STATUS) & RUNNING) != 0) violation("a register is written while the NPU runs");
  if (offset == CMD) {
    if ((value & 2u) != 0) *reg(STATUS) &= ~(uint32_t)IRQ;
    if ((value & 1u) != 0) start();
    return;
  }
  if (offset == QBASE || offset == QSIZE) *reg(STATUS) &= ~(uint32_t)END_REACHED;
  *reg(offset) = value;
}

void npu_sleep(uint32_t offset, uint32_t raised) {
  if (offset != STATUS || raised != IRQ) violation("it does not wait for the interrupt");
  if (has("timeout")) {
    ticks += 1u << 24;
    return;
  }
  ticks += 1000;
  if (sleeps_until_end > 0 && --sleeps_until_end == 0) finish();
}

uint64_t counter_ticks(void) { return ticks; }

/* ---- Jobs ---- */

/* A payload whose stream is one NPU_OP_STOP and a word behind it, at byte 16 of the memory. */
static uint32_t put_payload(uint8_t *place) {
  uint32_t words[10] = {
      0x31504F43u, 0x00100001u, CONFIG_U55_256, 0x10060000u,
      5u, 5u, 5u, (2u << 16) | 2u, 0xFFFF0000u, 0,
  };
  uint32_t bytes = sizeof words;
  if (has("macs")) words[2] = 0x00001807u;
  if (has("product")) words[2] = 0x10003008u;
  if (has("newer")) words[3] = 0x10160000u;
  if (has("older-major")) words[3] = 0x00060000u;
  if (has("magic")) words[0]++;
  if (has("tag")) words[4] = 9u;
  if (has("no-config")) words[1] = words[2] = words[3] = 5u;
  if (has("cut")) bytes -= 4;
  if (has("cut-config")) bytes = 12;
  if (has("no-stream")) bytes = 28;
  if (has("unaligned-stream")) words[6] = (2u << 16) | 2u;
  if (has("empty")) bytes = 0;
  memcpy(place, words, sizeof words);
  return bytes;
}

static void run(const char *name, uint32_t number) {
  trouble = name;
  uint8_t *const payload = seen + (has("unaligned-payload") ? 20 : 16);
  void *bases[3] = {seen + 64, seen + 128, seen + (has("unaligned-region") ? 264 : 256)};
  const uint32_t sizes[3] = {16, 16, 16};
  uint8_t input[16];
  uint8_t filler[16];
  for (uint32_t i = 0; i < 16; i++) input[i] = (uint8_t)(3 * i + number);
  memset(filler, 0xCC, 16);
  core_writes(bases[1], input, 16);
  core_writes(bases[2], filler, 16);
  const uint32_t bytes = put_payload(payload);
  memcpy(memory, seen, 64); /* constants were never in the cache */
  const lm_npu_job job = {
      .payload = payload, .payload_bytes = bytes, .bases = has("nine") ? 9 : 3};
  if (lm_npu_run(&job, bases, sizes)) {
    for (uint32_t i = 0; i < 16; i++) {
      if (seen[256 + i] != input[i] + 1) violation("the core does not see what the NPU wrote");
    }
    printf("%s: done\n", name);
    return;
  }
  const lm_npu_failure failure = lm_npu_last_failure();
  printf("%s: %s, status %08" PRIx32 ", word %" PRIu32 "\n", name, failure.message, failure.status,
         failure.word);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) run(argv[i], (uint32_t)i);
  return 0;
}
