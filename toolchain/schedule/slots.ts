/**
 * Which rows and columns of which buffer a call sees of a tensor: what follows from the graph and how it is
 * cut into segments, before any buffer has a place.
 */
import { type Graph, type Node, readersOf, type Stage, tensorOf } from '../ir/graph.ts';
import { producersOf } from '../ir/rewrite.ts';
import type { Ring } from '../ops/cache.ts';
import { operandOf, opOf } from '../ops/index.ts';
import type { InnerLoop, Slot, SlotRows } from './program.ts';
import { canRecompute, isConsumed, nodesOf, type Segment } from './segments.ts';

export interface SegmentedGraph {
  readonly graph: Graph<Stage>;
  readonly segments: readonly Segment[];
  /** By tensor, where it is made. */
  readonly segmentOf: ReadonlyMap<string, number>;
  readonly producers: ReadonlyMap<string, Node>;
  readonly options: { readonly tileRows: number; readonly recomputeInputs: boolean };
}

export function segmentedGraph(
  graph: Graph<Stage>,
  segments: readonly Segment[],
  options: SegmentedGraph['options'],
): SegmentedGraph {
  const segmentOf = new Map(
    segments.flatMap((segment, index) =>
      nodesOf(segment).map(({ output }) => [output, index] as const),
    ),
  );
  return { graph, segments, segmentOf, producers: producersOf(graph), options };
}

/** Where a call stands. */
export interface Place {
  readonly segment: number;
  /** Of the segment's tile. */
  readonly tileRows: number;
  /** Of the segment. */
  readonly step: number;
  readonly inner: InnerLoop | null;
  /** What the calls of the inner loop make, a block at a time. */
  readonly madeInside: readonly string[];
}

export function inputSlot(
  cut: SegmentedGraph,
  node: Node,
  name: string,
  index: number,
  place: Place,
): Slot | null {
  const { reads } = operandOf(node.op, index);
  const isConstant = tensorOf(cut.graph, name).role === 'constant';
  return (reads === 'row' || reads === 'all' || reads === 'past') && !isConstant
    ? slotOf(cut, name, reads, place)
    : null;
}

export function slotOf(
  cut: SegmentedGraph,
  name: string,
  reads: 'row' | 'all' | 'past',
  place: Place,
): Slot {
  const source = cut.producers.get(name);
  if (
    source?.op === 'selectRow' &&
    !isConsumed(cut.graph, source.inputs[0]!, cut.options.tileRows)
  ) {
    return { ...slotOf(cut, source.inputs[0]!, 'all', place), rows: source.attrs.which };
  }
  const rows = rowsOfSlot(cut, name, reads, place);
  return { ...placeOf(cut, name, place), rows, ...columnsOf(cut, name) };
}

export function rowsOfSlot(
  cut: SegmentedGraph,
  name: string,
  reads: 'row' | 'all' | 'past',
  { inner, madeInside }: Place,
): SlotRows {
  if (tensorOf(cut.graph, name).shape[0] === 1) return 'first';
  if (reads === 'past') return 'past';
  if (madeInside.includes(name)) return 'tile';
  if (reads === 'all') return isConsumed(cut.graph, name, cut.options.tileRows) ? 'tile' : 'all';
  const isInput = tensorOf(cut.graph, name).role === 'input';
  return inner?.over === 'tokens' && !isInput ? 'outer' : 'tile';
}

export function columnsOf(cut: SegmentedGraph, name: string): { readonly columns: number } {
  return { columns: tensorOf(cut.graph, name).shape[1] };
}

/** Which columns of which buffer hold a tensor, as a call sees it. */
export function placeOf(
  cut: SegmentedGraph,
  name: string,
  place: Pick<Place, 'segment' | 'inner' | 'madeInside'>,
): Pick<Slot, 'buffer' | 'firstColumn'> {
  const { segment, inner, madeInside } = place;
  if (madeInside.includes(name)) {
    return { buffer: `${name}~${segment}.${inner!.index}`, firstColumn: 0 };
  }
  if (isRecomputed(cut, name)) return { buffer: `${name}~${segment}`, firstColumn: 0 };
  const join = joinOf(cut, name, cut.segmentOf.get(name) ?? segment);
  if (join === null) return { buffer: name, firstColumn: 0 };
  const whole = placeOf(cut, join.output, place);
  const before = join.inputs.slice(0, join.inputs.indexOf(name));
  const columns = before.reduce((sum, part) => sum + columnsOf(cut, part).columns, 0);
  return { ...whole, firstColumn: whole.firstColumn + columns };
}

/** The join that a tensor is a part of, if both are made in the segment. */
export function joinOf(cut: SegmentedGraph, name: string, segment: number): Node | null {
  const indexes = readersOf(cut.graph).get(name) ?? [];
  if (indexes.length !== 1 || cut.segmentOf.get(name) !== segment) return null;
  const reader = cut.graph.nodes[indexes[0]!]!;
  return reader.op === 'concat' && cut.segmentOf.get(reader.output) === segment ? reader : null;
}

/** A tensor and the joins that it lies in, inside out. */
export function withJoins(cut: SegmentedGraph, name: string, segment: number): readonly string[] {
  const join = joinOf(cut, name, segment);
  return join === null ? [name] : [name, ...withJoins(cut, join.output, segment)];
}

export function isRecomputed(cut: SegmentedGraph, name: string): boolean {
  const source = cut.producers.get(name);
  return cut.options.recomputeInputs && source !== undefined && canRecompute(cut.graph, source);
}

/** In a loop over tokens, all that makes one row but what takes every tile. */
export function runsOnce(cut: SegmentedGraph, node: Node, { segment }: Place): boolean {
  const isOneRow = tensorOf(cut.graph, node.output).shape[0] === 1;
  const takesTiles = opOf(node.op).streaming !== undefined;
  return isOneRow && cut.segments[segment]!.rows === 'tokens' && !takesTiles;
}

/** Readers of a tensor, looking through row selections. */
export function realReaders(cut: SegmentedGraph, name: string): { reader: Node; reads: string }[] {
  return (readersOf(cut.graph).get(name) ?? []).flatMap((index) => {
    const reader = cut.graph.nodes[index]!;
    if (reader.op === 'selectRow' && !isConsumed(cut.graph, name, cut.options.tileRows)) {
      const reads = reader.attrs.which === 'last' ? 'last' : 'all';
      return realReaders(cut, reader.output).map((one) => ({ ...one, reads }));
    }
    return reader.inputs.flatMap((input, operand) =>
      input === name ? [{ reader, reads: operandOf(reader.op, operand).reads as string }] : [],
    );
  });
}

/** Its rows are made in a buffer of their own, and then go where they are kept. */
export function isKeptApart(cut: SegmentedGraph, name: string): boolean {
  const isPast = realReaders(cut, name).some(({ reads }) => reads === 'past');
  return isPast && (isTurned(cut, name) || ringOf(cut, name) !== null);
}

export function isTurned(cut: SegmentedGraph, name: string): boolean {
  return (readersOf(cut.graph).get(name) ?? []).some((index) => {
    const { op, inputs } = cut.graph.nodes[index]!;
    return inputs.some((input, operand) => input === name && operandOf(op, operand).turned);
  });
}

/** What keeps some rows only of a tensor. */
export function ringOf(cut: SegmentedGraph, name: string): Ring | null {
  const rings = (readersOf(cut.graph).get(name) ?? []).flatMap((index) => {
    const { op, attrs } = cut.graph.nodes[index]!;
    return opOf(op).cache?.(attrs) ?? [];
  });
  return rings[0] ?? null;
}
