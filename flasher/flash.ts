/**
 * From an image to a board that runs it: chooses the loader, plans, acts, and says what happened. What
 * the host has to offer comes in as functions, so that all of it runs in tests too.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { intelHex } from '../toolchain/build/image-files.ts';
import { assertExhaustive, Lm2mcuError, userError } from '../toolchain/errors.ts';
import type { Loader, Target } from '../toolchain/targets.ts';
import { portLost } from './advice.ts';
import { flashDrive } from './drive.ts';
import { enterByBootLine, resetBySignals, type Wiring } from './enter.ts';
import { type PagedLoader, placeOf } from './geometry.ts';
import { hex, type Image, imageBytes } from './image.ts';
import type { Flashed, Report } from './job.ts';
import { checkInside, type FlashPlan, outside, planFlash } from './plan.ts';
import { type OpenPort, type Port, PortLost } from './port.ts';
import { flashByProbe } from './probe-tools.ts';
import { flashMcubootSmp } from './protocols/mcuboot-smp.ts';
import { flashSamBa } from './protocols/sam-ba.ts';
import { flashStm32Uart } from './protocols/stm32-uart.ts';
import { flashYmodem } from './protocols/ymodem.ts';
import { formatUf2 } from './uf2.ts';

export interface FlashRequest {
  readonly target: Target;
  readonly loader: Exclude<Loader, { readonly protocol: 'emulator' }>;
  readonly image: Image;
  /** A serial port, or the folder of a drive. */
  readonly port: string | undefined;
  /** Instead of the loader's. */
  readonly baud: number | undefined;
  readonly wiring: Wiring | undefined;
  readonly rewriteAll: boolean;
}

/** Writes pages that it knows one by one; the others take the image as a whole. */
export function planOf({ target, loader, image }: FlashRequest): FlashPlan | null {
  switch (loader.protocol) {
    case 'stm32-uart':
    case 'sam-ba':
      return planFlash(image, placeOf(target, loader));
    case 'drive':
    case 'probe-rs':
    case 'openocd':
      checkInside(image, placeOf(target, loader).regions);
      return null;
    case 'mcuboot-smp':
    case 'ymodem':
      return null;
    default:
      return assertExhaustive(loader);
  }
}

export async function flash(
  request: FlashRequest,
  open: (path: string) => OpenPort,
  report: Report,
): Promise<Flashed> {
  const { target, loader, image, port: path, rewriteAll } = request;
  const plan = planOf(request);
  switch (loader.protocol) {
    case 'stm32-uart': {
      const { baud, parity } = loader;
      const place = placeOf(target, loader);
      return withPort(request, open, { baud, parity }, (port) =>
        flashStm32Uart(
          port,
          plan!,
          {
            boardName: target.name,
            productId: loader.productId,
            addressOffset: place.addressOffset,
            startAddress: place.startAddress ?? image.segments[0]!.address,
            rewriteAll,
            enter: async (link) => {
              const { bootLine, signals } = loader;
              const wiring = request.wiring ?? signals;
              if (wiring !== undefined && (await resetBySignals(port, wiring, true))) return true;
              return bootLine && enterByBootLine(link);
            },
            howToEnter: `Bring the board into its bootloader: ${loader.enter}. The line is ${loader.serial}.`,
          },
          report,
        ),
      );
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
      where: segments.map(({ address }) => hex(address)).join(', '),
      hint: 'Use another --protocol, one that writes the external flash too (lm2mcu targets <board>).',
    });
  }
  const binary = new Uint8Array(length).fill(ERASED);
  for (const { address, bytes } of segments) binary.set(bytes, address - start);
  return binary;
}

/** Whether a loader reaches every memory that the image has something in. */
export function reaches(target: Target, loader: PagedLoader, image: Image): boolean {
  return outside(image, placeOf(target, loader).regions).length === 0;
}
