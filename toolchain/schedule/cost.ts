/**
 * What a call costs, by a linear model a kernel: instructions a call, row, element,
 * multiply-accumulate and attention score, measured on the emulated core (`cost` in targets/cores).
 *
 * Cycles are instructions at the core's assumed rate, plus the waits for constants that lie in memory
 * slower than a word a cycle. Caches, write buffers and dual issue are not modelled: an estimate.
 */

import { assertExhaustive } from '../errors.ts';
import { type Graph, type Node, rowsOf, type Stage, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import type { Target } from '../targets.ts';
import { type KernelTable, kernelOfNode } from './kernels.ts';
import type { Call, Program, ProgramSegment } from './program.ts';

export interface CallCost {
  readonly instructions: number;
  /** Bytes of constants read, counting every reading. */
  readonly constantBytesRead: number;
}

export interface CallConstants {
  /** Read in full for every block of rows. */
  readonly weightBytes: number;
  /** Read for every row. */
  readonly bytesPerRow: number;
}

/** Of all runs of a call, computed by `kernel`, in an inference over `tokens` tokens. */
export function callCost(
  graph: Graph<Stage>,
  call: NodeCall,
  kernel: string,
  segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
  constants: CallConstants,
  { core }: Pick<Target, 'core'>,
): CallCost {
  const inputs = tensorOf(graph, call.node.inputs[0]!).shape[1];
  const cost = core.cost.kernels[kernel]?.find(
    ({ mostInputs }) => mostInputs === null || inputs <= mostInputs,
  );
  const trips = tripsOf(call, segment, tokens, cost?.taken ?? [1]);
  const passCount = trips.passes.reduce((sum, times) => sum + times, 0);
  const constantBytesRead = constants.weightBytes * passCount + constants.bytesPerRow * trips.rows;
  if (cost === undefined) return { instructions: 0, constantBytesRead };
  const { elements, macs, scores, lookups } = workPerRow(graph, call.node, tokens);
  const { shape } = tensorOf(graph, call.node.output);
  const instructions = cost.passes.reduce(
    (sum, { row, element, mac, score, table }, index) =>
      sum +
      (trips.passes[index] ?? 0) *
        (index + 1) *
        (row * trips.runs + element * elements + mac * macs + score * scores + table * lookups),
    (cost.call + cost.column * shape[1]) * trips.calls,
  );
  return { instructions: Math.round(instructions), constantBytesRead };
}

/** A call that is not a copy. */
export type NodeCall = Pick<Call, 'output' | 'carry' | 'inner' | 'onlyFirst'> & {
  readonly node: Node;
};

/** Instructions of an inference over `tokens` tokens, on the target's core. */
export function programInstructions(
  { graph, segments }: Pick<Program, 'graph' | 'segments'>,
  tokens: number,
  kernels: KernelTable,
  target: Target,
): number {
  let sum = 0;
  for (const segment of segments) {
    for (const call of segment.calls) {
      const { node } = call;
      if (node === null) continue;
      const { name } = kernelOfNode(kernels, graph, node, target.core.features);
      const nodeCall = { ...call, node };
      sum += callCost(graph, nodeCall, name, segment, tokens, noConstants, target).instructions;
    }
  }
  return sum;
}

const noConstants = { weightBytes: 0, bytesPerRow: 0 };

/** Cycles that reading constants adds to the instructions that read them. */
export function waitCycles(bytesRead: number, region: string, target: Target): number {
  const cyclesPerWord = target.regions.find(({ name }) => name === region)?.readCyclesPerWord ?? 1;
  return (bytesRead / 4) * Math.max(0, cyclesPerWord - 1);
}

interface Trips {
  readonly calls: number;
  /** Of the output, over all calls; a stream's rows count once. */
  readonly rows: number;
  /** Passes over the weights, by the number of rows they take: of one row, of two, and so on. */
  readonly passes: readonly number[];
  /** Calls that one row of the output takes. */
  readonly runs: number;
}

function tripsOf(
  { output, carry, inner, onlyFirst }: NodeCall,
  segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
  taken: readonly number[],
): Trips {
  const tiles = tilesOf(rowsOf(segment.rows, tokens), segment.tileRows, taken);
  const once = tilesOf(1, 1, taken);
  if (onlyFirst) return once;
  if (inner !== null) {
    const blocks = tilesOf(tokens, inner.tileRows, taken);
    const runs = blocks.calls;
    if (output.rows === 'outer') return { ...tiles, calls: tiles.calls * runs, runs };
    const times = (count: number): number => count * tiles.calls;
    return {
      ...{ calls: times(blocks.calls), rows: times(blocks.rows) },
      passes: blocks.passes.map(times),
      runs: 1,
    };
  }
  const takesTiles = carry !== null && output.rows === 'first';
  return takesTiles ? { ...once, calls: tiles.calls, runs: tiles.calls } : tiles;
}

function tilesOf(rows: number, tileRows: number, taken: readonly number[]): Trips {
  const whole = Math.floor(rows / tileRows);
  const rest = rows % tileRows;
  const ofTile = passesOf(tileRows, taken);
  const ofRest = passesOf(rest, taken);
  return {
    calls: whole + (rest > 0 ? 1 : 0),
    rows,
    passes: ofTile.map((times, index) => whole * times + ofRest[index]!),
    runs: 1,
  };
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

interface Work {
  readonly elements: number;
  readonly macs: number;
  /** Pairs of a query and a key, a head. */
  readonly scores: number;
  /** Elements that go through an activation table. */
  readonly lookups: number;
}

/** What one output row takes; an element is an output, but for a mean an input. */
function workPerRow(graph: Graph<Stage>, node: Node, tokens: number): Work {
  const shapes = node.inputs.map((name) => tensorOf(graph, name).shape);
  const columns = tensorOf(graph, node.output).shape[1];
  const macs = opOf(node.op).macsPerRow(shapes, node.attrs, tokens);
  switch (node.op) {
    case 'attention':
    case 'attendInputs':
      return { elements: columns, macs, scores: node.attrs.heads * tokens, lookups: 0 };
    case 'meanRows':
      return { elements: columns * tokens, macs, scores: 0, lookups: 0 };
    case 'linear': {
      const lookups = node.integer !== null && node.integer.table !== null ? columns : 0;
      return { elements: columns, macs, scores: 0, lookups };
    }
    case 'addLayerNorm':
    case 'embedLayerNorm':
    case 'embed':
    case 'activation':
    case 'add':
    case 'layerNorm':
    case 'selectRow':
    case 'concat':
      return { elements: columns, macs, scores: 0, lookups: 0 };
    default:
      return assertExhaustive(node);
  }
}
