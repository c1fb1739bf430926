/**
 * From an image to a board that runs it: chooses the loader, plans, acts, and says what happened. What
 * the host has to offer comes in as functions, so that all of it runs in tests too.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { intelHex } from '../toolchain/build/image-files.ts';
import { assertExhaustive, Lm2mcuError, userError } from '../toolchain/errors.ts';
import { hexWord } from '../toolchain/integers.ts';
import type { Loader, Target } from '../toolchain/targets.ts';
import { portLost } from './advice.ts';
import { flashDrive } from './drive.ts';
import { enterByBootLine, resetBySignals, type Wiring } from './enter.ts';
import { needsWriter, noWriter } from './failures.ts';
import { type PagedLoader, placeOf, placeOfWriter } from './geometry.ts';
import { type Image, imageBytes } from './image.ts';
import type { Flashed, Report } from './job.ts';
import { checkInside, type FlashPlan, outside, planFlash } from './plan.ts';
import { type OpenPort, type Port, PortLost } from './port.ts';
import { flashByProbe, writerCommand } from './probe-tools.ts';
import { flashMcubootSmp } from './protocols/mcuboot-smp.ts';
import { flashSamBa } from './protocols/sam-ba.ts';
import { flashStm32Uart, type Stm32UartOptions } from './protocols/stm32-uart.ts';
import { flashThroughWriter, type Writer } from './protocols/stm32-writer.ts';
import { flashYmodem } from './protocols/ymodem.ts';
import { formatUf2 } from './uf2.ts';

export interface FlashRequest {
  readonly target: Target;
  readonly loader: Exclude<Loader, { readonly protocol: 'emulator' | 'by-hand' }>;
  readonly image: Image;
  /** A serial port, or the folder of a drive. */
  readonly port: string | undefined;
  /** Instead of the loader's. */
  readonly baud: number | undefined;
  readonly wiring: Wiring | undefined;
  readonly rewriteAll: boolean;
  /** `writer.bin` of the build, where there is one. */
  readonly writer: Uint8Array | undefined;
}

/** What the loader does itself, and what the writer does for it. */
export interface FlashPlans {
  /** Null for loaders that take the image as a whole, and where all of it is the writer's. */
  readonly plan: FlashPlan | null;
  readonly throughWriter: FlashPlan | null;
}

export function plansOf(request: FlashRequest): FlashPlans {
  const { target, loader, image } = request;
  switch (loader.protocol) {
    case 'stm32-uart':
      return pagesOf(target, loader, image);
    case 'sam-ba':
      return { plan: planFlash(image, placeOf(target, loader)), throughWriter: null };
    case 'drive':
    case 'probe-rs':
    case 'openocd':
      checkReached(request, loader);
      return { plan: null, throughWriter: null };
    case 'mcuboot-smp':
    case 'ymodem':
      return { plan: null, throughWriter: null };
    default:
      return assertExhaustive(loader);
  }
}

function pagesOf(target: Target, loader: PagedLoader, image: Image): FlashPlans {
  const place = placeOf(target, loader);
  const writerPlace = placeOfWriter(target);
  const beyond = outside(image, place.regions);
  if (writerPlace === undefined || beyond.length === 0) {
    return { plan: planFlash(image, place), throughWriter: null };
  }
  const own = image.segments.filter((segment) => !beyond.includes(segment));
  return {
    plan: own.length === 0 ? null : planFlash({ ...image, segments: own }, place),
    throughWriter: planFlash({ ...image, segments: beyond }, writerPlace),
  };
}

/** A NOR that the probe's tool or drive does not reach is the writer's, which a debug probe can load. */
function checkReached(request: FlashRequest, loader: PagedLoader): void {
  const { target, image } = request;
  const { regions } = placeOf(target, loader);
  const beyond = outside(image, regions);
  const writerPlace = placeOfWriter(target);
  const isForWriter =
    writerPlace !== undefined &&
    outside({ ...image, segments: beyond }, writerPlace.regions).length === 0;
  if (beyond.length === 0 || !isForWriter) {
    checkInside(image, regions);
    return;
  }
  const openocd = target.loaders.find((one) => one.protocol === 'openocd');
  const { bytes } = writerOf(request).program;
  const load = writerCommand(openocd?.scripts ?? ['<your board.cfg>'], bytes);
  throw needsWriter(target.name, loader.protocol, load, loader.regions);
}

export async function flash(
  request: FlashRequest,
  open: (path: string) => OpenPort,
  report: Report,
): Promise<Flashed> {
  const { target, loader, image, port: path, rewriteAll } = request;
  const { plan, throughWriter } = plansOf(request);
  switch (loader.protocol) {
    case 'stm32-uart': {
      const { baud, parity } = loader;
      const place = placeOf(target, loader);
      const start = place.startAddress ?? image.segments[0]!.address;
      const writer = throughWriter === null ? null : writerOf(request);
      return withPort(request, open, { baud, parity }, (port) => {
        const options: Stm32UartOptions = {
          boardName: target.name,
          productId: loader.productId,
          addressOffset: place.addressOffset,
          startAddress: start,
          rewriteAll,
          enter: async (link) => {
            const { bootLine, signals } = loader;
            const wiring = request.wiring ?? signals;
            if (wiring !== undefined && (await resetBySignals(port, wiring, true))) return true;
            return bootLine && enterByBootLine(link);
          },
          howToEnter: `Bring the board into its bootloader: ${loader.enter}. The line is ${loader.serial}.`,
        };
        return throughWriter === null || writer === null
          ? flashStm32Uart(port, plan!, options, report)
          : flashThroughWriter(
              port,
              { nor: throughWriter, internal: plan },
              writer,
              options,
              report,
            );
      });
    }
    case 'sam-ba': {
      const attempt = () =>
        withPort(request, open, { baud: loader.baud, parity: 'none' }, (port) =>
          flashSamBa(port, plan!, { ...loader, rewriteAll }, report),
        );
      return attempt().catch(async (error: unknown) => {
        const isSilent = error instanceof Lm2mcuError && error.details.code === 'bootloader-silent';
        if (!isSilent || path === undefined) throw error;
        await touch(open(path));
        return attempt();
      });
    }
    case 'mcuboot-smp':
      return withPort(request, open, { baud: loader.baud, parity: 'none' }, (port) =>
        flashMcubootSmp(port, wholeBinary(image), { ...loader, rewriteAll }, report),
      );
    case 'ymodem':
      return withPort(request, open, { baud: loader.baud, parity: 'none' }, (port) =>
        flashYmodem(port, { name: 'firmware.bin', content: wholeBinary(image) }, loader, report),
      );
    case 'drive':
      return flashDrive(
        {
          path,
          volume: loader.volume,
          fileName: `firmware.${loader.file}`,
          content: fileOf(image, loader),
          waitMs: DRIVE_WAIT_MS,
        },
        report,
      );
    case 'probe-rs':
    case 'openocd': {
      const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-flash-'));
      try {
        const file = join(folder, 'firmware.hex');
        writeFileSync(file, hexOf(image));
        return await flashByProbe(loader, file, imageBytes(image), report);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
    default:
      return assertExhaustive(loader);
  }
}

export function writerOf({ target, writer }: FlashRequest): Writer {
  const facts = target.writer!;
  const { origin, sizeBytes } = facts.code;
  if (writer === undefined || writer.length < 8) throw noWriter(target.name);
  const entry = new DataView(writer.buffer, writer.byteOffset).getUint32(4, true);
  // Of another board, or another version.
  if (entry < origin || entry >= origin + sizeBytes) throw noWriter(target.name);
  return {
    program: { address: origin, bytes: writer },
    productId: facts.productId,
    addressOffset: facts.wireOrigin - facts.storage.origin,
  };
}

const DRIVE_WAIT_MS = 15_000;

/** Arduino's applications leave for the bootloader when their port is opened at this speed. */
const TOUCH_BAUD = 1200;
const COME_BACK_MS = 3000;

async function touch(open: OpenPort): Promise<void> {
  const port = await open({ baud: TOUCH_BAUD, parity: 'none' });
  await port.setSignals({ dtr: false, rts: false });
  await port.close();
  // The board leaves the USB and comes back as another device.
  await port.wait(COME_BACK_MS);
}

async function withPort(
  { port: path, loader, baud }: FlashRequest,
  open: (path: string) => OpenPort,
  settings: Parameters<OpenPort>[0],
  use: (port: Port) => Promise<Flashed>,
): Promise<Flashed> {
  if (path === undefined) throw noPort(loader.protocol);
  const port = await open(path)({ ...settings, baud: baud ?? settings.baud });
  try {
    return await use(port);
  } catch (error) {
    if (error instanceof PortLost) throw portLost(path, 'flash');
    throw error;
  } finally {
    await port.close();
  }
}

export function noPort(protocol: string): Error {
  return userError({
    code: 'no-port',
    message: `--protocol ${protocol} needs --port`,
    hint: 'lm2mcu ports shows the serial ports of this host.',
  });
}

/** The image in the form that a loader's drive takes. */
function fileOf(image: Image, loader: Extract<Loader, { protocol: 'drive' }>): Uint8Array {
  return formatImage(image, loader.file, loader.familyId ?? 0);
}

export type ImageForm = 'bin' | 'hex' | 'uf2';

export function formatImage(image: Image, form: ImageForm, familyId: number): Uint8Array {
  switch (form) {
    case 'bin':
      return wholeBinary(image);
    case 'hex':
      return Buffer.from(hexOf(image));
    case 'uf2':
      return formatUf2(image, familyId);
    default:
      return assertExhaustive(form);
  }
}

function hexOf({ segments }: Image): string {
  const images = segments.map(({ address, bytes }) => ({ region: '', origin: address, bytes }));
  return intelHex(images, segments[0]!.address);
}

const ERASED = 0xff;
/** A raw binary of two memories would be the gap between them. */
const MAX_GAP_BYTES = 1 << 20;

function wholeBinary({ segments }: Image): Uint8Array {
  const start = segments[0]!.address;
  const last = segments.at(-1)!;
  const length = last.address + last.bytes.length - start;
  const content = segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (length - content > MAX_GAP_BYTES) {
    throw userError({
      code: 'two-memories',
      message: 'the image lies in two memories, and this loader takes one raw binary',
      where: segments.map(({ address }) => hexWord(address)).join(', '),
      hint: 'Use another --protocol, one that writes the external flash too (lm2mcu targets <board>).',
    });
  }
  const binary = new Uint8Array(length).fill(ERASED);
  for (const { address, bytes } of segments) binary.set(bytes, address - start);
  return binary;
}

/** Whether a loader reaches every memory that the image has something in. */
export function reaches(target: Target, loader: PagedLoader, image: Image): boolean {
  const { regions } = placeOf(target, loader);
  const writer = loader.protocol === 'stm32-uart' ? placeOfWriter(target) : undefined;
  return outside(image, [...regions, ...(writer?.regions ?? [])]).length === 0;
}
