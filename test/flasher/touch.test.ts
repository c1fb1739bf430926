/** A SAM board that runs its application goes to the bootloader when its port is opened at 1200 baud. */
import { expect, test } from 'vitest';
import { flash } from '../../flasher/flash.ts';
import { joinSegments } from '../../flasher/image.ts';
import type { OpenPort } from '../../flasher/port.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { samChip, serveSamBa } from './peers/sam-ba.ts';
import { virtualLine } from './virtual-line.ts';

const target = loadTarget('nucleo-f446re');
const eraseBlocks = [{ count: 62, sizeBytes: 4096 }];
const [flashRegion] = target.regions;
const region = { ...flashRegion!, origin: 0x2000, sizeBytes: 62 * 4096, eraseBlocks };
const board = { ...target, regions: [region] };
const loader = {
  ...{ protocol: 'sam-ba', regions: ['flash'], serial: 'USB', enter: 'tap reset twice' },
  ...{ baud: 115200, bufferAddress: 0x20005000, bufferBytes: 4096, over: 'usb' },
} as const;

test('opened at 1200 baud, closed, and flashed when it is back', async () => {
  const chip = samChip();
  const speeds: number[] = [];
  const open: OpenPort = async ({ baud }) => {
    speeds.push(baud);
    const line = virtualLine();
    if (speeds.includes(1200)) void serveSamBa(line.device, chip);
    else
      void (async () => {
        for (;;) await line.device.read(Number.POSITIVE_INFINITY);
      })();
    return line.host;
  };
  const image = joinSegments([{ address: 0x2000, bytes: new Uint8Array(5000).fill(3) }], 'test');
  const request = { target: board, loader: { ...loader, regions: ['flash'] }, image, port: 'usb' };
  const options = { baud: undefined, wiring: undefined, rewriteAll: false };
  const flashed = await flash(
    { ...request, ...options } as never,
    () => open,
    () => {},
  );
  expect(flashed.started).toBe(true);
  expect(speeds).toEqual([115200, 1200, 115200]);
  expect(chip.runsApplication).toBe(true);
});
