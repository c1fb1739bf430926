/**
 * Rules on what runs at the same time: DMA beside ops, and blocks of an op beside those of the one
 * before. The model is that of Vela's `register_command_stream_util.py`.
 */
import type { Accelerator } from './accelerators.ts';
import {
  type Accesses,
  type Box,
  blockAccesses,
  dmaAccesses,
  overlaps,
  rowRangesOf,
} from './address-ranges.ts';
import type { Finding } from './lint.ts';
import type { Block, FeatureMap, Operation } from './operations.ts';
import { blockUse, inputBlockDepth } from './shram.ts';

/** Ops that are under way at once; the next waits for the oldest. */
const mostKernels = 2;

interface UnderWay extends Accesses {
  readonly word: number;
}

export function findWaitProblems(
  operations: readonly Operation[],
  accelerator: Accelerator,
): readonly Finding[] {
  const findings: Finding[] = [];
  let transfers: readonly UnderWay[] = [];
  let kernels: readonly UnderWay[] = [];
  for (const operation of operations) {
    switch (operation.kind) {
      case 'dma-wait':
        transfers = lastOf(transfers, operation.outstanding);
        break;
      case 'kernel-wait':
        kernels = lastOf(kernels, operation.outstanding);
        break;
      case 'dma': {
        const access = { ...dmaAccesses(operation), word: operation.word };
        const other = kernels.findLast((kernel) => conflict(kernel, access));
        if (other !== undefined) findings.push(missingWait('kernel-wait', operation.word, other));
        transfers = lastOf([...transfers, access], accelerator.outstandingDma);
        break;
      }
      case 'conv':
      case 'depthwise':
      case 'pool':
      case 'elementwise': {
        const access = { ...blockAccesses(accelerator, operation), word: operation.word };
        const other = transfers.findLast((transfer) => conflict(transfer, access));
        if (other !== undefined) findings.push(missingWait('dma-wait', operation.word, other));
        kernels = lastOf([...kernels, access], mostKernels);
        break;
      }
      case 'irq':
      case 'pmu-mask':
      case 'stop':
        break;
    }
  }
  return findings;
}

function missingWait(rule: 'dma-wait' | 'kernel-wait', word: number, other: UnderWay): Finding {
  const what = rule === 'dma-wait' ? 'the DMA' : 'the op';
  return { rule, word, message: `nothing waits for ${what} of word ${other.word}` };
}

function lastOf<T>(list: readonly T[], count: number): readonly T[] {
  return list.slice(Math.max(0, list.length - count));
}

function conflict(a: Accesses, b: Accesses): boolean {
  return overlaps(a.writes, b.reads) || overlaps(a.writes, b.writes) || overlaps(a.reads, b.writes);
}

/** BLOCKDEP has two bits: so many blocks at the seam of two ops can be under way. */
const mostBlockdep = 3;

export function findOverlapProblems(operations: readonly Operation[]): readonly Finding[] {
  const findings: Finding[] = [];
  let before: Block | null = null;
  for (const operation of operations) {
    if (!('block' in operation)) continue;
    if (before !== null && operation.missing.length === 0) {
      const most = safeBlockdep(before, operation);
      if (operation.blockdep > most) {
        const message = `BLOCKDEP ${operation.blockdep} after the op of word ${before.word}, whose output allows ${most}`;
        findings.push({ rule: 'blockdep', word: operation.word, message });
      }
    }
    before = operation;
  }
  return findings;
}

/**
 * How many blocks of the previous op may be unfinished when the first of this one begins: as many as
 * the input of none of the next blocks overlaps.
 */
export function safeBlockdep(before: Block, operation: Block): number {
  const inputs = [operation.ifm];
  if (operation.kind === 'elementwise' && operation.second?.kind === 'tensor') {
    inputs.push(operation.second.ifm2);
  }
  const made = inputs.filter((input) => overlaps(rowRangesOf(before.ofm), rowRangesOf(input)));
  let most = mostBlockdep;
  for (const input of made) {
    for (let job = 0; job < mostBlockdep; job++) {
      const needs = inputBox(operation, input, job);
      if (needs === null) break;
      most = Math.min(most, job + freeBlocks(before, input, needs));
    }
  }
  return most;
}

/** How many of the last blocks may be missing; all, if none of them is read. */
function freeBlocks(before: Block, input: FeatureMap, needs: Box): number {
  for (let free = 0; free < mostBlockdep; free++) {
    const done = outputBox(before, -1 - free);
    if (done === null) return mostBlockdep;
    if (meet(input, needs, before.ofm, done)) return free;
  }
  return mostBlockdep;
}

/** A block of the output, counted from the first or, negative, from behind the last. */
function outputBox({ ofm, block }: Block, which: number): Box | null {
  const columns = Math.ceil(ofm.width / block.width);
  const layers = Math.ceil(ofm.depth / block.depth);
  const count = Math.ceil(ofm.height / block.height) * columns * layers;
  const index = which < 0 ? count + which : which;
  if (index < 0 || index >= count) return null;
  return {
    z: (index % layers) * block.depth,
    x: (Math.floor(index / layers) % columns) * block.width,
    y: Math.floor(index / (layers * columns)) * block.height,
    ...block,
  };
}

/** What a job reads: ops that sum over channels take an output block's input in several. */
function inputBox(operation: Block, input: FeatureMap, job: number): Box | null {
  const use = blockUse(operation);
  const sums = use.kind === 'conv' || use.kind === 'reduce-sum';
  const depth = sums ? inputBlockDepth(use) : operation.block.depth;
  const jobs = sums ? Math.ceil(input.depth / depth) : 1;
  const output = outputBox(operation, Math.floor(job / jobs));
  if (output === null) return null;
  const z = sums ? (job % jobs) * depth : output.z;
  if (operation.kind === 'elementwise') return clipToBroadcast({ ...output, z, depth }, input);
  const { kernel, padding, upscale } = operation;
  const factor = upscale === 'none' ? 1 : 2;
  const y = Math.max(0, output.y * kernel.strideY - padding.top);
  const x = Math.max(0, output.x * kernel.strideX - padding.left);
  return {
    y: Math.floor(y / factor),
    x: Math.floor(x / factor),
    z,
    height: Math.ceil(((output.height - 1) * kernel.strideY + kernel.height) / factor),
    width: Math.ceil(((output.width - 1) * kernel.strideX + kernel.width) / factor),
    depth,
  };
}

function clipToBroadcast(box: Box, { height, width, depth }: FeatureMap): Box {
  return {
    y: height === 1 ? 0 : box.y,
    x: width === 1 ? 0 : box.x,
    z: depth === 1 ? 0 : box.z,
    height: Math.min(box.height, height),
    width: Math.min(box.width, width),
    depth: Math.min(box.depth, depth),
  };
}

/** Parts of one tensor are compared as places, parts of two by their bytes. */
function meet(input: FeatureMap, needs: Box, output: FeatureMap, done: Box): boolean {
  if (!isSameTensor(input, output))
    return overlaps(rowRangesOf(input, needs), rowRangesOf(output, done));
  const touch = (a: number, aSize: number, b: number, bSize: number) =>
    a < b + bSize && b < a + aSize;
  return (
    touch(needs.y, needs.height, done.y, done.height) &&
    touch(needs.x, needs.width, done.x, done.width) &&
    touch(needs.z, needs.depth, done.z, done.depth)
  );
}

function isSameTensor(a: FeatureMap, b: FeatureMap): boolean {
  const keys = [
    'height',
    'width',
    'depth',
    'region',
    'width0',
    'height0',
    'height1',
    'format',
    'strideY',
    'strideC',
  ] as const;
  return (
    keys.every((key) => a[key] === b[key]) &&
    a.type.bytes === b.type.bytes &&
    a.bases.every((base, tile) => base === b.bases[tile])
  );
}
