/** What must hold between the fields of a board. */
import type * as z from 'zod';
import type { BootloaderFacts, MemoryRegion, Npu, WriterFacts } from './board.ts';
import type { Loader } from './loader.ts';

/** Bytes before the code in the storage: the image's header, and alignment of the vectors. */
export const imageCodeOffset = 512;

interface Extent {
  readonly name: string;
  readonly origin: number;
  readonly sizeBytes: number;
}

export function findOverlap(regions: readonly Extent[]): string | undefined {
  const sorted = regions.toSorted((a, b) => a.origin - b.origin);
  const index = sorted.findIndex((region, i) => {
    const next = sorted[i + 1];
    return next !== undefined && region.origin + region.sizeBytes > next.origin;
  });
  return index < 0 ? undefined : `${sorted[index]?.name} and ${sorted[index + 1]?.name}`;
}

export function isInside(region: Extent, outer: readonly Extent[]): boolean {
  return outer.some(
    ({ origin, sizeBytes }) =>
      region.origin >= origin && region.origin + region.sizeBytes <= origin + sizeBytes,
  );
}

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

function rule(message: string, path: string, holds: (fields: Fields['value']) => boolean) {
  return (payload: Fields): void => {
    if (holds(payload.value)) return;
    const input = payload.value;
    payload.issues.push({ code: 'custom', message, path: [path], input, continue: true });
  };
}

function region(fields: Fields['value'], name: string): MemoryRegion | undefined {
  return fields.regions.find((candidate) => candidate.name === name);
}

function sum(blocks: readonly { count?: number; sizeBytes: number }[]): number {
  return blocks.reduce((total, block) => total + (block.count ?? 1) * block.sizeBytes, 0);
}

/** Rules between the fields of a board; each sentence is manual and message. */
export const boardRules = [
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
