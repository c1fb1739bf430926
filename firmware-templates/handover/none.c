/* SPDX-License-Identifier: Apache-2.0
 * The image was not started by a bootloader. */
#include "platform.h"

bool bootloader_is_there(void) { return false; }

void bootloader_enter(void) {}
