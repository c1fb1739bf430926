/**
 * The writer, which runs from RAM: that it lies where its board says, and under QEMU that our flasher
 * and Debian's stm32flash write a NOR through it, which the board then starts from.
 */
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { readElfFile } from '../../../toolchain/build/elf.ts';
import type { Firmware } from '../../../toolchain/build/firmware.ts';
import { type EmulatedBoard, startBoard } from '../../../toolchain/emulate/board.ts';
import { loadTarget } from '../../../toolchain/targets.ts';
import { lm2mcu } from '../../cli/lm2mcu.ts';
import { missing } from '../../flasher/pty.ts';
import { buildFake, hasCompiler, hasEmulator, targets, temporaryFolder } from '../fake-firmware.ts';
import { openSerial, stm32flash } from './serial.ts';

const inNor = { '.lm2mcu.encoder': 'nor', '.lm2mcu.embedding': 'nor' };
const withWriter = targets.filter(({ writer }) => writer !== undefined);

describe.skipIf(!hasCompiler)('linked', () => {
  test.each(withWriter.map((target) => [target.name, target] as const))(
    '%s: code and memory in the RAM that it may use, without a warning',
    async (_name, target) => {
      const firmware = await buildFake(target, {}, inNor);
      expect(firmware.warnings).toEqual([]);
      const { code, ram } = target.writer!;
      const { entry, sections, segments } = readElfFile(firmware.writerElfPath!);
      const isIn = (extent: typeof code, address: number, bytes: number) =>
        address >= extent.origin && address + bytes <= extent.origin + extent.sizeBytes;
      const inMemory = sections.filter(({ allocated, sizeBytes }) => allocated && sizeBytes > 0);
      const names = inMemory.map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(['.vectors', '.text', '.stack', '.bss']));
      for (const { name, address, sizeBytes } of inMemory) {
        const isRam = ['.stack', '.data', '.bss'].includes(name);
        expect(isIn(isRam ? ram : code, address, sizeBytes), name).toBe(true);
      }
      for (const { address, bytes } of segments)
        expect(isIn(code, address, bytes.length)).toBe(true);
      expect(isIn(code, entry & ~1, 2)).toBe(true);
      const vectors = readFileSync(firmware.writerElfPath!.replace(/elf$/, 'bin'));
      expect(vectors.readUInt32LE(4)).toBe(entry);
      expect(isIn(ram, vectors.readUInt32LE(0) - 8, 8)).toBe(true);
    },
  );
});

const target = loadTarget('ast1030-evb');
const storagePath = temporaryFolder('writer-nor.img');
let board: EmulatedBoard | undefined;
afterEach(async () => {
  await board?.kill();
  rmSync(storagePath, { force: true });
});

type Client = (firmware: Firmware, port: string) => Promise<string>;

const byOurs: Client = async ({ hexPath }, port) => {
  const args = ['flash', hexPath, '--target', target.name, '--port', port];
  const { code, stdout, stderr } = await lm2mcu(args, tmpdir());
  expect(code, stderr).toBe(0);
  return stdout;
};

const byStm32flash: Client = async ({ binPaths }, port) => {
  const { storage, wireOrigin } = target.writer!;
  const nor = target.regions.find(({ name }) => name === 'nor')!;
  await stm32flash(port, binPaths['nor']!, wireOrigin + nor.origin - storage.origin);
  return stm32flash(port, binPaths['flash']!, wireOrigin, { go: true });
};

const noTools = hasEmulator ? missing('stm32flash') : ' (skipped: no emulator)';
describe.skipIf(noTools !== '')(`under QEMU${noTools}`, () => {
  test.each([
    ['lm2mcu flash', byOurs, /verified {2}CRC-32 by the bootloader\nstarted {3}yes/],
    ['stm32flash', byStm32flash, /Starting execution at address/],
  ] as const)('%s writes the NOR, and the board starts from it', async (_name, client, said) => {
    const firmware = await buildFake(target, {}, inNor);
    const start = (bootloaderPath: string) => startBoard({ target, bootloaderPath, storagePath });
    board = await start(firmware.writerElfPath!);
    expect(await client(firmware, board.port)).toMatch(said);
    // GO has reset it, and it serves again.
    if (client === byOurs)
      expect(await client(firmware, board.port)).toContain('written   nothing');
    await board.kill();
    const stored = readFileSync(storagePath);
    for (const [region, at] of [
      ['flash', 0],
      ['nor', 0x20000],
    ] as const) {
      const wanted = readFileSync(firmware.binPaths[region]!);
      expect(stored.subarray(at, at + wanted.length).equals(wanted), region).toBe(true);
    }

    board = await start(firmware.bootloaderElfPath!);
    const serial = openSerial(board.port);
    expect(await serial.line()).toBe('{"ready":"fake"}');
    serial.close();
  });
});
