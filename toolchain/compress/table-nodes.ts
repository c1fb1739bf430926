/**
 * The ops that make the rows of a coded table: codes are looked up, and a linear projects them where
 * they are of a lower rank. The last op's output has the rows.
 */
import { assertExhaustive } from '../errors.ts';
import { allocate, type DType, type TypedArray } from '../ir/dtypes.ts';
import type { Node, Tensor } from '../ir/graph.ts';
import type { TableAttrs } from '../ops/table-rows.ts';
import type { CodebookTable, CodedTable, LowRankCluster } from './coded-table.ts';

export interface TablePlace {
  readonly index: TableAttrs['index'];
  /** The constant that the codes stand for. */
  readonly table: string;
  /** Of the last op. */
  readonly output: string;
  readonly tokenIds: string;
}

export interface TableRows {
  readonly tensors: readonly Tensor[];
  readonly nodes: readonly Node<'float'>[];
}

export function tableRows(coded: CodedTable, place: TablePlace): TableRows {
  const build = builderFor(place);
  const { rows, width } = coded;
  const { output } = place;
  switch (coded.method) {
    case 'rows': {
      const { bits, codes, scales } = coded;
      const table = build.codes('codes', bits, rows, width, codes, scales);
      build.node('lookupRows', output, [table], { index: place.index }, width);
      return build.made;
    }
    case 'low-rank': {
      const { clusters, clusterOf } = coded;
      if (clusters.length === 1) {
        const [{ bits, rank, factors, projection, offset }] = clusters as [LowRankCluster];
        const table = build.codes('factors', bits, rows, rank, factors, one);
        const codes = `${output}.factors`;
        build.node('lookupRows', codes, [table], { index: place.index }, rank);
        build.projected(codes, projection, offset, rank, width);
        return build.made;
      }
      const operands = clusters.flatMap(({ bits, rank, factors, projection, offset }, index) => {
        const name = `clusters.${index}`;
        const count = factors.length / rank;
        return [
          build.codes(`${name}.factors`, bits, count, rank, factors, one),
          build.constant(`${name}.projection`, width, rank, transposed(projection, rank, width)),
          build.constant(`${name}.offset`, 1, width, offset),
        ];
      });
      const groups = build.integers('clusterOf', 'uint8', rows, 1, clusterOf);
      const attrs = { index: place.index };
      build.node('clusterRows', output, [groups, ...operands], attrs, width);
      return build.made;
    }
    case 'codebooks': {
      const { stages, tiers, tierOf, rank, offset } = coded;
      const factors = columnFactors(coded);
      const firstColumns = Uint16Array.from(stages, ({ firstColumn }) => firstColumn);
      const operands = [
        build.integers('tierOf', 'uint8', rows, 1, tierOf),
        build.integers('firstColumns', 'uint16', stages.length, 1, firstColumns),
        ...tiers.map((tier, index) => {
          const count = tier.codes.length / tier.stages;
          return build.integers(`tiers.${index}`, 'uint8', count, tier.stages, tier.codes);
        }),
        ...stages.map(({ columns, firstColumn, entries }, index) => {
          const even = entries.map((value, at) => value / factors[firstColumn + (at % columns)]!);
          return build.constant(`stages.${index}`, entries.length / columns, columns, even);
        }),
      ];
      const codes = `${output}.codes`;
      const attrs = { index: place.index, rank, tiers: tiers.length };
      build.node('codebookRows', codes, operands, attrs, rank);
      const projection = coded.projection.map(
        (value, at) => value * factors[Math.floor(at / width)]!,
      );
      build.projected(codes, projection, offset, rank, width);
      return build.made;
    }
    default:
      return assertExhaustive(coded);
  }
}

const one = Float32Array.of(1);

/**
 * The largest magnitude of each column, by which its entries are divided and its part of the
 * projection multiplied: the rows are then even, and one scale serves all their columns.
 */
function columnFactors({ rank, stages }: CodebookTable): Float64Array {
  const sums = new Float64Array(rank);
  for (const { firstColumn, columns, entries } of stages) {
    const largest = new Float64Array(columns);
    for (const [at, value] of entries.entries()) {
      largest[at % columns] = Math.max(largest[at % columns]!, Math.abs(value));
    }
    for (const [column, value] of largest.entries()) sums[firstColumn + column]! += value;
  }
  return sums.map((sum) => sum || 1);
}

/** (rank, width) as the weight of a linear: (width, rank). */
function transposed(projection: Float32Array, rank: number, width: number): Float32Array {
  return Float32Array.from(
    { length: rank * width },
    (_, at) => projection[(at % rank) * width + Math.floor(at / rank)]!,
  );
}

type TableOp = 'lookupRows' | 'clusterRows' | 'codebookRows';

function builderFor({ table, output, tokenIds }: TablePlace) {
  const tensors: Tensor[] = [];
  const nodes: Node<'float'>[] = [];
  const define = (tensor: Tensor): string => {
    tensors.push(tensor);
    return tensor.name;
  };
  const integers = (
    part: string,
    dtype: DType,
    rows: number,
    columns: number,
    data: ArrayLike<number>,
    scales?: Float32Array,
  ): string => {
    // A tensor has at least one row.
    const stored = allocate(dtype, Math.max(1, rows) * columns) as TypedArray;
    stored.set(data);
    const shape = [Math.max(1, rows), columns] as const;
    const name = `${table}/${part}`;
    const tensor: Tensor = { name, role: 'constant', dtype, shape, data: stored };
    if (scales === undefined) return define(tensor);
    const quant =
      scales.length === 1
        ? ({ kind: 'affine', scale: scales[0]!, zeroPoint: 0 } as const)
        : ({ kind: 'per-row', scales: Float64Array.from(scales) } as const);
    return define({ ...tensor, quant });
  };
  const constant = (part: string, rows: number, columns: number, data: Float32Array): string =>
    integers(part, 'float32', rows, columns, data);
  const activation = (name: string, width: number): string =>
    define({ name, role: 'activation', dtype: 'float32', shape: ['tokens', width] });
  return {
    made: { tensors, nodes } satisfies TableRows,
    integers,
    constant,
    codes: (
      part: string,
      bits: 4 | 8,
      rows: number,
      columns: number,
      data: Int8Array,
      scales: Float32Array,
    ): string => integers(part, bits === 4 ? 'int4' : 'int8', rows, columns, data, scales),
    node: (
      op: TableOp,
      name: string,
      operands: readonly string[],
      attrs: object,
      width: number,
    ): void => {
      activation(name, width);
      const inputs = [tokenIds, ...operands];
      // The compiler cannot see that `op` and `attrs` are of the same row.
      nodes.push({ op, name, inputs, output: name, attrs, integer: null } as Node<'float'>);
    },
    /** y = offset + x · projection */
    projected: (
      x: string,
      projection: Float32Array,
      offset: Float32Array,
      rank: number,
      width: number,
    ): void => {
      const weight = constant('projection', width, rank, transposed(projection, rank, width));
      const bias = constant('offset', 1, width, offset);
      activation(output, width);
      nodes.push({
        ...{ op: 'linear', name: output, inputs: [x, weight, bias], output },
        ...{ attrs: {}, integer: null },
      });
    },
  };
}
