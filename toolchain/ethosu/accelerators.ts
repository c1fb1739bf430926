/**
 * What the members of the family differ in: one row an accelerator.
 *
 * Sizes are those that Vela's `architecture_features.py` lists; SHRAM is counted in banks of 1 KiB,
 * granules are what the sizes of its buffers are rounded up to.
 */
import { userError } from '../errors.ts';

export interface Accelerator {
  readonly name: string;
  /** Bits 31:28 of the config word: 0 U55, 1 U65. */
  readonly product: number;
  readonly macsPerCycle: number;
  /** The smallest piece of an output block that the MAC array makes at a time. */
  readonly microBlock: Shape3;
  readonly shramBanks: number;
  /** Banks that no op may use beside a lookup table: the last ones, where the part has enough. */
  readonly reservedEndBanks: number;
  readonly inputGranule: { readonly 1: number; readonly 2: number; readonly 4: number };
  readonly accumulatorGranule: { readonly int32: number; readonly int40: number };
  /** DMA transfers that are under way at once; a further one waits. */
  readonly outstandingDma: number;
  readonly addressBits: number;
}

export interface Shape3 {
  readonly height: number;
  readonly width: number;
  readonly depth: number;
}

export type AcceleratorName = keyof typeof accelerators;

export const accelerators = {
  'ethos-u55-32': {
    name: 'ethos-u55-32',
    product: 0,
    macsPerCycle: 32,
    microBlock: { height: 1, width: 1, depth: 4 },
    shramBanks: 16,
    reservedEndBanks: 0,
    inputGranule: { 1: 2, 2: 2, 4: 4 },
    accumulatorGranule: { int32: 4, int40: 4 },
    outstandingDma: 1,
    addressBits: 32,
  },
  'ethos-u55-64': {
    name: 'ethos-u55-64',
    product: 0,
    macsPerCycle: 64,
    microBlock: { height: 1, width: 1, depth: 8 },
    shramBanks: 16,
    reservedEndBanks: 0,
    inputGranule: { 1: 2, 2: 2, 4: 4 },
    accumulatorGranule: { int32: 4, int40: 8 },
    outstandingDma: 1,
    addressBits: 32,
  },
  'ethos-u55-128': {
    name: 'ethos-u55-128',
    product: 0,
    macsPerCycle: 128,
    microBlock: { height: 1, width: 2, depth: 8 },
    shramBanks: 24,
    reservedEndBanks: 2,
    inputGranule: { 1: 4, 2: 4, 4: 8 },
    accumulatorGranule: { int32: 8, int40: 12 },
    outstandingDma: 1,
    addressBits: 32,
  },
  'ethos-u55-256': {
    name: 'ethos-u55-256',
    product: 0,
    macsPerCycle: 256,
    microBlock: { height: 2, width: 2, depth: 8 },
    shramBanks: 48,
    reservedEndBanks: 2,
    inputGranule: { 1: 8, 2: 8, 4: 16 },
    accumulatorGranule: { int32: 16, int40: 20 },
    outstandingDma: 1,
    addressBits: 32,
  },
  'ethos-u65-256': {
    name: 'ethos-u65-256',
    product: 1,
    macsPerCycle: 256,
    microBlock: { height: 2, width: 2, depth: 8 },
    shramBanks: 48,
    reservedEndBanks: 2,
    inputGranule: { 1: 8, 2: 8, 4: 16 },
    accumulatorGranule: { int32: 16, int40: 20 },
    outstandingDma: 2,
    addressBits: 40,
  },
} as const satisfies Record<string, Accelerator>;

export const bankBytes = 1024;
/** A lookup table of any kind lies in the last two banks. */
export const lookupBanks = 2;
/** Channels of an input micro block, on every part. */
export const inputMicroDepth = 8;

export function acceleratorOf(name: string): Accelerator {
  const found = Object.entries(accelerators).find(([known]) => known === name);
  if (found !== undefined) return found[1];
  throw userError({
    code: 'unknown-accelerator',
    message: `there is no accelerator named ${name}`,
    hint: `Known are ${Object.keys(accelerators).join(', ')}.`,
  });
}

/** Byte in SHRAM where the lookup tables begin. */
export function lookupStart({ shramBanks }: Accelerator): number {
  return (shramBanks - lookupBanks) * bankBytes;
}

/** log2(MACs) in 3:0, command stream version 0 in 7:4, SHRAM KiB in 15:8, product in 31:28. */
export function configWord({ macsPerCycle, shramBanks, product }: Accelerator): number {
  return (Math.log2(macsPerCycle) | (shramBanks << 8) | (product << 28)) >>> 0;
}

/** The accelerator that a payload's config word names; null where there is no such row. */
export function acceleratorOfConfig(config: number): Accelerator | null {
  return Object.values(accelerators).find((row) => configWord(row) === config) ?? null;
}
