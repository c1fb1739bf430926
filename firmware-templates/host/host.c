/* SPDX-License-Identifier: Apache-2.0
 * The platform of the console on a host: stdin and stdout are its UART. It ends with its input.
 */
#define _POSIX_C_SOURCE 200112L

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "platform.h"

bool uart_wait(void) { return true; }

/* stdin has no buffer (uart_take), so that what is there is in the pipe. */
bool uart_has_byte(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) == 1 && (input.revents & POLLIN) != 0;
}

uint8_t uart_take(void) {
  uint8_t byte;
  if (read(STDIN_FILENO, &byte, 1) != 1) exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
  return byte;
}

/* Nobody waits for half a line. */
void uart_write(uint8_t byte) {
  putchar(byte);
  if (byte == '\n') fflush(stdout);
}

const char counter_unit[] = "nanoseconds";

uint64_t counter_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t counter_units(uint64_t ticks) { return ticks; }

/* The host's stack is large and not painted. */
stack_use stack_measure(void) { return (stack_use){0}; }

bool bootloader_is_there(void) { return false; }

void bootloader_enter(void) {}
