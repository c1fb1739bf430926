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
import type { Program, ProgramSegment } from './program.ts';

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

/** Of all tiles of a call of `kernel`, in an inference over `tokens` tokens. */
export function callCost(
  graph: Graph<Stage>,
  node: Node,
  kernel: string,
  segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
  constants: CallConstants,
  { core }: Pick<Target, 'core'>,
): CallCost {
  const cost = core.cost.kernels[kernel];
  const rowsAtOnce = cost?.rowsAtOnce ?? 1;
  const { calls, rows, blocks } = tilesOf(segment, tokens, rowsAtOnce);
  const constantBytesRead = constants.weightBytes * blocks + constants.bytesPerRow * rows;
  if (cost === undefined) return { instructions: 0, constantBytesRead };
  const { elements, macs, scores, lookups } = workPerRow(graph, node, tokens);
  // A row without a neighbour costs as much as a whole block.
  const paidRows = blocks * rowsAtOnce;
  const perRow =
    cost.row +
    cost.element * elements +
    cost.mac * macs +
    cost.score * scores +
    cost.table * lookups;
  return { instructions: Math.round(cost.call * calls + perRow * paidRows), constantBytesRead };
}

/** Instructions of an inference over `tokens` tokens, on the target's core. */
export function programInstructions(
  { graph, segments }: Pick<Program, 'graph' | 'segments'>,
  tokens: number,
  kernels: KernelTable,
  target: Target,
): number {
  let sum = 0;
  for (const segment of segments) {
    for (const { node } of segment.calls) {
      if (node === null) continue;
      const { name } = kernelOfNode(kernels, graph, node, target.core.features);
      sum += callCost(graph, node, name, segment, tokens, noConstants, target).instructions;
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

function tilesOf(
  { rows: dim, tileRows }: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
  rowsAtOnce: number,
): { readonly calls: number; readonly rows: number; readonly blocks: number } {
  const rows = rowsOf(dim, tokens);
  const whole = Math.floor(rows / tileRows);
  const rest = rows % tileRows;
  return {
    calls: whole + (rest > 0 ? 1 : 0),
    rows,
    blocks: whole * Math.ceil(tileRows / rowsAtOnce) + Math.ceil(rest / rowsAtOnce),
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
