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
  const cost = core.cost.kernels[kernel];
  const rowsAtOnce = cost?.rowsAtOnce ?? 1;
  const { calls, rows, blocks, passes } = tripsOf(call, segment, tokens, rowsAtOnce);
  const constantBytesRead = constants.weightBytes * blocks + constants.bytesPerRow * rows;
  if (cost === undefined) return { instructions: 0, constantBytesRead };
  const { elements, macs, scores, lookups } = workPerRow(graph, call.node, tokens);
  // A row without a neighbour costs as much as a whole block.
  const paidRows = blocks * rowsAtOnce;
  const perRow =
    cost.row * passes +
    cost.element * elements +
    cost.mac * macs +
    cost.score * scores +
    cost.table * lookups;
  return { instructions: Math.round(cost.call * calls + perRow * paidRows), constantBytesRead };
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
  /** Groups of `rowsAtOnce` rows, of which those at a tile's end may be incomplete. */
  readonly blocks: number;
  /** Calls that one row of the output takes. */
  readonly passes: number;
}

function tripsOf(
  { output, carry, inner, onlyFirst }: NodeCall,
  segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
  rowsAtOnce: number,
): Trips {
  const tiles = tilesOf(rowsOf(segment.rows, tokens), segment.tileRows, rowsAtOnce);
  const once = { calls: 1, rows: 1, blocks: 1, passes: 1 };
  if (onlyFirst) return once;
  if (inner !== null) {
    const blocks = tilesOf(tokens, inner.tileRows, rowsAtOnce);
    const passes = blocks.calls;
    if (output.rows === 'outer') return { ...tiles, calls: tiles.calls * passes, passes };
    const times = (count: number): number => count * tiles.calls;
    return {
      ...{ calls: times(blocks.calls), rows: times(blocks.rows), blocks: times(blocks.blocks) },
      passes: 1,
    };
  }
  const takesTiles = carry !== null && output.rows === 'first';
  return takesTiles ? { ...once, calls: tiles.calls, passes: tiles.calls } : tiles;
}

function tilesOf(rows: number, tileRows: number, rowsAtOnce: number): Trips {
  const whole = Math.floor(rows / tileRows);
  const rest = rows % tileRows;
  return {
    calls: whole + (rest > 0 ? 1 : 0),
    rows,
    blocks: whole * Math.ceil(tileRows / rowsAtOnce) + Math.ceil(rest / rowsAtOnce),
    passes: 1,
  };
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
