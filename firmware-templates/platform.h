/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the firmware ask of each other. One file of each folder core/, clock/,
 * uart/, memory/ and handover/ is linked, chosen by the board's JSON file.
 */
#ifndef LM2MCU_PLATFORM_H
#define LM2MCU_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

/* core/: floating point, vector unit, caches. Called first. */
void core_setup(void);

/* clock/: raises the clock to the board file's clockHz. */
void clock_setup(void);

/* memory/: makes memories readable that are not after reset (external NOR). */
void memory_setup(void);

/* uart/: 8 data bits, no parity, one stop bit; polled, so a byte is taken when it is asked for. */
void uart_setup(void);
bool uart_wait(void);    /* sleeps, where it can, until an interrupt; true: a byte is there */
bool uart_has_byte(void); /* without waiting */
uint8_t uart_take(void); /* the byte that is there */
void uart_write(uint8_t byte);
static inline uint8_t uart_read(void) {
  while (!uart_wait()) {
  }
  return uart_take();
}

/* counter.c: instructions on an emulator, cycles on a chip. */
void counter_setup(void);
uint64_t counter_ticks(void);
uint64_t counter_units(uint64_t ticks); /* of a difference */
extern const char counter_unit[];       /* "instructions" or "cycles" */

/* handover/: the way back into the bootloader, by a reset. */
bool bootloader_is_there(void);
void bootloader_enter(void); /* returns only where there is none */

/* startup.c: high-water mark of the painted stack. */
typedef struct {
  uint32_t available_bytes;
  uint32_t peak_bytes;
  bool overflowed;
} stack_use;
stack_use stack_measure(void);

/* console.c: says on the UART why the program stops. */
typedef struct {
  uint32_t exception; /* IPSR: 3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault */
  uint32_t pc, lr;    /* 0 where the stack was unreadable */
  uint32_t cfsr, hfsr;
  uint32_t address; /* of the faulting access, 0 where unknown */
  bool stack_overflowed;
} fault_report;
void console_report_fault(const fault_report *report);

static inline void wait_for_interrupt(void) { __asm volatile("wfi" ::: "memory"); }

#endif
