/* SPDX-License-Identifier: Apache-2.0
 * A bare Cortex-M under QEMU: files through Arm semihosting (Semihosting for AArch32 and AArch64,
 * ARM IHI 0099), instructions counted by SysTick on the processor clock. */
#include <stddef.h>

#include "harness.h"

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { MODE_RB = 1, MODE_WB = 5 };
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

/* ARMv8-M Architecture Reference Manual (DDI 0553), D1.2. */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)

extern uint32_t stack_top[];

static uintptr_t cases;
static uintptr_t answers;

static uintptr_t semihost(uint32_t operation, const void *block) {
  register uintptr_t r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = block;
  __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void leave(uintptr_t status) {
  const uintptr_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, status};
  semihost(SYS_EXIT_EXTENDED, block);
}

static uintptr_t open_file(const char *name, uintptr_t length, uintptr_t mode) {
  const uintptr_t block[3] = {(uintptr_t)name, mode, length};
  return semihost(SYS_OPEN, block);
}

/* SYS_READ and SYS_WRITE return the number of bytes left over. */
int read_bytes(void *to, uint32_t size) {
  const uintptr_t block[3] = {cases, (uintptr_t)to, size};
  return size == 0 || semihost(SYS_READ, block) == 0;
}

void write_bytes(const void *from, uint32_t size) {
  const uintptr_t block[3] = {answers, (uintptr_t)from, size};
  if (semihost(SYS_WRITE, block) != 0) leave(2);
}

void guard(uint8_t *arena, uint32_t size, const region *regions, int32_t count) {
  (void)arena;
  (void)size;
  (void)regions;
  (void)count;
}

void unguard(uint8_t *arena, uint32_t size) {
  (void)arena;
  (void)size;
}

uint32_t read_counter(void) { return SYST_CVR; }

static void reset(void) {
  SCB_CPACR |= 0xFu << 20; /* floating point and Helium */
  SCB_CCR |= 1u << 19;     /* LOB: low-overhead loops; ignored where there are none */
  __asm volatile("dsb\n isb" ::: "memory");
  SYST_RVR = 0xFFFFFFu;
  SYST_CVR = 0;
  SYST_CSR = 5; /* ENABLE, CLKSOURCE */
  cases = open_file("cases.bin", 9, MODE_RB);
  answers = open_file("answers.bin", 11, MODE_WB);
  run_cases();
  leave(0);
}

static void fault(void) { leave(3); }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
