/* SPDX-License-Identifier: Apache-2.0
 * GPIO and peripheral clocks, the same on STM32F4 and STM32F7 (RM0390 and RM0385: sections 6.3
 * RCC, 7.4 and 6.4 GPIO). */
#ifndef LM2MCU_STM32_PINS_H
#define LM2MCU_STM32_PINS_H

#include <stdint.h>

#define RCC_BASE 0x40023800u
#define RCC_CR (*(volatile uint32_t *)(RCC_BASE + 0x00u))
#define RCC_PLLCFGR (*(volatile uint32_t *)(RCC_BASE + 0x04u))
#define RCC_CFGR (*(volatile uint32_t *)(RCC_BASE + 0x08u))
#define RCC_AHB1ENR (*(volatile uint32_t *)(RCC_BASE + 0x30u))
#define RCC_AHB3ENR (*(volatile uint32_t *)(RCC_BASE + 0x38u))
#define RCC_APB1ENR (*(volatile uint32_t *)(RCC_BASE + 0x40u))
#define RCC_APB2ENR (*(volatile uint32_t *)(RCC_BASE + 0x44u))

#define GPIO_REGISTER(port, offset) \
  (*(volatile uint32_t *)(0x40020000u + 0x400u * (uint32_t)((port) - 'A') + (offset)))
#define GPIO_MODER(port) GPIO_REGISTER(port, 0x00u)
#define GPIO_OSPEEDR(port) GPIO_REGISTER(port, 0x08u)
#define GPIO_PUPDR(port) GPIO_REGISTER(port, 0x0Cu)
#define GPIO_AFR(port, pin) GPIO_REGISTER(port, 0x20u + 4u * ((pin) / 8u))

enum { GPIO_MODE_ALTERNATE = 2, GPIO_SPEED_VERY_HIGH = 3, GPIO_PULL_UP = 1 };

static inline uint32_t with_field(uint32_t word, uint32_t position, uint32_t bits,
                                  uint32_t value) {
  return (word & ~(((1u << bits) - 1u) << position)) | (value << position);
}

/* Hands a pin, say 'D' and 8, to a peripheral. */
static inline void use_alternate_function(char port, uint32_t pin, uint32_t function) {
  RCC_AHB1ENR |= 1u << (port - 'A');
  (void)RCC_AHB1ENR; /* two clock cycles before the port answers (RM0390, 6.2) */
  GPIO_AFR(port, pin) = with_field(GPIO_AFR(port, pin), 4u * (pin % 8u), 4, function);
  GPIO_OSPEEDR(port) = with_field(GPIO_OSPEEDR(port), 2u * pin, 2, GPIO_SPEED_VERY_HIGH);
  GPIO_MODER(port) = with_field(GPIO_MODER(port), 2u * pin, 2, GPIO_MODE_ALTERNATE);
}

/* Keeps an unconnected receive line quiet. */
static inline void pull_up(char port, uint32_t pin) {
  GPIO_PUPDR(port) = with_field(GPIO_PUPDR(port), 2u * pin, 2, GPIO_PULL_UP);
}

#endif
