/* Instead of firmware-templates/npu/hardware.h: the model of the NPU in harness.c. */
#ifndef LM2MCU_NPU_HARDWARE_H
#define LM2MCU_NPU_HARDWARE_H

#include <stdint.h>

uint32_t npu_read(uint32_t offset);
void npu_write(uint32_t offset, uint32_t value);
uint32_t npu_address(const void *pointer);
void npu_sleep(uint32_t offset, uint32_t raised);
void npu_uncache(const void *start, uint32_t bytes);

#endif
