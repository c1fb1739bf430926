/** The parameters of the ops that make rows of tables, as `kernels/assemblyscript/table_rows.ts` reads them. */
import { assertExhaustive } from '../errors.ts';
import { type Graph, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { constantClusters } from '../ops/cluster-rows.ts';
import { partsOf } from '../ops/codebook-rows.ts';
import { type Constant, codeBits, constantOf } from '../ops/table-rows.ts';
import { packGroups, packRows } from './packed-rows.ts';
import type { ConstantImage } from './wasm-image.ts';
import { requantPairs } from './wasm-linear.ts';

type TableNode = Node<'legal'> & { readonly op: 'lookupRows' | 'clusterRows' | 'codebookRows' };

export function tableWords(
  image: ConstantImage,
  graph: Graph<'legal'>,
  node: TableNode,
): readonly number[] {
  const place = (data: ArrayBufferView): number => image.place(data, 'embedding');
  const structs = (words: readonly (readonly number[])[]): number =>
    place(Int32Array.from(words.flat()));
  const tensors = node.inputs.map((input) => tensorOf(graph, input));
  const packed = ({ dtype, data, shape }: Constant): number =>
    place(packRows(dtype, data, shape[1]));
  const groups = (groupOf: Tensor, count: number): readonly number[] => {
    const own = packGroups(constantOf(groupOf).data, count);
    const tables = own.groups === 1 ? [0, 0] : [place(own.packed), place(own.before)];
    return [own.groups, own.bits, ...tables];
  };
  switch (node.op) {
    case 'lookupRows': {
      const { multipliers, shift } = node.integer;
      const table = constantOf(tensors[1]!);
      return [
        ...[table.shape[1], codeBits(table), packed(table)],
        ...[multipliers === null ? 0 : place(multipliers), shift],
      ];
    }
    case 'clusterRows': {
      const clusters = constantClusters(tensors);
      const { clusters: integers } = node.integer;
      return [
        ...groups(tensors[1]!, clusters.length),
        clusters[0]!.offset.shape[1],
        structs(
          clusters.map(({ factors, projection, offset }, index) => [
            ...[factors.shape[1], codeBits(factors), packed(factors)],
            ...[place(projection.data), place(offset.data)],
            place(requantPairs(integers[index]!)),
          ]),
        ),
      ];
    }
    case 'codebookRows': {
      const { codes, books } = partsOf(tensors, node.attrs);
      const firstColumns = constantOf(tensors[2]!).data;
      return [
        ...groups(tensors[1]!, codes.length),
        node.attrs.rank,
        structs(codes.map((one) => [one.shape[1], place(constantOf(one).data)])),
        structs(
          books.map((one, index) => [
            ...[firstColumns[index]!, one.shape[1], place(constantOf(one).data)],
          ]),
        ),
      ];
    }
    default:
      return assertExhaustive(node);
  }
}
