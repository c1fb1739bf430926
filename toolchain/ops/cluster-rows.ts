/** Rows of a table in clusters, each of its own low rank: MCUBERT (arXiv 2410.17957). */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import type { Matrix, Tensor } from '../ir/graph.ts';
import { clamp, requantize } from './fixed-point.ts';
import { arrayOf, isRowVector, shiftsOf } from './form.ts';
import { type LinearInteger, linear } from './linear.ts';
import type { OpDef } from './op.ts';
import { placeInGroup, takeGroupedRows } from './row-groups.ts';
import { type Constant, constantOf, forRows, type TableAttrs, tableForm } from './table-rows.ts';

/** Of each cluster the requantization of `linear`, with zero point 0. */
export interface ClusterInteger {
  readonly clusters: readonly Pick<LinearInteger, 'multipliers' | 'shifts'>[];
}

/**
 * Operands behind `clusterOf` (rows, 1), for each cluster: factors (rows of the cluster, rank), the
 * projection as the weight of a linear (width, rank), and the offset (1, width).
 */
export const clusterRows: OpDef<TableAttrs, ClusterInteger> = {
  doc: 'y = offset + factors[index]·projectionᵀ, each of the cluster of the index',
  operands: [
    { name: 'tokenIds', reads: 'row' },
    { name: 'clusterOf', reads: 'constant' },
    { name: 'factors, projection or offset', reads: 'constant' },
  ],
  variadic: true,
  readsIndex: true,
  form: {
    attrs: tableForm,
    integer: (shapes) =>
      z.strictObject({
        clusters: z
          .array(
            z.strictObject({
              multipliers: arrayOf(Int32Array, shapes[4]![1]),
              shifts: shiftsOf(shapes[4]![1]),
            }),
          )
          .length(clustersOf(shapes).length),
      }),
    fits: (shapes) =>
      shapes[0]![1] === 1 &&
      shapes[1]![1] === 1 &&
      (shapes.length - 2) % 3 === 0 &&
      clustersOf(shapes).every(
        ({ factors, projection, offset }) =>
          factors[1] === projection[1] &&
          Number(projection[0]) === shapes[4]![1] &&
          isRowVector(offset, shapes[4]![1]),
      ),
  },
  infer: (inputs) => [inputs[0]![0], inputs[4]![1]],
  evalFloat: (inputs, attrs, out, context) => {
    const clusters = clustersOf(inputs);
    forRows(inputs[0]!, attrs, out, context, (row, to) => {
      const { group, member } = placeInGroup(inputs[1]!, row);
      projectRow(clusters[group]!, member, (column, sum) => {
        out.data[to + column] = sum;
      });
    });
  },
  quantize: ({ inputs, output }) => {
    const constants: Record<number, object> = {};
    const clusters = clustersOf(inputs).map(({ factors, projection, offset }, index) => {
      const { quant } = factors;
      if (quant?.kind !== 'affine') throw new Error('factors have one scale');
      const quantized = linear.quantize({
        attrs: {},
        inputs: [factors, projection, offset],
        quants: [quant, null, null],
        inputDtype: 'int8',
        output,
        observed: null,
      });
      const first = 2 + 3 * index;
      const { dtype, shape, data } = factors;
      constants[first] = { dtype, shape, data, quant };
      constants[first + 1] = quantized.constants[1]!;
      constants[first + 2] = quantized.constants[2]!;
      const { multipliers, shifts } = quantized.integer;
      return { multipliers, shifts };
    });
    const { dtype, shape, data } = constantOf(inputs[1]!);
    return { integer: { clusters }, constants: { ...constants, 1: { dtype, shape, data } } };
  },
  evalInteger: (inputs, attrs, { clusters: integers }, out, context) => {
    const clusters = clustersOf(inputs);
    const { min, max } = dtypes.int8;
    forRows(inputs[0]!, attrs, out, context, (row, to) => {
      const { group, member } = placeInGroup(inputs[1]!, row);
      const { multipliers, shifts } = integers[group]!;
      projectRow(clusters[group]!, member, (column, sum) => {
        const scaled = requantize(sum | 0, multipliers[column]!, shifts[column]!);
        out.data[to + column] = clamp(scaled, min, max);
      });
    });
  },
  table: {
    rows: ([, clusterOf]) => clusterOf!.shape[0] as number,
    scale: () => null,
    take: (inputs, rows) => {
      const [ids, clusterOf] = inputs as readonly [Tensor, Tensor];
      const clusters = clustersOf(inputs);
      const factors = clusters.map((cluster) => cluster.factors);
      const taken = takeGroupedRows(clusterOf, factors, rows);
      const rest = clusters.flatMap(({ projection, offset }, index) => [
        taken.tables[index]!,
        projection,
        offset,
      ]);
      return [ids, taken.groupOf, ...rest];
    },
  },
  macsPerRow: (inputs) => {
    const widest = Math.max(...clustersOf(inputs).map(({ factors }) => factors[1]));
    return widest * inputs[4]![1];
  },
  kernel: 'cluster_rows',
};

export interface Cluster<T> {
  readonly factors: T;
  readonly projection: T;
  readonly offset: T;
}

export function clustersOf<T>(inputs: readonly T[]): readonly Cluster<T>[] {
  return Array.from({ length: (inputs.length - 2) / 3 }, (_, index) => {
    const [factors, projection, offset] = inputs.slice(2 + 3 * index) as [T, T, T];
    return { factors, projection, offset };
  });
}

/** Where only their shapes and constants count, not the matrices of one inference. */
export function constantClusters(inputs: readonly Tensor[]): readonly Cluster<Constant>[] {
  return clustersOf(inputs).map(({ factors, projection, offset }) => ({
    factors: constantOf(factors),
    projection: constantOf(projection),
    offset: constantOf(offset),
  }));
}

function projectRow(
  { factors, projection, offset }: Cluster<Matrix>,
  row: number,
  put: (column: number, sum: number) => void,
): void {
  const from = factors.offset + row * factors.stride;
  for (let column = 0; column < offset.columns; column++) {
    let sum = offset.data[offset.offset + column]!;
    const weights = projection.offset + column * projection.stride;
    for (let k = 0; k < factors.columns; k++) {
      sum += factors.data[from + k]! * projection.data[weights + k]!;
    }
    put(column, sum);
  }
}
