/**
 * What a call costs, by a linear model a kernel, measured on the emulated core (`cost` in
 * targets/cores): instructions a call, what is prepared for a chunk of rows, and for each row of a pass
 * its elements, multiply-accumulates, attention scores and table look-ups. Copies count nothing.
 *
 * Cycles are instructions at the core's assumed rate, plus the waits for constants that lie in memory
 * slower than a word a cycle. Caches, write buffers and dual issue are not modelled: an estimate.
 */
import { internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { type Graph, type Node, rowsOf, type Stage, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import type { Work } from '../ops/op.ts';
import type { Target } from '../targets.ts';
import type { KernelOf } from './kernels.ts';
import type { Call, Program, ProgramSegment } from './program.ts';

export interface CallCost {
  readonly instructions: number;
  /** Bytes of constants read, counting every reading. */
  readonly constantBytesRead: number;
  /** Multiply-accumulates, counting those that are done again. */
  readonly macs: number;
}

export interface CallConstants {
  /** Read in full for every block of rows. */
  readonly weightBytes: number;
  /** Read for every row. */
  readonly bytesPerRow: number;
}

/** What an estimate needs of a target. */
export interface CostTarget {
  readonly core: {
    readonly name: string;
    readonly cost: Pick<Target['core']['cost'], 'kernels'>;
  };
}

/** Of all runs of a call, computed by `kernel`, in an inference over `tokens` tokens. */
export function callCost(
  graph: Graph<Stage>,
  call: NodeCall,
  kernel: string,
  segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
  constants: CallConstants,
  { core }: Pick<CostTarget, 'core'>,
): CallCost {
  const inputs = tensorOf(graph, call.node.inputs[0]!).shape[1];
  const cost = core.cost.kernels[kernel]?.find(
    ({ mostInputs }) => mostInputs === null || inputs <= mostInputs,
  );
  const split = {
    rowsOf: opOf(call.node.op).kernelRows?.(call.node.attrs) ?? 1,
    taken: cost?.taken ?? [1],
    chunk: cost?.chunk ?? null,
  };
  const trips = tripsOf(call, segment, tokens, split);
  const work = workPerRow(graph, call.node, tokens);
  const macs = work.macs * split.rowsOf * trips.rows;
  const passCount = trips.passes.reduce((sum, times) => sum + times, 0);
  const constantBytesRead = constants.weightBytes * passCount + constants.bytesPerRow * trips.rows;
  if (cost === undefined) throw internalError(`${kernel} has no cost on ${core.name}`, kernel);
  const paddedMacs = work.macs * (1 + cost.padded * paddingOf(call, segment, tokens));
  const instructions = cost.passes.reduce(
    (sum, { row, element, mac, score, table }, index) =>
      sum +
      (trips.passes[index] ?? 0) *
        (index + 1) *
        (row * trips.runs +
          element * work.elements +
          mac * paddedMacs +
          score * work.scores +
          table * work.lookups),
    cost.call * trips.calls + (cost.shared * work.shared + cost.whole * work.whole) * trips.chunks,
  );
  return { instructions: Math.round(instructions), constantBytesRead, macs };
}

/** A call that is not a copy. */
export type NodeCall = Pick<Call, 'output' | 'carry' | 'inner' | 'onlyFirst'> & {
  readonly node: Node;
};

/** Instructions of an inference over `tokens` tokens, on the target's core. */
export function programInstructions(
  { graph, segments }: Pick<Program, 'graph' | 'segments'>,
  tokens: number,
  kernelOf: KernelOf,
  target: CostTarget,
): number {
  let sum = 0;
  for (const segment of segments) {
    for (const call of segment.calls) {
      const { node } = call;
      if (node === null || call.job !== null || call.attention !== null) continue;
      const { name } = kernelOf(graph, node);
      const nodeCall = { ...call, node };
      sum += callCost(graph, nodeCall, name, segment, tokens, noConstants, target).instructions;
    }
  }
  return sum;
}

/** What a segment runs over when a token is generated. */
export const oneRow = { rows: 1, tileRows: 1 } as const;

const noConstants = { weightBytes: 0, bytesPerRow: 0 };

/** Cycles that reading constants adds to the instructions that read them. */
export function waitCycles(bytesRead: number, region: string, target: Target): number {
  const cyclesPerWord = target.regions.find(({ name }) => name === region)?.readCyclesPerWord ?? 1;
  return (bytesRead / 4) * Math.max(0, cyclesPerWord - 1);
}

/** How a kernel takes the rows of a call. */
interface Split {
  /** Rows of the kernel in a row of the output: heads of absorbed attention, else 1. */
  readonly rowsOf: number;
  readonly taken: readonly number[];
  readonly chunk: number | null;
}

interface Trips {
  readonly calls: number;
  /** Of the output, over all calls; a stream's rows count once. */
  readonly rows: number;
  /** Passes over the weights, by the number of rows they take: of one row, of two, and so on. */
  readonly passes: readonly number[];
  readonly chunks: number;
  /** Calls that one row of the output takes. */
  readonly runs: number;
}

function tripsOf(
  { output, carry, inner, onlyFirst }: NodeCall,
  segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
  split: Split,
): Trips {
  const tiles = tilesOf(rowsOf(segment.rows, tokens), segment.tileRows, split);
  const once = tilesOf(1, 1, split);
  if (onlyFirst) return once;
  if (inner?.over === 'tile') return tilesOf(rowsOf(segment.rows, tokens), inner.tileRows, split);
  if (inner !== null) {
    const blocks = tilesOf(tokens, inner.tileRows, split);
    const runs = blocks.calls;
    if (output.rows === 'outer') return { ...tiles, calls: tiles.calls * runs, runs };
    const times = (count: number): number => count * tiles.calls;
    return {
      ...{ calls: times(blocks.calls), rows: times(blocks.rows), chunks: times(blocks.chunks) },
      passes: blocks.passes.map(times),
      runs: 1,
    };
  }
  const takesTiles = carry !== null && output.rows === 'first';
  return takesTiles ? { ...once, calls: tiles.calls, runs: tiles.calls } : tiles;
}

function tilesOf(rows: number, tileRows: number, split: Split): Trips {
  const whole = Math.floor(rows / tileRows);
  const rest = rows % tileRows;
  const ofTile = passesOf(tileRows * split.rowsOf, split.taken);
  const ofRest = passesOf(rest * split.rowsOf, split.taken);
  const chunksOf = (count: number): number =>
    split.chunk === null ? Math.min(1, count) : Math.ceil((count * split.rowsOf) / split.chunk);
  return {
    calls: whole + (rest > 0 ? 1 : 0),
    rows,
    passes: ofTile.map((times, index) => whole * times + ofRest[index]!),
    chunks: whole * chunksOf(tileRows) + chunksOf(rest),
    runs: 1,
  };
}

/** Tokens that a stream's blocks are filled up with, of the tokens there are. */
function paddingOf(
  { node, output, carry, inner }: NodeCall,
  { rows: segmentRows, tileRows }: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
): number {
  const isStream = inner !== null && output.rows === 'outer';
  const takesTiles =
    segmentRows !== 1 && inner === null && carry !== null && output.rows === 'first';
  const blockRows = isStream ? inner.tileRows : takesTiles ? tileRows : tokens;
  const step = opOf(node.op).streaming?.blockRows ?? 1;
  const filled = (rows: number): number => roundUp(rows, step);
  const whole = Math.floor(tokens / blockRows);
  return (whole * filled(blockRows) + filled(tokens % blockRows)) / tokens - 1;
}

/** How many passes of one row, of two, and so on a call over `rows` rows makes. */
function passesOf(rows: number, taken: readonly number[]): readonly number[] {
  const most = Math.max(...taken);
  const passes = new Array<number>(most).fill(0);
  for (let left = rows; left > 0; ) {
    const next = taken[left - 1] ?? most;
    passes[next - 1]! += 1;
    left -= next;
  }
  return passes;
}

/** What one row of a kernel takes. */
function workPerRow(graph: Graph<Stage>, node: Node, tokens: number): Work {
  const shapes = node.inputs.map((name) => tensorOf(graph, name).shape);
  const columns = tensorOf(graph, node.output).shape[1];
  const { attrs, integer } = node;
  const { macsPerRow, work } = opOf(node.op);
  return {
    elements: columns,
    macs: macsPerRow(shapes, attrs, tokens),
    scores: 0,
    lookups: 0,
    shared: columns,
    whole: 0,
    ...work?.(shapes, { attrs, integer, columns, tokens }),
  };
}
