/** What a board leaves for a decoder, as the limits of the program. */
import { arenaRegion, codeReserveBytes } from '../schedule/placement.ts';
import { type MemoryRegion, regionOf, type Target } from '../targets.ts';
import type { Limits } from './program.ts';

export interface Wishes {
  /** Of tokens a second at the end of a full context; without it any speed will do. */
  readonly tokensPerSecond?: number | undefined;
  /** For the whole image; without it the region of the constants. */
  readonly flashBudget?: number | undefined;
  readonly maxParameters?: number | undefined;
  readonly maxDepthToWidth: number;
}

export interface Budget {
  readonly limits: Limits;
  /** Of the weights. */
  readonly region: MemoryRegion;
  /** Flash that every decoder takes: code, and the tokenizer. */
  readonly fixedFlashBytes: number;
}

/**
 * Pieces and merges of a byte-level vocabulary: text of a few bytes, its place, and the two tokens of
 * its merge. A bound before there is a tokenizer.
 */
const tokenizerBytesPerToken = 14;

export function budgetOf(target: Target, vocabulary: number, wishes: Wishes): Budget {
  const region = weightRegion(target);
  const { tokensPerSecond, flashBudget, maxParameters, maxDepthToWidth } = wishes;
  const unlimited = Number.POSITIVE_INFINITY;
  return {
    region,
    fixedFlashBytes:
      tokenizerBytesPerToken * vocabulary +
      (region.name === target.codeRegion || flashBudget !== undefined ? codeReserveBytes : 0),
    limits: {
      flashBytes: Math.min(region.sizeBytes, flashBudget ?? unlimited),
      sramBytes: arenaRegion(target).availableBytes,
      cycles: tokensPerSecond === undefined ? unlimited : target.clockHz / tokensPerSecond,
      parameters: maxParameters ?? unlimited,
      depthToWidth: maxDepthToWidth,
    },
  };
}

/** All weights in one memory: of the code, else the fastest, then the largest, that keeps its content. */
function weightRegion(target: Target): MemoryRegion {
  const code = regionOf(target, target.codeRegion);
  if (!code.codeOnly) return code;
  return target.regions
    .filter(({ kind, codeOnly }) => (kind === 'flash' || kind === 'nor') && !codeOnly)
    .toSorted((a, b) => a.readCyclesPerWord - b.readCyclesPerWord || b.sizeBytes - a.sizeBytes)[0]!;
}
