/**
 * Two memories of an STM32 board: the internal flash, which the bootloader in ROM writes, and a NOR,
 * which the project's writer does from RAM (firmware-templates/bootloader/writer.c), on one line.
 *
 *   ROM     the commit page of the internal flash is erased; the writer goes to RAM, and is started
 *   writer  the pages of the NOR that differ, verified; then it resets the chip
 *   ROM     the internal flash, its commit block last
 *
 * So whatever interrupts, no code starts beside weights that are not its own. A writer that was left
 * running is sent back first. Without content for the internal flash only the second step is left, and
 * then it does not matter who loaded the writer.
 */
import { hexWord } from '../../toolchain/integers.ts';
import { flashFailed, verifyFailed } from '../failures.ts';
import type { Segment } from '../image.ts';
import { type Flashed, flashPages, type Report } from '../job.ts';
import { openLink } from '../link.ts';
import type { FlashPlan } from '../plan.ts';
import type { Port } from '../port.ts';
import {
  identify,
  type Stm32Device,
  type Stm32UartOptions,
  synchronise,
  WRITE_BYTES,
} from './stm32-uart.ts';

export interface Writer {
  /** Where in RAM it lies, vectors first. */
  readonly program: Segment;
  readonly productId: number;
  /** What it adds to an address to name it. */
  readonly addressOffset: number;
}

export interface WriterPlans {
  readonly nor: FlashPlan;
  readonly internal: FlashPlan | null;
}

/** Of loading the writer, and of leaving it. */
const attempts = 4;
/** The writer waits a tenth of a second before it resets the chip. */
const RESET_MS = 300;
const ERASED = 0xff;

export async function flashThroughWriter(
  port: Port,
  { nor, internal }: WriterPlans,
  writer: Writer,
  options: Stm32UartOptions,
  report: Report,
): Promise<Flashed> {
  const link = openLink(port);
  let repeats = 0;
  const connect = async (): Promise<Stm32Device> => {
    report('connect');
    await synchronise(link, options, report);
    const device = await identify(link, options, [options.productId, writer.productId]);
    if (!isWriter(device)) return device;
    return identify(link, { ...options, addressOffset: writer.addressOffset }, [writer.productId]);
  };
  const isWriter = ({ productId }: Stm32Device) => productId === writer.productId;
  /** Where an answer was lost it did not go: then once more. */
  const goTo = async (
    from: Stm32Device,
    address: number,
    isThere: (device: Stm32Device) => boolean,
    prepare: (device: Stm32Device) => Promise<void>,
  ): Promise<Stm32Device> => {
    let device = from;
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (isThere(device)) return device;
      await prepare(device);
      await device.go(address);
      repeats += device.repeats();
      await port.wait(RESET_MS);
      device = await connect();
    }
    if (isThere(device)) return device;
    throw flashFailed('the chip does not go where it is sent', hexWord(address));
  };
  const intoRom = (from: Stm32Device) =>
    goTo(
      from,
      nor.commit.page.address,
      (device) => !isWriter(device),
      async () => report('reset'),
    );
  const intoWriter = (from: Stm32Device) =>
    goTo(from, writer.program.address, isWriter, async (rom) => {
      if (internal !== null) await rom.erase([internal.commit.page]);
      await load(rom, writer.program, report);
    });

  const first = await connect();
  const device = await intoWriter(internal === null ? first : await intoRom(first));
  const inNor = await flashPages(nor, device, options, report);
  const byWriter = `${device.hasChecksum() ? 'CRC-32' : 'read-back'} by the writer`;
  if (internal === null) {
    const started = await device.go(nor.commit.page.address);
    return { ...inNor, repeats: inNor.repeats + repeats, verifiedBy: byWriter, started };
  }
  const rom = await intoRom(device);
  const inFlash = await flashPages(internal, rom, options, report);
  report('start');
  const started = await rom.go(options.startAddress);
  const byRom = rom.hasChecksum() ? 'CRC-32 by the bootloader' : 'read-back';
  return {
    bytesWritten: inNor.bytesWritten + inFlash.bytesWritten,
    bytesKept: inNor.bytesKept + inFlash.bytesKept,
    repeats: repeats + inFlash.repeats,
    verifiedBy: `${byRom}, the NOR by ${byWriter}`,
    started,
  };
}

async function load(rom: Stm32Device, { address, bytes }: Segment, report: Report): Promise<void> {
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4).fill(ERASED);
  padded.set(bytes);
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (let offset = 0; offset < padded.length; offset += WRITE_BYTES) {
      report('load the writer', offset, padded.length);
      const block = padded.subarray(offset, offset + WRITE_BYTES);
      await rom.write({ address: address + offset, bytes: block });
    }
    if (await rom.holds(address, padded)) return;
  }
  throw verifyFailed(`the writer in RAM, at ${hexWord(address)}`);
}
