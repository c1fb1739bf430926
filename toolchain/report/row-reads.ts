/** Bytes of embedding tables that one row of an op's output reads: what a slow flash is waited for. */
import { packedBytes } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, type Tensor, tensorOf } from '../ir/graph.ts';

/** `lm_lookup_rows`: the multiplier of a row. */
const multiplierBytes = 2;

/** Of the costliest row, where rows differ. */
export function rowBytesRead(graph: Graph<'legal'>, node: Node<'legal'>): number {
  const tensors = node.inputs.map((input) => tensorOf(graph, input));
  switch (node.op) {
    case 'lookupRows':
      return rowBytes(tensors[1]!) + (node.integer.multipliers === null ? 0 : multiplierBytes);
    case 'weightRows':
      return rowBytes(tensors[1]!) + multiplierBytes;
    case 'clusterRows':
      // Of its cluster a row of the factors, the projection, and offset, multiplier and shift a column.
      return Math.max(
        ...inThrees(tensors.slice(2)).map(
          ([factors, projection, offset]) =>
            rowBytes(factors) + allBytes(projection) + offset.shape[1] * (4 + 4 + 1),
        ),
      );
    case 'codebookRows': {
      // A code and the entry that it names, stage by stage; the first tier has the most.
      const { tiers } = node.attrs;
      const stages = Math.max(...tensors.slice(3, 3 + tiers).map(({ shape }) => shape[1]));
      const entries = tensors.slice(3 + tiers, 3 + tiers + stages);
      return stages + entries.reduce((sum, entry) => sum + rowBytes(entry), 0);
    }
    case 'embed':
    case 'embedLayerNorm': {
      const [, position, , segment] = tensors;
      return (isConstant(position!) ? rowBytes(position) : 0) + rowBytes(segment!);
    }
    default:
      return 0;
  }
}

function rowBytes({ dtype, shape }: Tensor): number {
  return packedBytes(dtype, 1, shape[1]);
}

function allBytes({ dtype, shape }: Tensor): number {
  return packedBytes(dtype, shape[0] as number, shape[1]);
}

function inThrees<T>(list: readonly T[]): readonly (readonly [T, T, T])[] {
  return Array.from({ length: list.length / 3 }, (_, index) => {
    const [a, b, c] = list.slice(3 * index, 3 * index + 3);
    return [a!, b!, c!] as const;
  });
}
