/* SPDX-License-Identifier: Apache-2.0
 * What an application tells the bootloader across a reset, and the bootloader itself: two words of
 * RAM that neither of them initialises. After power-on they hold anything, hence the complement.
 */
#ifndef LM2MCU_HANDOVER_H
#define LM2MCU_HANDOVER_H

#include <stdint.h>

#include "board.h"
#include "reset.h"

#define HANDOVER_STAY 0x79617473u  /* do not start the application */
#define HANDOVER_START 0x74726174u /* start it without listening first */

static inline volatile uint32_t *handover_words(void) {
  return (volatile uint32_t *)BOARD_HANDOVER;
}

/* What was asked for, once; 0: nothing. */
static inline uint32_t handover_take(void) {
  volatile uint32_t *words = handover_words();
  const uint32_t request = words[0] == ~words[1] ? words[0] : 0;
  words[0] = 0;
  words[1] = 0;
  return request;
}

/* What the UART still holds is lost: let it out before. */
__attribute__((noreturn)) static inline void handover_reset(uint32_t request) {
  volatile uint32_t *words = handover_words();
  words[0] = request;
  words[1] = ~request;
#if BOARD_HAS_DATA_CACHE
  /* DDI 0403, B3.2.29, DCCMVAC: the reset forgets what is only in the cache. */
  *(volatile uint32_t *)0xE000EF68u = BOARD_HANDOVER;
#endif
  chip_reset();
}

#endif
