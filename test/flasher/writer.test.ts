/** A board with code in the chip and weights in a NOR: what is planned, said and done through the writer. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { isReal } from '../../flasher/choose-loader.ts';
import { type FlashRequest, flash, formatImage, plansOf } from '../../flasher/flash.ts';
import { placeOf, placeOfWriter } from '../../flasher/geometry.ts';
import { joinSegments } from '../../flasher/image.ts';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { lm2mcu, temporaryFolder } from '../cli/lm2mcu.ts';
import { seededRandom } from './faulty-port.ts';
import { flashMemory } from './peers/flash-memory.ts';
import { serveStm32Uart } from './peers/stm32-uart.ts';
import { type WriterChip, writerChip } from './peers/stm32-writer.ts';
import { virtualLine } from './virtual-line.ts';

const target = loadTarget('stm32f746g-disco');
const facts = target.writer!;
const random = seededRandom(11);
const bytesOf = (length: number) => Uint8Array.from({ length }, () => Math.floor(random() * 256));

const [CODE, NOR] = [0x08000000, 0x90000000];
const image = joinSegments(
  [
    { address: CODE, bytes: bytesOf(40_000) },
    { address: NOR, bytes: bytesOf(150_000) },
  ],
  'test',
);
/** Vectors as the linker makes them, then anything. */
const writer = bytesOf(2000);
const vectors = new DataView(writer.buffer);
vectors.setUint32(0, facts.ram.origin + 0x200, true);
vectors.setUint32(4, facts.code.origin + 0x41, true);

const loaderOf = (protocol: string) => {
  const found = target.loaders.find((one) => one.protocol === protocol);
  if (found === undefined || !isReal(found)) throw new Error('no such loader');
  return found;
};
const requestOf = (protocol: string, more: Partial<FlashRequest> = {}): FlashRequest => ({
  ...{ target, image, writer, loader: loaderOf(protocol), port: 'a port' },
  ...{ baud: undefined, wiring: undefined, rewriteAll: false },
  ...more,
});

function newBoard() {
  const loader = loaderOf('stm32-uart');
  if (loader.protocol !== 'stm32-uart') throw new Error('no such loader');
  const flash = flashMemory(placeOf(target, loader), CODE);
  const nor = flashMemory(placeOfWriter(target)!, NOR);
  const program = { address: facts.code.origin, bytes: writer };
  const ids = { productId: loader.productId, writerId: facts.productId };
  return { flash, nor, chip: writerChip(flash, nor, program, ids) };
}

function flashOver(chip: WriterChip, request: FlashRequest) {
  const line = virtualLine();
  void serveStm32Uart(line.device, chip.running);
  const phases: string[] = [];
  const report = (phase: string) => {
    if (phases.at(-1) !== phase) phases.push(phase);
  };
  const flashed = flash(request, () => async () => line.host, report);
  return flashed.then((result) => ({ ...result, phases }));
}

test('both memories, and the code comes last; again, the NOR is kept', async () => {
  const { flash: internal, nor, chip } = newBoard();
  const first = await flashOver(chip, requestOf('stm32-uart'));
  expect(first).toMatchObject({
    repeats: 0,
    bytesKept: 0,
    started: true,
    verifiedBy: 'read-back, the NOR by CRC-32 by the writer',
  });
  expect(first.phases.join(' ')).toMatch(
    /^connect load the writer connect compare .*verify reset connect erase write verify start$/,
  );
  for (const { address, bytes } of image.segments) {
    const memory = address === CODE ? internal : nor;
    expect(memory.read(address, bytes.length)).toEqual(bytes);
  }
  chip.reset();
  const again = await flashOver(chip, requestOf('stm32-uart'));
  expect(again.bytesWritten).toBe(Math.ceil(40_000 / 256) * 256);
  expect(again.bytesKept).toBe(first.bytesWritten - again.bytesWritten);
});

test('only the NOR, whoever loaded the writer: the internal flash is not touched', async () => {
  const { flash: internal, nor, chip } = newBoard();
  const before = internal.snapshot();
  const only = { ...image, segments: image.segments.slice(1) };
  const request = requestOf('stm32-uart', { image: only });
  const loaded = await flashOver(chip, request);
  expect(loaded).toMatchObject({ verifiedBy: 'CRC-32 by the writer', started: true });
  expect(nor.read(NOR, 150_000)).toEqual(only.segments[0]!.bytes);

  // As a probe leaves it.
  nor.erasePage(1);
  chip.startWriter();
  const found = await flashOver(chip, request);
  expect(found.phases).not.toContain('load the writer');
  expect(found.bytesWritten).toBe(65_536 + 256 * 256);
  expect(nor.read(NOR, 150_000)).toEqual(only.segments[0]!.bytes);
  expect(internal.snapshot()).toBe(before);
});

test('a NOR that cannot be written is an error, and nothing is started', async () => {
  const { flash: internal, nor, chip } = newBoard();
  await flashOver(chip, requestOf('stm32-uart'));
  chip.reset();
  Object.assign(nor, { program: () => {} });
  nor.erasePage(2);
  const broken = flashOver(chip, requestOf('stm32-uart'));
  await expect(broken).rejects.toMatchObject({ details: { code: 'verify-failed' } });
  expect(internal.isCommitted()).toBe(false);
});

test('what is said where a loader does not reach the NOR, or the writer is missing', () => {
  const messageOf = (request: FlashRequest) => {
    try {
      plansOf(request);
    } catch (error) {
      if (error instanceof Lm2mcuError) return formatError(error.details);
      throw error;
    }
    return '';
  };
  expect(messageOf(requestOf('probe-rs'))).toMatchInlineSnapshot(`
    "error: probe-rs does not reach the NOR of stm32f746g-disco, where a part of the image lies
      hint: Use a --protocol that writes it (lm2mcu targets), or the writer of the build, in this order:
            openocd -f board/stm32f746g-disco.cfg -c "init" -c "reset halt" -c "load_image <build>/writer.elf" -c "reg sp 0x20012200" -c "resume 0x20010040" -c "exit"
            lm2mcu flash <build> --only nor --protocol stm32-uart --port <port>
            lm2mcu flash <build> --only flash --protocol probe-rs"
  `);
  expect(messageOf(requestOf('probe-rs', { writer: undefined }))).toMatchInlineSnapshot(`
    "error: the NOR of stm32f746g-disco needs its writer, and there is none for it beside the image
      where: writer.bin
      hint: Give the folder that lm2mcu build wrote, or the file in it."
  `);
  expect(messageOf(requestOf('probe-rs', { writer: new Uint8Array(2000) }))).toContain(
    'writer.bin',
  );
  expect(messageOf(requestOf('openocd'))).toBe('');
});

const folder = temporaryFolder();
afterAll(folder.remove);

test('the command line: a plan of both steps, and one memory alone', async () => {
  mkdirSync(join(folder.path, 'out'));
  writeFileSync(join(folder.path, 'out', 'firmware.hex'), formatImage(image, 'hex', 0));
  writeFileSync(join(folder.path, 'out', 'writer.bin'), writer);
  const run = (...more: readonly string[]) => {
    const file = ['flash', join('out', 'firmware.hex'), '--target', target.name];
    return lm2mcu([...file, '--protocol', 'stm32-uart', '--dry-run', ...more], folder.path);
  };
  const { code, stdout, stderr } = await run();
  expect(code, stderr).toBe(0);
  expect(stdout).toMatchInlineSnapshot(`
    "board     stm32f746g-disco by stm32-uart; nothing is done
    step 1    page 0 of flash is erased; the writer, 2,000 B, goes to RAM at 0x20010000, and is started
    step 2    the writer does the NOR, where it differs, and resets the chip
    image     150,000 B on 3 pages
      nor    pages 0..2      0x90000000  erase 3 × 65,536 B, write 150,016 B
    first     page 0 of nor is erased, so that no half image boots
    last      256 B at 0x90000000 are written, when all else is verified
    step 3    the bootloader does the internal flash
    image     40,000 B on 2 pages
      flash  pages 0..1      0x08000000  erase 2 × 32,768 B, write 40,192 B
    first     page 0 of flash is erased, so that no half image boots
    last      32 B at 0x08000000 are written, when all else is verified
    missing   stm32-uart: give its --port; the line is a USB serial adapter at USART1 (PA9, PA10) or USART3 (PB10, PB11 or PC10, PC11); the ST-LINK port is USART1 on PA9 and PB7, and the ROM does not receive on PB7; the writer of the NOR listens at PA10 only
    "
  `);
  const { stdout: json } = await run('--only', 'nor', '--json');
  expect(JSON.parse(json)).toMatchObject({
    pages: null,
    throughWriter: { pages: [{ region: 'nor', number: 0 }, { number: 1 }, { number: 2 }] },
  });
  const bad = await run('--only', 'eeprom');
  expect([bad.code, bad.stderr]).toMatchInlineSnapshot(`
    [
      1,
      "error: --only eeprom: there is no such memory
      hint: Memories of stm32f746g-disco: flash, sram, itcm, nor.
    ",
    ]
  `);
});
