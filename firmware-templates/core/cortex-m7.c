/* SPDX-License-Identifier: Apache-2.0
 * Cortex-M7: floating point and both caches. Nothing here uses DMA, so no cache maintenance is
 * needed later on, but for code copied into cached memory (startup.c ends its copying with a
 * barrier; ITCM, where such code goes, is not cached). */
#include "platform.h"

/* DDI 0403, B3.2 (CPACR, CCR) and B4.8 (CCSIDR, CSSELR, cache maintenance). */
#define SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define SCB_CCSIDR (*(volatile uint32_t *)0xE000ED80u)
#define SCB_CSSELR (*(volatile uint32_t *)0xE000ED84u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)
#define SCB_ICIALLU (*(volatile uint32_t *)0xE000EF50u)
#define SCB_DCISW (*(volatile uint32_t *)0xE000EF60u)
#define CPACR_CP10_CP11_FULL (0xFu << 20)
#define CCR_DC (1u << 16)
#define CCR_IC (1u << 17)

/* DCISW operand of the Cortex-M7 (DDI 0489, 4.3.7): 4 ways in bits 31:30, set from bit 5 on, for
 * lines of 32 bytes. */
#define DCACHE_WAYS 4u
#define DCISW_WAY_SHIFT 30u
#define DCISW_SET_SHIFT 5u

static void invalidate_data_cache(void) {
  SCB_CSSELR = 0;
  __asm volatile("dsb" ::: "memory");
  const uint32_t sets = ((SCB_CCSIDR >> 13) & 0x7FFFu) + 1u;
  for (uint32_t set = 0; set < sets; set++) {
    for (uint32_t way = 0; way < DCACHE_WAYS; way++) {
      SCB_DCISW = (way << DCISW_WAY_SHIFT) | (set << DCISW_SET_SHIFT);
    }
  }
  __asm volatile("dsb" ::: "memory");
}

void core_setup(void) {
  SCB_CPACR |= CPACR_CP10_CP11_FULL;
  __asm volatile("dsb\n isb" ::: "memory");
  SCB_ICIALLU = 0;
  invalidate_data_cache();
  SCB_CCR |= CCR_IC | CCR_DC;
  __asm volatile("dsb\n isb" ::: "memory");
}
