/* SPDX-License-Identifier: Apache-2.0
 * npu/driver.c on a stand-in for Arm's driver, which says how it is called. Argument: what it returns,
 * or "none" where there is no NPU, or "nine" for a job with too many regions.
 */
#include <ethosu_driver.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npu/npu.h"

struct ethosu_driver {
  int reserved;
};

static struct ethosu_driver the_driver;
static _Alignas(16) uint8_t memory[64];
static const char *what;

struct ethosu_driver *ethosu_reserve_driver(void) {
  if (strcmp(what, "none") == 0) return NULL;
  the_driver.reserved++;
  return &the_driver;
}

void ethosu_release_driver(struct ethosu_driver *drv) { drv->reserved--; }

int ethosu_invoke_v3(struct ethosu_driver *drv, const void *custom_data_ptr,
                     const int custom_data_size, uint64_t *const base_addr,
                     const size_t *base_addr_size, const int num_base_addr, void *user_arg) {
  printf("invoke reserved %d, payload +%d of %d, user %s\n", drv->reserved,
         (int)((const uint8_t *)custom_data_ptr - memory), custom_data_size,
         user_arg == NULL ? "none" : "some");
  for (int i = 0; i < num_base_addr; i++) {
    printf("region %d: +%d of %d\n", i, (int)(base_addr[i] - (uint64_t)(uintptr_t)memory),
           (int)base_addr_size[i]);
  }
  return atoi(what);
}

int main(int argc, char **argv) {
  what = argc > 1 ? argv[1] : "0";
  const lm_npu_job job = {
      .payload = memory, .payload_bytes = 16, .bases = strcmp(what, "nine") == 0 ? 9 : 2};
  void *bases[9] = {memory + 16, memory + 48};
  const uint32_t sizes[9] = {32, 16};
  if (lm_npu_run(&job, bases, sizes)) printf("done");
  else printf("failed: %s", lm_npu_last_failure().message);
  printf(", reserved %d\n", the_driver.reserved);
  return 0;
}
