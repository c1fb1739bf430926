/* SPDX-License-Identifier: Apache-2.0
 * The UART with a clock beside it: what the protocol reads and writes.
 */
#ifndef LM2MCU_LINE_H
#define LM2MCU_LINE_H

#include <stdbool.h>
#include <stdint.h>

enum { LINE_TICKS_PER_SECOND = 100 };

/* The byte that begins a session came in that time. */
bool line_sync_within(uint32_t most_ticks);

/* Answers it, and commands until the host sends GO and has the answer. */
void line_serve(void);

/* Stops the clock, for whoever comes next. */
void line_stop(void);

#endif
