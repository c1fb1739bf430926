/* SPDX-License-Identifier: Apache-2.0
 * All memory is readable after reset. */
#include "platform.h"

void memory_setup(void) {}
