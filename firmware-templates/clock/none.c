/* SPDX-License-Identifier: Apache-2.0
 * The clock is right after reset. */
#include "platform.h"

void clock_setup(void) {}
