/** Which buffer a result may be written over, for nothing reads it after its rows have gone. */
import { type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { operandOf, opOf } from '../ops/index.ts';
import type { OpenBuffer } from './place-buffers.ts';
import { nodesOf } from './segments.ts';
import { type Place, placeOf, realReaders, type SegmentedGraph, withJoins } from './slots.ts';

/** The tile of an operand that nothing reads after `node`, which may write its rows over it. */
export function overwrittenTile(
  cut: SegmentedGraph,
  buffers: ReadonlyMap<string, OpenBuffer>,
  node: Node,
  place: Place,
): OpenBuffer | null {
  const { segment } = place;
  if (opOf(node.op).overwritesRows !== true) return null;
  const { dtype, shape } = tensorOf(cut.graph, node.output);
  const nodes = nodesOf(cut.segments[segment]!);
  const position = nodes.indexOf(node);
  for (const [index, name] of node.inputs.entries()) {
    if (operandOf(node.op, index).reads !== 'row') continue;
    const buffer = buffers.get(placeOf(cut, name, place).buffer);
    if (buffer?.kind !== 'tile' || buffer.overwrittenBy !== null) continue;
    if (buffer.tensors.length !== 1 || buffer.tensors[0] !== name) continue;
    if (buffer.dtype !== dtype || buffer.columns !== shape[1]) continue;
    const diesHere = realReaders(cut, name).every(
      ({ reader, reads }) =>
        reads !== 'last' &&
        (cut.segmentOf.get(reader.output) !== segment ||
          (reads === 'row' && nodes.indexOf(reader) <= position)),
    );
    if (diesHere) return buffer;
  }
  return null;
}

/**
 * The widest buffer, no wider than the result, whose tensors die in this segment, are read row by
 * row only, and not after `node` has written a tile of its result.
 */
export function overwrittenBy(
  cut: SegmentedGraph,
  buffers: ReadonlyMap<string, OpenBuffer>,
  tensor: Tensor,
  segment: number,
  node: Node,
): OpenBuffer | null {
  if (tensor.shape[0] !== 'tokens') return null;
  const nodes = nodesOf(cut.segments[segment]!);
  const position = nodes.indexOf(node);
  const joins = new Set(withJoins(cut, node.output, segment).slice(1));
  let widest: OpenBuffer | null = null;
  for (const buffer of buffers.values()) {
    if (buffer.kind !== 'whole' || buffer.overwrittenBy !== null) continue;
    if (buffer.dtype !== tensor.dtype || buffer.columns > tensor.shape[1]) continue;
    if (buffer.columns <= (widest?.columns ?? 0)) continue;
    const isSameWidth = buffer.columns === tensor.shape[1];
    const readers = buffer.tensors
      .flatMap((name) => realReaders(cut, name))
      .filter(({ reader }) => cut.segmentOf.get(reader.output)! >= segment);
    const readBeforeItsRowsAreWritten = readers.every(
      ({ reader, reads }) =>
        reads === 'row' &&
        cut.segmentOf.get(reader.output) === segment &&
        (nodes.indexOf(reader) < position ||
          joins.has(reader.output) || // copied into the join before any part is written
          (reader === node &&
            isSameWidth &&
            joins.size === 0 &&
            opOf(node.op).overwritesRows === true)),
    );
    if (readers.length > 0 && readBeforeItsRowsAreWritten) widest = buffer;
  }
  return widest;
}
