/** The files of `targets/boards`, and boards of users. */
import * as z from 'zod';
import { type AcceleratorName, accelerators } from '../ethosu/accelerators.ts';
import { address, identifier, positive, template } from './fields.ts';
import { loaderSchema } from './loader.ts';
import { boardRules } from './rules.ts';

const regionSchema = z.strictObject({
  name: identifier,
  kind: z.enum(['flash', 'nor', 'sram', 'tcm']),
  origin: address,
  sizeBytes: positive,
  executable: z.boolean().default(false),
  /** Holds no constants of the model, so that new code leaves their pages alone. */
  codeOnly: z.boolean().default(false),
  /** The board's `memorySetup` must run before this memory can be read. */
  needsSetup: z.boolean().default(false),
  /** Core cycles per 32-bit word read in sequence, for the cost model; an estimate. */
  readCyclesPerWord: z.number().positive(),
  /** Erase blocks from the origin on; their sum is sizeBytes. */
  eraseBlocks: z.array(z.strictObject({ count: positive, sizeBytes: positive })).optional(),
  /** Faster or slower parts of a contiguous region, from the origin on. */
  parts: z
    .array(z.strictObject({ name: z.string(), sizeBytes: positive, readCyclesPerWord: z.number() }))
    .optional(),
  note: z.string().optional(),
});

const stm32Pin = z.string().regex(/^P[A-K](1[0-5]|[0-9])$/, 'an STM32 pin is written like "PD8"');
const serial = { base: address, clockHz: positive, baud: positive };
const stm32Serial = {
  ...serial,
  tx: stm32Pin,
  rx: stm32Pin,
  pinFunction: z.int().min(0).max(15),
  enable: z.strictObject({
    register: z.enum(['RCC_APB1ENR', 'RCC_APB2ENR']),
    bit: z.int().min(0).max(31),
  }),
};
const alifPin = z.string().regex(/^P(1[0-4]|[0-9])_[0-7]$/, 'an Alif pin is written like "P12_2"');
const nrfPin = z.string().regex(/^P0\.(3[01]|[0-2][0-9])$/, 'an nRF pin is written like "P0.06"');

/** `driver` names a file of firmware-templates/uart/. */
const uartSchema = z.discriminatedUnion('driver', [
  z.strictObject({
    driver: z.literal('cmsdk-uart'),
    ...serial,
    /** Its receive interrupt, or the combined one; ends the sleep between lines. */
    rxInterrupt: z.int().nonnegative(),
  }),
  z.strictObject({
    driver: z.literal('ns16550'),
    ...serial,
    /** Null: the bootloader has set clock, pins and rate, and they are kept. */
    clockHz: positive.nullable(),
    rxInterrupt: z.int().nonnegative(),
    /** What clock/alif-ensemble.c connects. */
    pins: z
      .strictObject({ tx: alifPin, rx: alifPin, pinFunction: z.int().min(0).max(7) })
      .exactOptional(),
  }),
  z.strictObject({ driver: z.literal('stm32-usart-v1'), ...stm32Serial }),
  z.strictObject({
    driver: z.literal('stm32-usart-v2'),
    ...stm32Serial,
    /** As a ROM bootloader has it on the same line. */
    evenParity: z.boolean().default(false),
  }),
  z.strictObject({ driver: z.literal('nrf-uart'), ...serial, tx: nrfPin, rx: nrfPin }),
]);

const extent = z.strictObject({ origin: address, sizeBytes: positive });

/**
 * The board is flashed by the project's own bootloader (firmware-templates/bootloader/), which keeps
 * the image in one memory, the storage: header at its start, then the non-volatile regions.
 */
const bootloaderSchema = z.strictObject({
  /** QEMU's name of the machine that it runs on. */
  machine: z.string(),
  storage: z.strictObject({
    /** firmware-templates/storage/. */
    driver: template('storage'),
    ...extent.shape,
    pageBytes: positive,
    /** QEMU's name of the flash chip, or the size of the machine's RAM, whose start plays it. */
    emulatedBy: z.union([
      z.strictObject({ chip: z.string() }),
      z.strictObject({ ramBytes: positive }),
    ]),
  }),
  /** How AN3155 commands spell the storage's start. */
  wireOrigin: address,
  /** Its code, and the RAM that it uses until the application starts. */
  code: extent,
  ram: extent,
  /** Two words of RAM that survive a reset and belong to nobody else. */
  handover: address,
});

/**
 * A NOR that the board's loaders do not reach is written by a program in RAM
 * (firmware-templates/bootloader/writer.c). The ROM bootloader of `stm32-uart`, or a debug probe, puts
 * it there.
 */
const writerSchema = z.strictObject({
  storage: z.strictObject({
    /** firmware-templates/storage/. */
    driver: template('storage'),
    ...extent.shape,
    pageBytes: positive,
  }),
  /** How AN3155 commands spell the storage's start. */
  wireOrigin: address,
  /** What it answers to GET_ID: another than the chip's where that has a bootloader in ROM. */
  productId: address,
  /** RAM that whoever loads it leaves alone. */
  code: extent,
  ram: extent,
  /** Its own, for it does not start from a reset, and listens where its loader does. */
  clockSetup: template('clock'),
  clockHz: positive,
  uart: uartSchema,
});

/** An Ethos-U beside the core. It reads and writes the same memory, at the same addresses. */
const npu = {
  /** What differs between the members of the family is in toolchain/ethosu/accelerators.ts. */
  accelerator: z.enum(Object.keys(accelerators) as [AcceleratorName]),
  /** Regions that it reads and writes; the arena and its constants lie there. */
  reaches: z.array(identifier).nonempty(),
  /** Where it is not the core's. */
  clockHz: positive.exactOptional(),
  /** Keys and values as weights that the core packs: no chip has been seen to take them. */
  runTimeWeights: z.literal('simulated-only').exactOptional(),
};

/** `driver` names a file of firmware-templates/npu/. */
const npuSchema = z.discriminatedUnion('driver', [
  z.strictObject({
    driver: z.literal('ethos-u'),
    ...npu,
    base: address,
    interrupt: z.int().nonnegative(),
  }),
  z.strictObject({
    driver: z.literal('emulated'),
    ...npu,
    /** Memory of the machine that QEMU keeps in a file, which the simulator shares. */
    shared: extent,
  }),
]);

export const boardSchema = z
  .strictObject({
    name: identifier,
    title: z.string(),
    chip: z.string(),
    core: identifier,
    clockHz: positive,
    /** Files of firmware-templates/clock/ and firmware-templates/memory/. */
    clockSetup: template('clock'),
    memorySetup: template('memory').default('none'),
    regions: z.array(regionSchema).nonempty(),
    /** Names of the regions for vectors and code, and for stack, .data and .bss. */
    codeRegion: identifier,
    dataRegion: identifier,
    /** The bootloader copies the code here from `codeRegion`, which cannot be executed from. */
    codeRunsIn: identifier.optional(),
    npu: npuSchema.optional(),
    uart: uartSchema,
    /** What SysTick on the processor clock counts: `units` of it every `ticks` ticks, exactly. */
    counter: z.strictObject({
      unit: z.enum(['instructions', 'cycles']),
      units: positive,
      ticks: positive,
      how: z.string(),
    }),
    loaders: z.array(loaderSchema).nonempty(),
    bootloader: bootloaderSchema.optional(),
    writer: writerSchema.optional(),
    verified: z.strictObject({
      status: z.enum(['emulated', 'compiled', 'hardware']),
      how: z.string(),
    }),
    /** Only on boards that QEMU can start without a bootloader: its name of the machine. */
    machine: z.string().optional(),
    /** An emulated board with the same core, and where each region of this board lies on it. */
    twin: z.strictObject({ board: identifier, origins: z.record(identifier, address) }).optional(),
  })
  .check(...boardRules);
export type Board = z.infer<typeof boardSchema>;
export type MemoryRegion = z.infer<typeof regionSchema>;
export type Uart = z.infer<typeof uartSchema>;
export type BootloaderFacts = z.infer<typeof bootloaderSchema>;
export type WriterFacts = z.infer<typeof writerSchema>;
export type Npu = z.infer<typeof npuSchema>;
export type EmulatedNpu = Extract<Npu, { readonly driver: 'emulated' }>;
