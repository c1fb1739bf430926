/**
 * Boards and cores as data: `targets/cores/*.json` and `targets/boards/*.json`, checked against one
 * schema each. A user's own board is a file of the same form.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as z from 'zod';
import { internalError, userError } from './errors.ts';
import { type AcceleratorName, accelerators } from './ethosu/accelerators.ts';
import { packagePath } from './package-root.ts';

/** Addresses are written `"0x20000000"`, for JSON has no hexadecimal numbers. */
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,8}$/, 'an address is written like "0x20000000"')
  .transform((text) => Number.parseInt(text, 16));
const positive = z.int().positive();
const identifier = z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'lower case letters, digits, hyphens');

/** A path inside `firmware-templates/<folder>/`, without extension. */
const template = (folder: string) =>
  identifier.refine((name) => existsSync(packagePath('firmware-templates', folder, `${name}.c`)), {
    message: `no such file in firmware-templates/${folder}/`,
  });

/**
 * Instructions: `call` a call; `shared` for each item that is prepared for all rows of a chunk (a
 * column of the output; of absorbed attention, an element of its input); and for each row, by how
 * many rows its pass takes, `row + element·elements + mac·MACs + score·scores + table·lookups`. A row
 * of absorbed attention is a row of one head.
 */
const costSchema = z.strictObject({
  /** The widest input that it holds for; null: any. */
  mostInputs: positive.nullable(),
  call: z.number().nonnegative(),
  shared: z.number().nonnegative(),
  /** Of an element of the weights, or of keys and values, for each chunk. */
  whole: z.number().nonnegative().default(0),
  /** Rows of a chunk; null: all rows of a call. */
  chunk: positive.nullable(),
  /** Of absorbed attention: the share of the MACs that is done for whole blocks of 16 tokens. */
  padded: z.number().min(0).max(1),
  /** Of a row in a pass of one row, of two rows, and so on. */
  passes: z
    .array(
      z.strictObject({
        row: z.number().nonnegative(),
        element: z.number().nonnegative(),
        mac: z.number().nonnegative(),
        score: z.number().nonnegative(),
        table: z.number().nonnegative(),
      }),
    )
    .nonempty(),
  /** Rows of the next pass when one row is left, two are left, and so on; with more left, the most. */
  taken: z.array(positive).nonempty(),
});

const coreSchema = z.strictObject({
  name: identifier,
  title: z.string(),
  /** gcc's -mcpu, -mfpu, -mfloat-abi. */
  gcc: z.strictObject({ cpu: z.string(), fpu: z.string(), floatAbi: z.enum(['hard', 'soft']) }),
  features: z.array(z.enum(['dsp', 'mve', 'fpu', 'caches'])),
  /** Bytes a core pushes when it takes an exception with floating-point state, alignment included. */
  exceptionFrameBytes: positive,
  /** firmware-templates/core/. */
  setup: template('core'),
  /** For estimates before anything runs; see toolchain/schedule/cost.ts. */
  cost: z.strictObject({
    /** The command whose --write put the numbers here. */
    measuredBy: z.string(),
    /** Assumed, not measured: no board has been timed. */
    cyclesPerInstruction: z.number().positive(),
    /** Of every kernel that is the best for the core. */
    kernels: z.record(z.string(), z.array(costSchema).nonempty()),
  }),
});

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
const loaderSchema = z.discriminatedUnion('protocol', [
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

/** Bytes before the code in the storage: the image's header, and alignment of the vectors. */
export const imageCodeOffset = 512;

const boardSchema = z
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
  .check(...boardRules());

type Core = z.infer<typeof coreSchema>;
type Board = z.infer<typeof boardSchema>;
export type MemoryRegion = z.infer<typeof regionSchema>;
export type Uart = z.infer<typeof uartSchema>;
export type Loader = z.infer<typeof loaderSchema>;
export type BootloaderFacts = z.infer<typeof bootloaderSchema>;
export type WriterFacts = z.infer<typeof writerSchema>;
export type Npu = z.infer<typeof npuSchema>;
export type EmulatedNpu = Extract<Npu, { readonly driver: 'emulated' }>;

/**
 * Where and how the firmware runs under QEMU: the regions of the real board, same names and sizes,
 * at addresses of the emulated machine, with that machine's UART, clock and counter.
 */
export interface Emulation {
  /** The board is emulated; no image of another machine is needed. */
  readonly isItself: boolean;
  readonly machine: string;
  readonly board: Board;
  readonly regions: readonly MemoryRegion[];
}

/** A board with its core, and its emulated twin where it has one (an emulated board is its own). */
export type Target = Omit<Board, 'core' | 'twin' | 'machine'> & {
  readonly core: Omit<Core, 'features'> & {
    /** What kernels can count on: of the core, and `cmsis-nn` where the user gives that library. */
    readonly features: readonly (Core['features'][number] | 'cmsis-nn')[];
  };
  readonly emulation: Emulation | undefined;
};

/** WebAssembly: no regions and no loader, one memory that grows by pages. */
const engineSchema = z.strictObject({
  name: identifier,
  title: z.string(),
  /** What every engine must have. */
  features: z.array(z.enum(['wasm-simd'])),
  /** Of 64 KiB: what 32-bit addresses reach. */
  mostPages: positive,
  /** As of a core, but of an engine's clock: only which plan is faster is taken from it. */
  cost: z.strictObject({
    countedIn: z.string(),
    kernels: z.record(z.string(), z.array(costSchema).nonempty()),
  }),
  verified: z.strictObject({ how: z.string() }),
});
type Engine = z.infer<typeof engineSchema>;

/** Not a board: something that runs a module. */
export interface EngineTarget extends Pick<Engine, 'name' | 'title' | 'mostPages' | 'verified'> {
  readonly kind: 'engine';
  readonly core: Pick<Engine, 'name' | 'features' | 'cost'>;
}

/** What a model can be compiled for. */
export type AnyTarget = Target | EngineTarget;

export function isEngine(target: AnyTarget): target is EngineTarget {
  return 'kind' in target && target.kind === 'engine';
}

/** A board, for what only boards can do. */
export function boardOf(target: AnyTarget): Target {
  if (!isEngine(target)) return target;
  throw userError({
    code: 'not-a-board',
    message: `${target.name} is no board, but a module that engines run`,
    hint: 'Run it: lm2mcu run <dir> --text … --on wasm; or build for a board (lm2mcu targets lists them).',
  });
}

/** The names of all engines. */
export function listEngines(): readonly string[] {
  return listJson('engines');
}

export function loadEngine(name: string): EngineTarget {
  const engine = parseJson(packagePath('targets', 'engines', `${name}.json`), engineSchema);
  const { title, mostPages, verified, features, cost } = engine;
  return { kind: 'engine', name, title, mostPages, verified, core: { name, features, cost } };
}

/** Whose kernels a model calls: ours, or Arm's as far as there are any. */
export const kernelSets = ['native', 'cmsis-nn'] as const;
export type KernelSet = (typeof kernelSets)[number];

export function withKernels(target: Target, kernels: KernelSet): Target {
  if (kernels === 'native') return target;
  const { core } = target;
  return { ...target, core: { ...core, features: [...core.features, 'cmsis-nn'] } };
}

export function kernelSetOf({ core }: Pick<AnyTarget, 'core'>): KernelSet {
  const features: readonly string[] = core.features;
  return features.includes('cmsis-nn') ? 'cmsis-nn' : 'native';
}

/**
 * A shipped board by name, or a user's own board by the path of its JSON file. `others`: names that are
 * no boards, but would have done.
 */
export function loadTarget(nameOrPath: string, others: readonly string[] = []): Target {
  const board = nameOrPath.endsWith('.json')
    ? readBoard(nameOrPath)
    : loadBoard(nameOrPath, others);
  const core = loadCore(board.core, board.name);
  const { core: _core, twin: _twin, machine: _machine, ...rest } = board;
  return { ...rest, core, emulation: emulationOf(board) };
}

/** A region that the schema has checked to be there. */
export function regionOf({ regions }: Pick<Target, 'regions'>, name: string): MemoryRegion {
  const region = regions.find((candidate) => candidate.name === name);
  if (region === undefined) throw internalError(`there is no region ${name}`, 'board file');
  return region;
}

/** The names of all shipped boards. */
export function listTargets(): readonly string[] {
  return listJson('boards');
}

function emulationOf(board: Board): Emulation | undefined {
  if (board.machine !== undefined) {
    return { isItself: true, machine: board.machine, board, regions: board.regions };
  }
  const twin = board.twin;
  if (twin === undefined) return undefined;
  const emulated = loadBoard(twin.board);
  if (emulated.machine === undefined || emulated.core !== board.core) {
    throw badBoard(board.name, [
      `twin: ${twin.board} must be an emulated board with the same core`,
    ]);
  }
  const regions = board.regions.map((region) => ({
    ...region,
    origin: twin.origins[region.name] ?? region.origin,
  }));
  const problems = regions.filter((region) => !isInside(region, emulated.regions));
  if (problems.length > 0) {
    const list = problems.map((region) => region.name).join(', ');
    throw badBoard(board.name, [`twin: ${list} lies outside the memory of ${twin.board}`]);
  }
  if (findOverlap(regions) !== undefined) {
    throw badBoard(board.name, [`twin: ${findOverlap(regions)} overlap`]);
  }
  checkNpuOfTwin(board, emulated, regions);
  return { isItself: false, machine: emulated.machine, board: emulated, regions };
}

/** The simulator sees only the memory that it shares with the emulator. */
function checkNpuOfTwin(board: Board, twin: Board, regions: readonly MemoryRegion[]): void {
  if (board.npu === undefined) return;
  if (twin.npu?.driver !== 'emulated') {
    throw badBoard(board.name, [`twin: ${twin.name} has no emulated NPU`]);
  }
  const { reaches } = board.npu;
  const shared = [{ name: 'shared', ...twin.npu.shared }];
  const hidden = regions.filter(
    (region) => reaches.includes(region.name) && !isInside(region, shared),
  );
  if (hidden.length === 0) return;
  const list = hidden.map(({ name }) => name).join(', ');
  throw badBoard(board.name, [`twin: the NPU of ${twin.name} does not reach ${list}`]);
}

function loadBoard(name: string, others: readonly string[] = []): Board {
  const names = listTargets();
  if (!names.includes(name)) {
    throw userError({
      code: 'unknown-target',
      message: `there is no target "${name}"`,
      hint: `Use one of ${[...names, ...others].join(', ')}, or the path of a board file ending in .json.`,
    });
  }
  return readBoard(packagePath('targets', 'boards', `${name}.json`));
}

function readBoard(path: string): Board {
  return parseJson(path, boardSchema);
}

function loadCore(name: string, where: string): Core {
  const names = listJson('cores');
  if (!names.includes(name)) {
    throw badBoard(where, [`core: there is no "${name}"; use one of ${names.join(', ')}`]);
  }
  return parseJson(packagePath('targets', 'cores', `${name}.json`), coreSchema);
}

function listJson(folder: 'boards' | 'cores' | 'engines'): readonly string[] {
  return readdirSync(packagePath('targets', folder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => basename(file, '.json'))
    .sort();
}

function parseJson<T>(path: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw userError({
      code: 'bad-board-file',
      message: `the board file cannot be read: ${reason.replace(path, basename(path))}`,
      where: path,
      hint: `Boards are JSON files like those in ${join('targets', 'boards')}.`,
    });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw badBoard(
      path,
      parsed.error.issues.map(
        (issue) => `${issue.path.join('.') || '(whole file)'}: ${issue.message}`,
      ),
    );
  }
  return parsed.data;
}

function badBoard(where: string, problems: readonly string[]): Error {
  return userError({
    code: 'bad-board-file',
    message: `the board file is wrong:\n${problems.map((problem) => `    ${problem}`).join('\n')}`,
    where,
    hint: 'targets/README.md describes every field.',
  });
}

interface Extent {
  readonly name: string;
  readonly origin: number;
  readonly sizeBytes: number;
}

function findOverlap(regions: readonly Extent[]): string | undefined {
  const sorted = regions.toSorted((a, b) => a.origin - b.origin);
  const index = sorted.findIndex((region, i) => {
    const next = sorted[i + 1];
    return next !== undefined && region.origin + region.sizeBytes > next.origin;
  });
  return index < 0 ? undefined : `${sorted[index]?.name} and ${sorted[index + 1]?.name}`;
}

function isInside(region: Extent, outer: readonly Extent[]): boolean {
  return outer.some(
    ({ origin, sizeBytes }) =>
      region.origin >= origin && region.origin + region.sizeBytes <= origin + sizeBytes,
  );
}

/** Rules between the fields of a board; each sentence is manual and message. */
function boardRules() {
  type Fields = z.core.ParsePayload<{
    readonly regions: readonly MemoryRegion[];
    readonly codeRegion: string;
    readonly dataRegion: string;
    readonly memorySetup: string;
    readonly loaders: readonly Loader[];
    readonly codeRunsIn?: string | undefined;
    readonly bootloader?: BootloaderFacts | undefined;
    readonly writer?: WriterFacts | undefined;
    readonly npu?: Npu | undefined;
    readonly machine?: string | undefined;
    readonly twin?: unknown;
  }>;
  const rule =
    (message: string, path: string, holds: (fields: Fields['value']) => boolean) =>
    (payload: Fields): void => {
      if (holds(payload.value)) return;
      const input = payload.value;
      payload.issues.push({ code: 'custom', message, path: [path], input, continue: true });
    };
  const region = (fields: Fields['value'], name: string) =>
    fields.regions.find((candidate) => candidate.name === name);
  const sum = (blocks: readonly { count?: number; sizeBytes: number }[]) =>
    blocks.reduce((total, block) => total + (block.count ?? 1) * block.sizeBytes, 0);
  return [
    rule(
      'names a region that keeps its content, and is executable unless there is codeRunsIn',
      'codeRegion',
      (fields) => {
        const code = region(fields, fields.codeRegion);
        const canRun = code?.executable === true || fields.codeRunsIn !== undefined;
        return canRun && (code?.kind === 'flash' || code?.kind === 'nor');
      },
    ),
    rule('names executable RAM, and needs a bootloader', 'codeRunsIn', (fields) => {
      if (fields.codeRunsIn === undefined) return true;
      const run = region(fields, fields.codeRunsIn);
      const isRam = run?.kind === 'sram' || run?.kind === 'tcm';
      return isRam && run?.executable === true && fields.bootloader !== undefined;
    }),
    rule(
      `the storage holds the non-volatile regions, codeRegion ${imageCodeOffset} bytes behind its start`,
      'bootloader',
      ({ bootloader, regions, codeRegion }) => {
        if (bootloader === undefined) return true;
        const lasting = regions.filter(({ kind }) => kind === 'flash' || kind === 'nor');
        const code = lasting.find(({ name }) => name === codeRegion);
        return (
          code?.origin === bootloader.storage.origin + imageCodeOffset &&
          lasting.every((one) => isInside({ ...one }, [{ name: 'storage', ...bootloader.storage }]))
        );
      },
    ),
    rule(
      'a bootloader needs a loader with protocol stm32-uart',
      'loaders',
      ({ bootloader, loaders }) =>
        bootloader === undefined || loaders.some(({ protocol }) => protocol === 'stm32-uart'),
    ),
    rule(
      'the storage holds a region of kind nor, in whole pages',
      'writer',
      ({ writer, regions }) =>
        writer === undefined ||
        (writer.storage.sizeBytes % writer.storage.pageBytes === 0 &&
          regions.some(
            (one) =>
              one.kind === 'nor' && isInside({ ...one }, [{ name: 'storage', ...writer.storage }]),
          )),
    ),
    rule('names a region of kind sram or tcm', 'dataRegion', (fields) => {
      const kind = region(fields, fields.dataRegion)?.kind;
      return kind === 'sram' || kind === 'tcm';
    }),
    rule(
      'region names differ',
      'regions',
      ({ regions }) => new Set(regions.map(({ name }) => name)).size === regions.length,
    ),
    rule('regions do not overlap', 'regions', ({ regions }) => findOverlap(regions) === undefined),
    rule('eraseBlocks add up to sizeBytes', 'regions', ({ regions }) =>
      regions.every(({ eraseBlocks, sizeBytes }) => !eraseBlocks || sum(eraseBlocks) === sizeBytes),
    ),
    rule('parts add up to sizeBytes', 'regions', ({ regions }) =>
      regions.every(({ parts, sizeBytes }) => !parts || sum(parts) === sizeBytes),
    ),
    rule('a loader names regions that keep their content', 'loaders', (fields) =>
      fields.loaders.every((loader) => {
        const kinds =
          'regions' in loader ? loader.regions.map((one) => region(fields, one)?.kind) : [];
        return kinds.every((kind) => kind === 'flash' || kind === 'nor');
      }),
    ),
    rule(
      'a loader that erases pages needs the eraseBlocks of its regions',
      'loaders',
      (fields) =>
        fields.bootloader !== undefined ||
        fields.loaders.every(
          (loader) =>
            loader.protocol !== 'stm32-uart' ||
            loader.regions.every((one) => region(fields, one)?.eraseBlocks !== undefined),
        ),
    ),
    rule(
      'a region that needsSetup needs a memorySetup',
      'memorySetup',
      ({ regions, memorySetup }) =>
        memorySetup !== 'none' || !regions.some(({ needsSetup }) => needsSetup),
    ),
    rule('reaches names regions, RAM and one for constants among them', 'npu', (fields) => {
      if (fields.npu === undefined) return true;
      const reached = fields.npu.reaches.map((name) => region(fields, name));
      const isRam = (one: MemoryRegion | undefined) => one?.kind === 'sram' || one?.kind === 'tcm';
      return (
        !reached.includes(undefined) &&
        reached.some(isRam) &&
        reached.some((one) => !isRam(one) && one?.codeOnly === false)
      );
    }),
    rule(
      'driver emulated is for boards that QEMU starts (machine), all they reach being shared',
      'npu',
      (fields) => {
        const { npu, machine } = fields;
        if (npu?.driver !== 'emulated') return true;
        const shared = [{ name: 'shared', ...npu.shared }];
        const reached = npu.reaches.flatMap((name) => region(fields, name) ?? []);
        return machine !== undefined && reached.every((one) => isInside(one, shared));
      },
    ),
    rule(
      'a board is emulated itself (machine) or has a twin, not both',
      'twin',
      ({ machine, twin }) => machine === undefined || twin === undefined,
    ),
  ] as const;
}
