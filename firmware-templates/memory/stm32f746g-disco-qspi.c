/* SPDX-License-Identifier: Apache-2.0
 * STM32F746G-DISCO: maps its 16 MB quad-SPI NOR at 0x90000000 for reading: an N25Q128A, on boards
 * of revision C03 a W25Q128J. QUAD OUTPUT FAST READ has 8 dummy cycles on both. RM0385, section 14.
 * Registers and bits as in stm32f746xx.h of ST's cmsis_device_f7; pins, reset and commands as in
 * ST's driver for this board (stm32746g_discovery_qspi.c) and in OpenOCD's script for it. */
#include "platform.h"
#include "stm32_pins.h"

#define QUADSPI_CR (*(volatile uint32_t *)0xA0001000u)
#define QUADSPI_DCR (*(volatile uint32_t *)0xA0001004u)
#define QUADSPI_SR (*(volatile uint32_t *)0xA0001008u)
#define QUADSPI_FCR (*(volatile uint32_t *)0xA000100Cu)
#define QUADSPI_CCR (*(volatile uint32_t *)0xA0001014u)
#define RCC_AHB3ENR_QSPIEN (1u << 1)
#define QUADSPI_CR_EN (1u << 0)
#define QUADSPI_CR_SSHIFT (1u << 4) /* sample half a cycle later */
#define QUADSPI_SR_TCF (1u << 1)
#define QUADSPI_SR_BUSY (1u << 5)
#define QUADSPI_FCR_CTCF (1u << 1)
#define PRESCALER_72MHZ (2u << 24) /* 216 MHz / (2 + 1) */
#define FSIZE_16MB (23u << 16)     /* 2^(23 + 1) bytes */
#define CSHT_4_CYCLES (3u << 8)    /* at least 50 ns between commands */

#define CCR_INSTRUCTION (1u << 8) /* on one line, and nothing else */
#define RESET_ENABLE 0x66u
#define RESET_MEMORY 0x99u
enum { RESET_SPINS = 10000 }; /* at 216 MHz more than the 30 us of a W25Q128J */

/* Instruction on one line, 24-bit address on one, 8 dummy cycles, data on four, memory-mapped. */
#define QUAD_OUTPUT_FAST_READ 0x6Bu
#define CCR_MEMORY_MAPPED_READ \
  (QUAD_OUTPUT_FAST_READ | (1u << 8) | (1u << 10) | (2u << 12) | (8u << 18) | (3u << 24) | \
   (3u << 26))

static void command(uint32_t instruction) {
  QUADSPI_CCR = instruction | CCR_INSTRUCTION;
  while ((QUADSPI_SR & QUADSPI_SR_TCF) == 0) {
  }
  QUADSPI_FCR = QUADSPI_FCR_CTCF;
  while ((QUADSPI_SR & QUADSPI_SR_BUSY) != 0) {
  }
}

/* A reset of the chip leaves the NOR as another program set it up, say with more dummy cycles. */
static void reset_nor(void) {
  command(RESET_ENABLE);
  command(RESET_MEMORY);
  for (volatile uint32_t i = 0; i < RESET_SPINS; i++) {
  }
}

void memory_setup(void) {
  RCC_AHB3ENR |= RCC_AHB3ENR_QSPIEN;
  (void)RCC_AHB3ENR;
  use_alternate_function('B', 2, 9);  /* CLK */
  use_alternate_function('B', 6, 10); /* BK1_NCS */
  use_alternate_function('D', 11, 9); /* BK1_IO0 */
  use_alternate_function('D', 12, 9); /* BK1_IO1 */
  use_alternate_function('E', 2, 9);  /* BK1_IO2 */
  use_alternate_function('D', 13, 9); /* BK1_IO3 */
  QUADSPI_DCR = FSIZE_16MB | CSHT_4_CYCLES;
  QUADSPI_CR = PRESCALER_72MHZ | QUADSPI_CR_SSHIFT | QUADSPI_CR_EN;
  while ((QUADSPI_SR & QUADSPI_SR_BUSY) != 0) {
  }
  reset_nor();
  QUADSPI_CCR = CCR_MEMORY_MAPPED_READ;
}
