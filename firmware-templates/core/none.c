/* SPDX-License-Identifier: Apache-2.0
 * As the core comes out of reset: no floating point, no caches. */
#include "platform.h"

void core_setup(void) {}
