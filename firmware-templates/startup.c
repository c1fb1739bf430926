/* SPDX-License-Identifier: Apache-2.0
 * From reset to main(): vector table, memory set-up, painted stack, faults that speak.
 *
 * Symbols with two leading underscores come from the generated linker script. The stack lies at
 * the bottom of its memory, so that an overflow on a real chip leaves RAM and faults:
 *
 *   __stack_limit | canary | painted ... | used, grows down | __stack_top | .data .bss arena
 */
#include <stdint.h>

#include "platform.h"

enum { STACK_PAINT = 0xC5C5C5C5u, CANARY_WORDS = 4 };

/* ARMv7-M Architecture Reference Manual (DDI 0403), B3.2: System Control Space. */
#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)
#define SCB_SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define SCB_CFSR (*(volatile uint32_t *)0xE000ED28u)
#define SCB_HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define SCB_MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define SCB_BFAR (*(volatile uint32_t *)0xE000ED38u)
#define SHCSR_MEMFAULTENA (1u << 16)
#define SHCSR_BUSFAULTENA (1u << 17)
#define SHCSR_USGFAULTENA (1u << 18)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)

typedef struct {
  const uint32_t *source;
  uint32_t *start;
  uint32_t *end;
} memory_copy;

extern uint32_t __stack_limit[], __stack_top[];
extern uint32_t __bss_start[], __bss_end[];
extern const memory_copy __copy_table_start[], __copy_table_end[];

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);
void SysTick_Handler(void);
static void prepare_memory(void);

typedef void (*vector)(void);
extern const vector vectors[16];

/* Only the system exceptions: no peripheral interrupt is ever enabled. */
__attribute__((section(".vectors"), used)) const vector vectors[16] = {
    (vector)(uintptr_t)__stack_top,
    Reset_Handler,
    Fault_Handler, /* NMI */
    Fault_Handler, /* HardFault */
    Fault_Handler, /* MemManage */
    Fault_Handler, /* BusFault */
    Fault_Handler, /* UsageFault */
    Fault_Handler, /* SecureFault (ARMv8-M) */
    0,
    0,
    0,
    Fault_Handler, /* SVCall, like the next two: nobody enabled it */
    Fault_Handler, /* DebugMonitor */
    0,
    Fault_Handler, /* PendSV */
    SysTick_Handler,
};

/* Nothing before core_setup may use floating-point or vector registers: this file is compiled
 * with -mgeneral-regs-only. */
void Reset_Handler(void) {
  core_setup();
  SCB_VTOR = (uint32_t)(uintptr_t)vectors;
  SCB_SHCSR |= SHCSR_MEMFAULTENA | SHCSR_BUSFAULTENA | SHCSR_USGFAULTENA;
  clock_setup();
  memory_setup();
  prepare_memory();
  uart_setup();
  counter_setup();
  main();
  for (;;) wait_for_interrupt();
}

static void prepare_memory(void) {
  for (const memory_copy *copy = __copy_table_start; copy < __copy_table_end; copy++) {
    const uint32_t *from = copy->source;
    for (uint32_t *to = copy->start; to < copy->end; to++) *to = *from++;
  }
  for (uint32_t *word = __bss_start; word < __bss_end; word++) *word = 0;
  /* volatile: the compiler must not turn this into a call that moves the stack pointer. */
  const volatile uint32_t *here = (const volatile uint32_t *)__builtin_frame_address(0);
  for (volatile uint32_t *word = __stack_limit; word < here - 16; word++) *word = STACK_PAINT;
  __asm volatile("dsb\n isb" ::: "memory"); /* code may have been copied */
}

stack_use stack_measure(void) {
  const volatile uint32_t *word = __stack_limit;
  while (word < __stack_top && *word == STACK_PAINT) word++;
  const stack_use use = {
      .available_bytes = (uint32_t)((uintptr_t)__stack_top - (uintptr_t)__stack_limit),
      .peak_bytes = (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word),
      .overflowed = word < __stack_limit + CANARY_WORDS,
  };
  return use;
}

/* A fault may come from an exhausted stack and is never returned from: start over at its top,
 * where there is room for the report by construction. */
__attribute__((naked)) void Fault_Handler(void) {
  __asm volatile(
      "mrs r0, msp\n"
      "movw r1, #:lower16:__stack_top\n"
      "movt r1, #:upper16:__stack_top\n"
      "msr msp, r1\n"
      "b fault_stop\n");
}

__attribute__((used)) void fault_stop(const uint32_t *frame) {
  /* Exception frame: r0 r1 r2 r3 r12 lr pc xpsr (DDI 0403, B1.5.6). Unreadable when the stack
   * pointer had left its memory, and then the report must not fault again. */
  const bool readable = frame >= __stack_limit && frame + 8 <= __stack_top;
  uint32_t exception;
  __asm volatile("mrs %0, ipsr" : "=r"(exception));
  const uint32_t cfsr = SCB_CFSR;
  fault_report report = {
      .exception = exception & 0x1FFu,
      .cfsr = cfsr,
      .hfsr = SCB_HFSR,
      .stack_overflowed = !readable || stack_measure().overflowed,
  };
  if (readable) {
    report.lr = frame[5];
    report.pc = frame[6];
  }
  if ((cfsr & CFSR_BFARVALID) != 0) report.address = SCB_BFAR;
  if ((cfsr & CFSR_MMARVALID) != 0) report.address = SCB_MMFAR;
  console_report_fault(&report);
  for (;;) wait_for_interrupt();
}
