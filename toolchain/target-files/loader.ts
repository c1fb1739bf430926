/** How images get onto a board: part of a board's file. */
import * as z from 'zod';
import { address, identifier, positive } from './fields.ts';

/** What a loader can write, by the names of regions; pages are numbered through them in this order. */
const loaderRegions = z.array(identifier).nonempty();
/** For people: which pins or port the line is, and what brings the board into its bootloader. */
const line = { serial: z.string(), enter: z.string(), baud: positive.default(115200) };
/** A modem line on a pin of the board; `inverted` where the adapter drives it the other way. */
const modemLine = z.strictObject({ line: z.enum(['dtr', 'rts']), inverted: z.boolean() });

/**
 * How an image gets onto the board, read by the flasher and by people. The first one is what the
 * board can do out of its box.
 */
export const loaderSchema = z.discriminatedUnion('protocol', [
  z.strictObject({
    protocol: z.literal('stm32-uart'),
    /** The chip's id as the bootloader reports it (AN2606). */
    productId: address,
    regions: loaderRegions,
    ...line,
    /** The ROM wants even parity; our own bootloader none. */
    parity: z.enum(['even', 'none']).default('even'),
    /** Modem lines at BOOT0 and NRST; without them a person presses the buttons. */
    signals: z.strictObject({ boot0: modemLine, nrst: modemLine }).optional(),
    /** A line `!boot` on the application's console leads back into the bootloader. */
    bootLine: z.boolean().default(false),
  }),
  z.strictObject({
    protocol: z.literal('sam-ba'),
    regions: loaderRegions,
    ...line,
    /** RAM for what is to be written; the bootloader's own lies elsewhere. */
    bufferAddress: address,
    bufferBytes: positive,
    /** Over a UART the monitor carries memory by XMODEM. */
    over: z.enum(['usb', 'uart']).default('usb'),
  }),
  z.strictObject({
    protocol: z.literal('mcuboot-smp'),
    ...line,
    /** The number of the image, where the bootloader has several. */
    image: z.int().nonnegative().default(0),
  }),
  z.strictObject({ protocol: z.literal('ymodem'), ...line }),
  z.strictObject({
    protocol: z.literal('drive'),
    file: z.enum(['bin', 'hex', 'uf2']),
    /** The drive's label. */
    volume: z.string(),
    regions: loaderRegions,
    /** Of UF2 files: the number that the bootloader compares with its own. */
    familyId: address.optional(),
    how: z.string(),
  }),
  z.strictObject({
    protocol: z.literal('probe-rs'),
    /** The chip as `probe-rs chip list` writes it. */
    chip: z.string(),
    regions: loaderRegions,
    how: z.string(),
  }),
  z.strictObject({
    protocol: z.literal('openocd'),
    /** Scripts of its distribution, in order. */
    scripts: z.array(z.string()).nonempty(),
    regions: loaderRegions,
    how: z.string(),
  }),
  z.strictObject({
    protocol: z.literal('by-hand'),
    /** What the vendor's own tool does with the images of a build. */
    how: z.string(),
  }),
  z.strictObject({ protocol: z.literal('emulator') }),
]);

export type Loader = z.infer<typeof loaderSchema>;
