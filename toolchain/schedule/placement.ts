/**
 * Says which memory region each part of the model lies in, by rule: what is read most per inference
 * gets internal flash first (encoder weights, then tokenizer and constraint), the embedding table, of which a
 * token reads one row, last; what is left over goes to external NOR. The arena goes to the largest
 * RAM.
 */
import { userError } from '../errors.ts';
import type { MemoryRegion, Target } from '../targets.ts';

/** The parts of a model's constants, in the order in which they are placed. */
export const constantParts = ['encoder', 'tokenizer', 'constraint', 'embedding'] as const;
export type ConstantPart = (typeof constantParts)[number];
export type ConstantSizes = Readonly<Record<ConstantPart, number>>;

/** Code, vectors and console text, as a bound before linking; the link is what decides. */
export const codeReserveBytes = 32 * 1024;
/** Stack, .data and .bss beside the arena, as a bound before linking. */
export const ramReserveBytes = 3 * 1024;

/** The region of the arena and how many of its bytes it may take. */
export function arenaRegion(target: Target): {
  readonly region: MemoryRegion;
  readonly availableBytes: number;
} {
  const ram = target.regions.filter(
    ({ kind, name }) => (kind === 'sram' || kind === 'tcm') && isReachable(target, name),
  );
  const free = (region: MemoryRegion): number =>
    Math.max(0, region.sizeBytes - (region.name === target.dataRegion ? ramReserveBytes : 0));
  const region = ram.reduce((a, b) => (free(b) > free(a) ? b : a));
  return { region, availableBytes: free(region) };
}

/** Region by part; an error that tells what is short if they do not fit. */
export function placeConstants(
  target: Target,
  sizes: ConstantSizes,
): Readonly<Record<ConstantPart, string>> {
  const code = target.regions.find(({ name }) => name === target.codeRegion)!;
  const external = target.regions.filter(
    ({ kind, name }) => (kind === 'flash' || kind === 'nor') && name !== code.name,
  );
  const free = new Map([code, ...external].map(({ name, sizeBytes }) => [name, sizeBytes]));
  free.set(code.name, code.codeOnly ? 0 : Math.max(0, code.sizeBytes - codeReserveBytes));
  const placed: Partial<Record<ConstantPart, string>> = {};
  for (const part of constantParts) {
    // The NPU reads constants of the encoder.
    const usable = part === 'encoder' ? reachable(target, free) : free;
    const region = [...usable].find(([, bytes]) => bytes >= sizes[part]);
    if (region === undefined) throw doesNotFit(sizes, part, usable);
    placed[part] = region[0];
    free.set(region[0], region[1] - sizes[part]);
  }
  return placed as Record<ConstantPart, string>;
}

/** By the NPU, where there is one. */
function isReachable({ npu }: Target, region: string): boolean {
  return npu === undefined || npu.reaches.includes(region);
}

function reachable(target: Target, free: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...free].filter(([name]) => isReachable(target, name)));
}

function doesNotFit(sizes: ConstantSizes, part: ConstantPart, free: ReadonlyMap<string, number>) {
  const total = constantParts.reduce((sum, one) => sum + sizes[one], 0);
  const present = constantParts.filter((one) => sizes[one] > 0);
  const list = present.map((one) => `${one} ${sizes[one].toLocaleString('en-US')} B`);
  const availableBytes = Math.max(...free.values());
  const [region] = [...free].find(([, bytes]) => bytes === availableBytes)!;
  return userError({
    code: 'does-not-fit',
    message: `the model's ${part} does not fit in flash (${list.join(', ')}; together ${total.toLocaleString('en-US')} B)`,
    where: `region ${region}, after ${codeReserveBytes / 1024} KiB for code and the parts before it`,
    neededBytes: sizes[part],
    availableBytes,
    hint:
      part === 'embedding'
        ? 'Use a --target with external NOR flash (see lm2mcu targets), or a model with a smaller vocabulary.'
        : 'Use a --target with more flash (see lm2mcu targets), or a smaller model.',
  });
}
