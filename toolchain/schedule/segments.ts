/**
 * Cuts a graph into segments: loops over row tiles, each running a chain of ops on one tile before
 * the next tile begins, so that nothing between the ops of a chain is ever stored for all rows.
 *
 * A cut is forced where an op needs all rows of an operand (attention's keys and values, a mean). The
 * makers of such operands get a segment of their own, right before the op that needs them, if what
 * they read is kept for other readers anyway: keys and values of a head group then live no longer
 * than their attention. Everything else joins the segment of what it depends on.
 */
import { internalError } from '../errors.ts';
import { type Dim, type Graph, type Node, readersOf, type Stage, tensorOf } from '../ir/graph.ts';
import { producersOf } from '../ir/rewrite.ts';
import { operandOf, opOf } from '../ops/index.ts';

export interface Segment {
  /** Rows of every op in it: one, or all tokens. */
  readonly rows: Dim;
  readonly nodes: readonly Node[];
}

export interface CutOptions {
  /**
   * What can be made again from the inputs alone (embedded tokens) is made in every segment that
   * reads it, and kept in none.
   */
  readonly recomputeInputs: boolean;
}

export function cutSegments(graph: Graph<Stage>, options: CutOptions): readonly Segment[] {
  const segments = cutAtBarriers(graph);
  return options.recomputeInputs ? recomputed(graph, segments) : segments;
}

/** A node made again stands in several segments, each time before its first reader there. */
function recomputed(graph: Graph<Stage>, segments: readonly Segment[]): readonly Segment[] {
  const cheap = graph.nodes.filter((node) => canRecompute(graph, node));
  const changed = segments.map(({ rows, nodes }) => {
    const list = nodes.filter((node) => !cheap.includes(node));
    for (const node of cheap) {
      const reader = list.findIndex(({ inputs }) => inputs.includes(node.output));
      if (reader >= 0) list.splice(reader, 0, node);
    }
    return { rows, nodes: list };
  });
  return changed.filter(({ nodes }) => nodes.length > 0);
}

/** Made from inputs and constants, and read row by row only. */
export function canRecompute(graph: Graph<Stage>, node: Node): boolean {
  const isSource = node.inputs.every((name) => tensorOf(graph, name).role !== 'activation');
  if (!isSource || graph.outputs.includes(node.output)) return false;
  return (readersOf(graph).get(node.output) ?? []).every((index) => {
    const reader = graph.nodes[index]!;
    return reader.inputs.every(
      (name, operand) => name !== node.output || operandOf(reader.op, operand).reads === 'row',
    );
  });
}

function cutAtBarriers(graph: Graph<Stage>): readonly Segment[] {
  const producers: ReadonlyMap<string, Node> = producersOf(graph as Graph<Stage>);
  const readers = readersOf(graph);
  const placed = new Set<string>();
  const segments: { rows: Dim; nodes: Node[] }[] = [];
  let current: { rows: Dim; nodes: Node[] } | null = null;

  const isNeeded = (name: string): boolean =>
    producers.has(name) && !placed.has(name) && tensorOf(graph, name).role === 'activation';

  /** Appends a node after what it reads row by row; operands read as a whole are there already. */
  function place(node: Node): void {
    if (placed.has(node.output)) return;
    for (const [index, name] of node.inputs.entries()) {
      if (operandOf(node.op, index).reads === 'row' && isNeeded(name)) place(producers.get(name)!);
    }
    for (const [index, name] of node.inputs.entries()) {
      if (operandOf(node.op, index).reads === 'all' && isNeeded(name)) {
        throw internalError(`'${name}' is needed whole before it is made`, node.name);
      }
    }
    const rows = tensorOf(graph, node.output).shape[0];
    if (current === null || (current.rows !== rows && !opOf(node.op).isView)) open(rows);
    current!.nodes.push(node);
    placed.add(node.output);
  }

  function open(rows: Dim): void {
    current = { rows, nodes: [] };
    segments.push(current);
  }

  for (const barrier of graph.nodes) {
    const whole = barrier.inputs.filter(
      (name, index) => operandOf(barrier.op, index).reads === 'all' && isNeeded(name),
    );
    const makers = whole.map((name) => producers.get(name)!);
    const readsAll = barrier.inputs.some(
      (_, index) => operandOf(barrier.op, index).reads === 'all',
    );
    if (!readsAll) continue;
    const separate: Node[] = [];
    for (const maker of makers) {
      const sources = maker.inputs.filter((name) => tensorOf(graph, name).role === 'activation');
      const isKept = (name: string): boolean =>
        (readers.get(name) ?? []).some((index) => !makers.includes(graph.nodes[index]!));
      if (sources.length > 0 && sources.every(isKept)) {
        for (const name of sources) if (isNeeded(name)) place(producers.get(name)!);
        separate.push(maker);
      } else place(maker);
    }
    if (separate.length > 0) {
      open(tensorOf(graph, separate[0]!.output).shape[0]);
      for (const maker of separate) place(maker);
    }
    if (opOf(barrier.op).isView) {
      placed.add(barrier.output); // a row of a kept tensor: nothing to compute
      continue;
    }
    open(tensorOf(graph, barrier.output).shape[0]);
    place(barrier);
  }
  for (const name of graph.outputs) if (isNeeded(name)) place(producers.get(name)!);
  return segments.filter((segment) => segment.nodes.length > 0);
}
