/**
 * The other programs of this trade, over pseudo-terminals: our peers are judged by foreign clients, our
 * clients by those peers and, where there is one, by a foreign server.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { joinSegments } from '../../flasher/image.ts';
import { planFlash } from '../../flasher/plan.ts';
import type { Port } from '../../flasher/port.ts';
import { PortLost } from '../../flasher/port.ts';
import { flashSamBa } from '../../flasher/protocols/sam-ba.ts';
import { flashStm32Uart } from '../../flasher/protocols/stm32-uart.ts';
import { flashYmodem } from '../../flasher/protocols/ymodem.ts';
import { openSerialPort } from '../../flasher/serial-port.ts';
import { seededRandom } from './faulty-port.ts';
import { flashMemory } from './peers/flash-memory.ts';
import { samChip, serveSamBa } from './peers/sam-ba.ts';
import { serveStm32Uart, stm32Chip } from './peers/stm32-uart.ts';
import { missing, type PtyPair, ptyPair, ptyTo, runProgram } from './pty.ts';

let folder = '';
let pair: PtyPair | null = null;
let served: Port | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lm2mcu-pty-'));
});
afterEach(async () => {
  await served?.close();
  await pair?.close();
  [served, pair] = [null, null];
  rmSync(folder, { recursive: true });
});

const settings = { baud: 115200, parity: 'none' } as const;
const random = seededRandom(7);
const content = Uint8Array.from({ length: 30_000 }, () => Math.floor(random() * 256));
const quiet = () => {};

/** Runs a peer on one end; the far program may close the line, which is its end. */
async function serve(path: string, peer: (port: Port) => Promise<never>): Promise<void> {
  const port = await openSerialPort(path, settings);
  served = port;
  void peer(port).catch((error: unknown) => {
    if (!(error instanceof PortLost)) throw error;
  });
}

const ORIGIN = 0x08000000;
const f446 = {
  regions: [
    {
      name: 'flash',
      origin: ORIGIN,
      firstPage: 0,
      eraseBlocks: [
        { count: 4, sizeBytes: 16_384 },
        { count: 1, sizeBytes: 65_536 },
        { count: 3, sizeBytes: 131_072 },
      ],
    },
  ],
  writeBytes: 256,
};

describe('STM32 (AN3155)', () => {
  const absent = missing('socat', 'stm32flash');

  test.skipIf(absent !== '')(`stm32flash writes to our peer${absent}`, async () => {
    pair = await ptyPair(folder);
    const memory = flashMemory(f446, ORIGIN);
    const chip = stm32Chip(memory);
    await serve(pair.ours, (port) => serveStm32Uart(port, chip));
    writeFileSync(join(folder, 'fw.bin'), content);
    const args = ['-b', '115200', '-m', '8n1', '-w', 'fw.bin', '-v', '-g', '0x08000000'];
    const { code, output } = await runProgram('stm32flash', [...args, pair.theirs], folder);
    expect(output).toContain('(100.00%) Done.');
    expect(code, output).toBe(0);
    expect(memory.read(ORIGIN, content.length)).toEqual(content);
    expect(chip.runsApplication).toBe(true);
  });

  test.skipIf(absent !== '')(`stm32flash asks our peer for a CRC, as we do${absent}`, async () => {
    pair = await ptyPair(folder);
    const memory = flashMemory(f446, ORIGIN);
    for (let at = 0; at < content.length; at += 256) {
      memory.program(ORIGIN + at, content.subarray(at, Math.min(at + 256, content.length)));
    }
    await serve(pair.ours, (port) => serveStm32Uart(port, stm32Chip(memory)));
    const range = `0x08000000:${16_384}`;
    const args = ['-b', '115200', '-m', '8n1', '-C', '-S', range, pair.theirs];
    const { output } = await runProgram('stm32flash', args, folder);
    const { crc32Stm32 } = await import('../../flasher/checksums.ts');
    const crc = crc32Stm32(content.subarray(0, 16_384)).toString(16).padStart(8, '0');
    expect(output).toContain(`= 0x${crc}`);
  });

  test.skipIf(missing('socat') !== '')(
    'we write to our peer, and stm32flash reads it',
    async () => {
      pair = await ptyPair(folder);
      const chip = stm32Chip(flashMemory(f446, ORIGIN));
      await serve(pair.ours, (port) => serveStm32Uart(port, chip));
      const port = await openSerialPort(pair.theirs, settings);
      const plan = planFlash(joinSegments([{ address: ORIGIN, bytes: content }], 'test'), f446);
      const flashed = await flashStm32Uart(
        port,
        plan,
        {
          boardName: 'test',
          ...{ productId: 0x421, addressOffset: 0, startAddress: ORIGIN, rewriteAll: false },
          ...{ enter: async () => false, howToEnter: '' },
        },
        quiet,
      );
      await port.close();
      expect(flashed).toMatchObject({ repeats: 0, started: true });
      if (absent !== '') return;
      chip.runsApplication = false;
      // The peer waits in the application for a line's end.
      const again = await openSerialPort(pair.theirs, settings);
      await again.write(Uint8Array.of(0x0a));
      await again.wait(100);
      await again.close();
      const args = [
        '-b',
        '115200',
        '-m',
        '8n1',
        '-r',
        'read.bin',
        '-S',
        `0x08000000:${content.length}`,
      ];
      const { code, output } = await runProgram('stm32flash', [...args, pair.theirs], folder);
      expect(code, output).toBe(0);
      expect(new Uint8Array(readFileSync(join(folder, 'read.bin')))).toEqual(content);
    },
  );
});

describe.each(['usb', 'uart'] as const)('SAM-BA over %s', (over) => {
  const absent = missing('socat', 'bossac');

  test.skipIf(absent !== '')(`bossac writes to our peer${absent}`, async () => {
    pair = await ptyPair(folder);
    const chip = samChip(over);
    await serve(pair.ours, (port) => serveSamBa(port, chip));
    writeFileSync(join(folder, 'fw.bin'), content);
    const args = [
      `--port=${pair.theirs}`,
      `--usb-port=${over === 'usb' ? 1 : 0}`,
      '--offset=0x2000',
      '-e',
      '-w',
      '-v',
      'fw.bin',
    ];
    const { code, output } = await runProgram('bossac', args, folder);
    expect(output).toContain('Verify successful');
    expect(code, output).toBe(0);
    expect(chip.flash.slice(0x2000, 0x2000 + content.length)).toEqual(content);
  });

  test.skipIf(missing('socat') !== '')('we write to the same peer', async () => {
    pair = await ptyPair(folder);
    const chip = samChip(over);
    await serve(pair.ours, (port) => serveSamBa(port, chip));
    const port = await openSerialPort(pair.theirs, settings);
    const eraseBlocks = [{ count: 62, sizeBytes: 4096 }];
    const regions = [{ name: 'flash', origin: 0x2000, eraseBlocks, firstPage: 0 }];
    const image = joinSegments([{ address: 0x2000, bytes: content }], 'test');
    const buffer = { bufferAddress: 0x20005000, bufferBytes: 4096 };
    const options = { ...buffer, over, rewriteAll: false, enter: '' };
    const flashed = await flashSamBa(
      port,
      planFlash(image, { regions, writeBytes: 256 }),
      options,
      quiet,
    );
    await port.wait(100);
    await port.close();
    expect(flashed.repeats).toBe(0);
    expect(chip.flash.slice(0x2000, 0x2000 + content.length)).toEqual(content);
    expect(chip.runsApplication).toBe(true);
  });
});

describe('YMODEM', () => {
  const absent = missing('socat', 'rb');

  test.skipIf(absent !== '')(`lrzsz receives what we send${absent}`, async () => {
    pair = await ptyTo(folder, 'rb -q');
    const port = await openSerialPort(pair.ours, settings);
    await flashYmodem(port, { name: 'firmware.bin', content }, { enter: 'start rb' }, quiet);
    const file = join(folder, 'firmware.bin');
    for (let waited = 0; !existsSync(file) && waited < 5000; waited += 50) await port.wait(50);
    await port.close();
    expect(new Uint8Array(readFileSync(file))).toEqual(content);
  });
});
