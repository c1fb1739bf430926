/**
 * UART drivers by themselves. QEMU has no nRF52, but the nRF51 of its `microbit` has the same UART:
 * the driver echoes bytes there, which the other boards' consoles do in console.test.ts. It also
 * shows that CR, LF and CR LF end a line alike, since raw bytes can be sent.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { boardHeader } from '../../toolchain/build/board-header.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { buildFake, hasEmulator, temporaryFolder } from './fake-firmware.ts';

/** Starts a machine, sends bytes once it has spoken, and returns what it said until `until`. */
async function talk(machine: string, elf: string, send: string, until: RegExp): Promise<string> {
  const qemu = spawn('qemu-system-arm', [
    ...['-M', machine, '-kernel', elf, '-icount', 'shift=0'],
    ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
  ]);
  const giveUp = setTimeout(() => qemu.kill('SIGKILL'), 10_000);
  let said = '';
  for await (const text of qemu.stdout.setEncoding('latin1')) {
    if (said === '') qemu.stdin.write(send, 'latin1');
    said += text;
    if (until.test(said)) break;
  }
  clearTimeout(giveUp);
  qemu.kill('SIGKILL');
  return said;
}

describe.skipIf(!hasEmulator)('uart', () => {
  test('nrf-uart echoes every byte', async () => {
    const folder = temporaryFolder('nrf-uart');
    mkdirSync(folder);
    writeFileSync(join(folder, 'board.h'), boardHeader(loadTarget('nrf52840-dk')));
    writeFileSync(
      join(folder, 'echo.c'),
      `#include "platform.h"
      void start(void);
      typedef void (*vector)(void);
      __attribute__((section(".vectors"), used)) const vector vectors[2] = {
          (vector)0x20004000u, start};
      void start(void) {
        uart_setup();
        uart_write('!');
        for (;;) uart_write(uart_read());
      }`,
    );
    const script = 'SECTIONS { . = 0; .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } }';
    writeFileSync(join(folder, 'echo.ld'), script);
    const templates = packagePath('firmware-templates');
    execFileSync('arm-none-eabi-gcc', [
      ...['-mthumb', '-mcpu=cortex-m0', '-Os', '-nostdlib', `-I${folder}`, `-I${templates}`],
      ...[join(folder, 'echo.c'), join(templates, 'uart', 'nrf-uart.c')],
      ...['-T', join(folder, 'echo.ld'), '-lgcc', '-o', join(folder, 'echo.elf')],
    ]);
    const bytes = Array.from({ length: 1000 }, (_, i) => String.fromCharCode(1 + (i % 255))).join(
      '',
    );
    expect(await talk('microbit', join(folder, 'echo.elf'), `${bytes}\0`, /\0$/)).toBe(
      `!${bytes}\0`,
    );
  });

  test('CR, LF and CR LF end a line', async () => {
    const target = loadTarget('mps2-an386');
    const { elfPath } = await buildFake(target);
    const said = await talk(
      'mps2-an386',
      elfPath,
      'a\rab\r\nabc\n\n\rabcd\r',
      /"tokens":4[^\n]*\n$/,
    );
    const [ready, ...answers] = said.trim().split('\n');
    expect(ready).toBe('{"ready":"fake"}');
    expect(answers.map((answer) => JSON.parse(answer).tokens)).toEqual([1, 2, 3, 0, 0, 4]);
  });
});
