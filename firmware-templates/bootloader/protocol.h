/* SPDX-License-Identifier: Apache-2.0
 * The device's side of ST's USART bootloader protocol (application note AN3155).
 */
#ifndef LM2MCU_PROTOCOL_H
#define LM2MCU_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#define PROTOCOL_SYNC 0x7Fu

/* Of whoever serves the line. A byte, or false when none came for as long as a frame may pause. */
bool link_read(uint8_t *byte);
void link_write(uint8_t byte);

/* Answers the byte that begins a session. */
void protocol_greet(void);

/* Of the program that the protocol is a part of. Programs and reads back; false where the storage
 * does not hold the bytes afterwards. offset and count are multiples of 4 within the storage. */
bool served_program(uint32_t offset, const uint8_t *bytes, uint32_t count);
/* Whether GO to this offset of the storage is obeyed. */
bool served_may_go(uint32_t offset);

/* Answers one command, or what looked like one, or returns on silence. True: the host sent GO, and
 * may. */
bool protocol_serve(void);

#endif
