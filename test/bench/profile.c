/* SPDX-License-Identifier: Apache-2.0
 * Instructions by call. test/bench/profile.ts puts a profile_mark before every call of lm2mcu_run,
 * with the call's number, and one at the end, which prints a line of JSON on the UART: the
 * instructions of each call, all its tiles together, without what the marks themselves take. */
#include <stdint.h>

#include "platform.h"
#include "profile.h"

enum { REHEARSALS = 1024 };

static uint64_t ticks[PROFILE_CALLS + 1];
static uint32_t times[PROFILE_CALLS + 1];
static int32_t running = -1;
static uint64_t since;

static void print_text(const char *text) {
  for (; *text != '\0'; text++) uart_write((uint8_t)*text);
}

static void print_number(uint64_t value) {
  char digits[24];
  char *digit = digits + sizeof digits - 1;
  *digit = '\0';
  do {
    *--digit = (char)('0' + value % 10U);
    value /= 10U;
  } while (value > 0U);
  print_text(digit);
}

void profile_mark(int32_t call) {
  const uint64_t now = counter_ticks();
  if (running >= 0) {
    ticks[running] += now - since;
    times[running] += 1;
  }
  running = call;
  since = counter_ticks();
}

void profile_end(void) {
  for (int32_t i = 0; i < REHEARSALS; i++) profile_mark(PROFILE_CALLS);
  profile_mark(-1);
  const uint64_t own = counter_units(ticks[PROFILE_CALLS]);
  print_text("{\"profile\":[");
  for (int32_t call = 0; call < PROFILE_CALLS; call++) {
    const uint64_t marks = own * times[call] / times[PROFILE_CALLS];
    const uint64_t units = counter_units(ticks[call]);
    if (call > 0) print_text(",");
    print_number(units > marks ? units - marks : 0);
  }
  print_text("]}\n");
}
