/** The ways past a serial line: a drive, and the tools of debug probes; with stand-ins for both. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { chooseLoader } from '../../flasher/choose-loader.ts';
import { findVolume, flashDrive } from '../../flasher/drive.ts';
import { flash } from '../../flasher/flash.ts';
import { joinSegments } from '../../flasher/image.ts';
import { probeCommands } from '../../flasher/probe-tools.ts';
import { loadTarget } from '../../toolchain/targets.ts';

const root = mkdtempSync(join(tmpdir(), 'lm2mcu-drive-'));
afterAll(() => rmSync(root, { recursive: true }));
const drive = join(root, 'NODE_F446RE');
beforeEach(() => {
  rmSync(drive, { recursive: true, force: true });
  mkdirSync(drive);
  writeFileSync(join(drive, 'MBED.HTM'), '');
});
const quiet = () => {};
const content = Uint8Array.from({ length: 200_000 }, (_, index) => index);
/** `meanwhile` is what the probe does when it has the file. */
const copy = (path: string | undefined, meanwhile = quiet, volume = 'NODE_F446RE') =>
  flashDrive({ path, volume, fileName: 'firmware.bin', content, waitMs: 500 }, (phase) => {
    if (phase === 'wait for the board') meanwhile();
  });

describe('drive', () => {
  test('the file is copied, and the probe is asked how it went', async () => {
    const flashed = await copy(drive);
    expect(flashed).toMatchObject({ bytesWritten: content.length, started: true });
    expect(new Uint8Array(readFileSync(join(drive, 'firmware.bin')))).toEqual(content);
  });

  test('a FAIL.TXT that the probe writes is the error; an old one is not', async () => {
    const failure = join(drive, 'FAIL.TXT');
    writeFileSync(failure, 'error: an old one\n');
    await copy(drive);
    const fail = () => writeFileSync(failure, 'The target is locked.\r\n');
    await expect(copy(drive, fail)).rejects.toThrow('The target is locked.');
  });

  test('a drive that does not come back is an error', async () => {
    const goAway = () => rmSync(drive, { recursive: true });
    await expect(copy(drive, goAway)).rejects.toThrow('the drive did not come back');
  });

  test('a folder that is no board’s drive is left alone', async () => {
    rmSync(join(drive, 'MBED.HTM'));
    await expect(copy(drive)).rejects.toThrow('does not look like a board’s drive');
    await expect(copy(join(root, 'none'))).rejects.toThrow('is no mounted drive');
    await expect(copy(undefined, quiet, 'NO_SUCH_DRIVE')).rejects.toThrow(
      'there is no drive NO_SUCH_DRIVE',
    );
  });

  test('it is found by its label', () => {
    expect(findVolume('NODE_F446RE', [join(root, 'elsewhere'), root])).toBe(drive);
    expect(findVolume('JLINK', [root])).toBeUndefined();
  });
});

describe('probe tools', () => {
  test('the command lines', () => {
    expect(probeCommands({ protocol: 'probe-rs', chip: 'STM32F446RETx' }, 'a b.hex')).toEqual([
      [
        'probe-rs',
        'download',
        '--chip',
        'STM32F446RETx',
        '--binary-format',
        'hex',
        '--verify',
        'a b.hex',
      ],
      ['probe-rs', 'reset', '--chip', 'STM32F446RETx'],
    ]);
    expect(probeCommands({ protocol: 'openocd', scripts: ['board/x.cfg'] }, 'a b.hex')).toEqual([
      ['openocd', '-f', 'board/x.cfg', '-c', 'program {a b.hex} verify reset exit'],
    ]);
  });

  const target = loadTarget('nucleo-f446re');
  const image = joinSegments([{ address: 0x08000000, bytes: content }], 'test');
  const loader = target.loaders.find(({ protocol }) => protocol === 'openocd');
  const flashWith = async (script: string | null) => {
    if (loader?.protocol !== 'openocd') throw new Error('no such loader');
    const path = process.env['PATH'] ?? '';
    const bin = join(root, 'bin');
    rmSync(bin, { recursive: true, force: true });
    mkdirSync(bin);
    if (script !== null) {
      writeFileSync(join(bin, 'openocd'), `#!/bin/sh\n${script}\n`);
      chmodSync(join(bin, 'openocd'), 0o755);
    }
    process.env['PATH'] = script === null ? bin : `${bin}${delimiter}${path}`;
    try {
      const none = { port: undefined, baud: undefined, wiring: undefined, writer: undefined };
      const open = () => async () => Promise.reject(new Error('no port is opened'));
      return await flash({ target, loader, image, ...none, rewriteAll: false }, open, quiet);
    } finally {
      process.env['PATH'] = path;
    }
  };

  test('the tool gets the whole image, and its success is ours', async () => {
    const seen = join(root, 'seen.hex');
    const script = `cp "$(echo "$4" | sed 's/.*{\\(.*\\)}.*/\\1/')" "${seen}"`;
    expect(await flashWith(script)).toMatchObject({ verifiedBy: 'openocd', started: true });
    expect(readFileSync(seen, 'utf8')).toMatch(/^:020000040800F2\n/);
  });

  test('its failure is told in its own words', async () => {
    const error = flashWith('echo "Error: no ST-LINK found" >&2; exit 1');
    await expect(error).rejects.toThrow(
      'openocd failed (exit code 1):\n    Error: no ST-LINK found',
    );
  });

  test('a tool that is not there is named', async () => {
    await expect(flashWith(null)).rejects.toThrow('openocd is not installed');
  });
});

describe('which loader', () => {
  const image = joinSegments([{ address: 0x08000000, bytes: content }], 'test');
  const withNor = joinSegments(
    [...image.segments, { address: 0x90000000, bytes: new Uint8Array(10) }],
    'test',
  );
  const disco = loadTarget('stm32f746g-disco');
  const base = { target: disco, image, protocol: undefined, port: undefined, isDryRun: false };
  const all = () => true;

  test('the first that is ready and reaches all of the image', () => {
    expect(chooseLoader({ ...base, isInstalled: all }).protocol).toBe('openocd');
    expect(chooseLoader({ ...base, isInstalled: (one) => one === 'probe-rs' }).protocol).toBe(
      'probe-rs',
    );
    // Neither the drive nor probe-rs writes the external flash.
    expect(chooseLoader({ ...base, image: withNor, isInstalled: all }).protocol).toBe('openocd');
    const none = () => chooseLoader({ ...base, image: withNor, isInstalled: () => false });
    expect(none).toThrow('none of the ways to flash stm32f746g-disco is ready');
    const dry = { ...base, isDryRun: true, image: withNor, isInstalled: () => false };
    expect(chooseLoader(dry).protocol).toBe('openocd');
  });

  test('a serial port means the bootloader, a folder the drive', () => {
    const isInstalled = all;
    expect(chooseLoader({ ...base, port: '/dev/ttyUSB0', isInstalled }).protocol).toBe(
      'stm32-uart',
    );
    expect(chooseLoader({ ...base, port: drive, isInstalled }).protocol).toBe('drive');
    const nordic = loadTarget('nrf52840-dk');
    const serial = () =>
      chooseLoader({ ...base, target: nordic, port: '/dev/ttyACM0', isInstalled });
    expect(serial).toThrow('nrf52840-dk has no bootloader on a serial port');
  });

  test('what the board does not have', () => {
    const isInstalled = all;
    const named = () => chooseLoader({ ...base, protocol: 'ymodem', isInstalled });
    expect(named).toThrow('stm32f746g-disco has no loader ymodem');
    const emulated = () => chooseLoader({ ...base, target: loadTarget('mps2-an386'), isInstalled });
    expect(emulated).toThrow('mps2-an386 is emulated: there is no board to flash');
    const byHand = () =>
      chooseLoader({ ...base, target: loadTarget('alif-ensemble-e7'), isInstalled });
    expect(byHand).toThrow('alif-ensemble-e7 is loaded by a tool of its maker, not by lm2mcu');
  });
});
