/** The parameters of the ops that make rows of tables: structs of `kernels.h` and their arrays. */
import { assertExhaustive } from '../errors.ts';
import { type Graph, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { constantClusters } from '../ops/cluster-rows.ts';
import { partsOf } from '../ops/codebook-rows.ts';
import { codeBits, constantOf } from '../ops/table-rows.ts';
import type { MakeArray, NodeConstants } from './c-constants.ts';
import type { ConstantSuffix } from './c-names.ts';
import { type ConstantArray, initializer } from './c-text.ts';
import { packGroups, packRows } from './packed-rows.ts';

type TableNode = Node<'legal'> & { readonly op: 'lookupRows' | 'clusterRows' | 'codebookRows' };

/** What a node's arrays are made of, and with. */
interface Parts {
  readonly tensors: readonly Tensor[];
  readonly array: MakeArray;
  readonly name: string;
}

export function tableConstants(
  graph: Graph<'legal'>,
  node: TableNode,
  makeArray: MakeArray,
  name: string,
): NodeConstants {
  const array: MakeArray = (suffix, data, dtype, comment) =>
    makeArray(suffix, data, dtype, comment, 'embedding');
  const tensors = node.inputs.map((input) => tensorOf(graph, input));
  const parts = { tensors, array, name };
  switch (node.op) {
    case 'lookupRows':
      return lookupConstants(node, parts);
    case 'clusterRows':
      return clusterConstants(node, parts);
    case 'codebookRows':
      return codebookConstants(node, parts);
    default:
      return assertExhaustive(node);
  }
}

type NodeOf<N extends TableNode['op']> = TableNode & { readonly op: N };

function lookupConstants(
  node: NodeOf<'lookupRows'>,
  { tensors, array, name }: Parts,
): NodeConstants {
  const { multipliers, shift } = node.integer;
  const table = constantOf(tensors[1]!);
  const bits = codeBits(table);
  const rows = packRows(table.dtype, table.data, table.shape[1]);
  const comment = `(${table.shape.join(', ')}) of ${bits} bits`;
  return {
    name: `${name}_params`,
    type: 'lm_lookup_rows',
    arrays: [
      { ...array('rows', rows, 'int8', comment), alignment: 'LM2MCU_ALIGNED_WORDS' },
      ...(multipliers === null ? [] : [array('multipliers', multipliers, 'uint16', 'a row')]),
    ],
    initializer: initializer({
      width: table.shape[1],
      bits,
      rows: `${name}_rows`,
      multipliers: multipliers === null ? 'NULL' : `${name}_multipliers`,
      shift,
    }),
  };
}

function clusterConstants(
  node: NodeOf<'clusterRows'>,
  { tensors, array, name }: Parts,
): NodeConstants {
  const clusters = constantClusters(tensors);
  const groups = groupsOf(clusters.length, tensors[1]!, array, name);
  const factors = joined(
    clusters.map((one) => packRows(one.factors.dtype, one.factors.data, one.factors.shape[1])),
  );
  const projections = joined(clusters.map((one) => one.projection.data));
  const width = clusters[0]!.offset.shape[1];
  const integers = node.integer.clusters;
  const structs = clusters.map((cluster, index) =>
    initializer(
      {
        rank: cluster.factors.shape[1],
        bits: codeBits(cluster.factors),
        factors: `${name}_factors + ${factors.starts[index]}`,
        projection: `${name}_projections + ${projections.starts[index]}`,
        offset: `${name}_offsets + ${index * width}`,
        multipliers: `${name}_multipliers + ${index * width}`,
        shifts: `${name}_shifts + ${index * width}`,
      },
      '  ',
    ),
  );
  return {
    name: `${name}_params`,
    type: 'lm_cluster_rows',
    arrays: [
      ...groups.arrays,
      array('factors', Int8Array.from(factors.data), 'int8', 'factors, cluster by cluster'),
      array('projections', Int8Array.from(projections.data), 'int8', 'cluster by cluster'),
      array(
        'offsets',
        Int32Array.from(joined(clusters.map((one) => one.offset.data)).data),
        'int32',
        `(${clusters.length}, ${width})`,
      ),
      array(
        'multipliers',
        Int32Array.from(joined(integers.map((one) => one.multipliers)).data),
        'int32',
        'requantization',
      ),
      array(
        'shifts',
        Int8Array.from(joined(integers.map((one) => one.shifts)).data),
        'int8',
        'requantization',
      ),
    ],
    initializer: initializer({
      width,
      groups: groups.initializer,
      clusters: structArray('lm_cluster', structs),
    }),
  };
}

function codebookConstants(
  node: NodeOf<'codebookRows'>,
  { tensors, array, name }: Parts,
): NodeConstants {
  const { codes, books } = partsOf(tensors, node.attrs);
  const firstColumns = constantOf(tensors[2]!).data;
  const groups = groupsOf(codes.length, tensors[1]!, array, name);
  const tables = joined(codes.map((one) => constantOf(one).data));
  const entries = joined(books.map((one) => constantOf(one).data));
  const tiers = codes.map((one, index) =>
    initializer({ stages: one.shape[1], codes: `${name}_codes + ${tables.starts[index]}` }, '  '),
  );
  const structs = books.map((one, index) =>
    initializer(
      {
        first_column: firstColumns[index]!,
        columns: one.shape[1],
        entries: `${name}_entries + ${entries.starts[index]}`,
      },
      '  ',
    ),
  );
  return {
    name: `${name}_params`,
    type: 'lm_codebook_rows',
    arrays: [
      ...groups.arrays,
      array('codes', Uint8Array.from(tables.data), 'uint8', 'codes, tier by tier'),
      array('entries', Int8Array.from(entries.data), 'int8', 'codebooks, stage by stage'),
    ],
    initializer: initializer({
      rank: node.attrs.rank,
      groups: groups.initializer,
      tiers: structArray('lm_tier', tiers),
      books: structArray('lm_codebook', structs),
    }),
  };
}

/** Arrays one after the other, and where each begins. */
function joined(arrays: readonly Iterable<number>[]): {
  readonly data: readonly number[];
  readonly starts: readonly number[];
} {
  const data: number[] = [];
  const starts = arrays.map((one) => {
    const start = data.length;
    for (const value of one) data.push(value);
    return start;
  });
  return { data, starts };
}

function structArray(type: string, structs: readonly string[]): string {
  return `(const ${type}[]){${structs.join(', ')}}`;
}

function groupsOf(
  count: number,
  groupOf: ReturnType<typeof tensorOf>,
  array: MakeArray,
  name: string,
): { readonly arrays: readonly ConstantArray[]; readonly initializer: string } {
  const { groups, bits, packed, before } = packGroups(constantOf(groupOf).data, count);
  const isOne = groups === 1;
  const pointer = (suffix: ConstantSuffix) => (isOne ? 'NULL' : `${name}_${suffix}`);
  return {
    arrays: isOne
      ? []
      : [
          array('groups', packed, 'uint8', `the group of each row, ${bits} bits`),
          array('before', before, 'uint16', `(blocks, ${groups}), rows before a block`),
        ],
    initializer: initializer(
      { groups, bits, packed: pointer('groups'), before: pointer('before') },
      '  ',
    ),
  };
}
