/**
 * What can be done with each part of a model: the word table, the position table, and every weight
 * matrix. An option says what to store, what that takes, and what the float graph computes with.
 */
import { type Graph, isConstant, tensorOf } from '../ir/graph.ts';
import { encodeWithTrained, type TrainedStages, trainStages } from './codebooks.ts';
import { type CodedTable, decodeTable } from './coded-table.ts';
import { type InputMoments, roundLinear } from './gptq.ts';
import { bytesOfRank, encodeLowRank } from './low-rank.ts';
import { evaluateNetwork, graphConstants } from './network.ts';
import type { CodedWeight } from './recipe.ts';
import { encodeRowTable } from './row-codes.ts';
import { batchRows } from './sensitivity.ts';
import { tableBytes } from './table-size.ts';
import { loadTensors, type Tensor2D } from './tensors.ts';
import { batchesOf, embeddingSum, embeddingTables, type TokenText } from './texts.ts';
import type { WeightedRows } from './weighted-basis.ts';

/** What a recipe gets, and the reals it stands for, by tensor. */
export interface Candidate {
  readonly name: string;
  readonly bytes: number;
  readonly tables: Readonly<Record<string, CodedTable>>;
  readonly weights: Readonly<Record<string, CodedWeight>>;
  readonly constants: Readonly<Record<string, Float32Array>>;
}

/** A candidate that is not made before it is asked for. */
export interface PlannedCandidate {
  readonly name: string;
  make(): Candidate;
}

/** Refining stages take 12 KB of entries, which small tables do better without; by bytes of codes a row. */
const codebookLadders = [
  { name: 'codebooks', refiningStages: 0, bytes: [2.5, 3, 3.5, 4, 4.5] },
  { name: 'refined codebooks', refiningStages: 8, bytes: [4.5, 5, 5.5, 6.1, 7, 8, 10, 12] },
] as const;
const codebookShape = { rank: 48, stages: 8 } as const;
const tiers = 4;
const lowRanks = [16, 24, 32, 48] as const;
/** Bytes a row of clustered low rank; in int8 MCUBERT's 9.5 numbers. */
const clusteredLadders = [
  { bits: 8, bytes: [9.5] },
  { bits: 4, bytes: [5, 6, 8, 10, 12] },
] as const;
const clusterCount = 4;

/** `kept`: rows that are stored. */
export function wordCandidates(
  tensor: string,
  rows: WeightedRows,
  kept: (row: number) => boolean,
): readonly PlannedCandidate[] {
  const { width, values } = rows;
  const count = Array.from({ length: rows.rows }, (_, row) => row).filter(kept).length;
  const table = (name: string, encode: () => CodedTable): PlannedCandidate => ({
    name,
    make: () => tableCandidate(name, tensor, encode(), kept),
  });
  return [
    ...([8, 4] as const).map((bits) =>
      table(`int${bits} rows`, () => encodeRowTable(rows.rows, width, values, bits)),
    ),
    ...lowRanks
      .filter((rank) => rank < width)
      .map((rank) =>
        table(`rank ${rank}, int4`, () =>
          encodeLowRank(rows, {
            bits: 4,
            clusters: 1,
            bytes: bytesOfRank(rows.rows, width, rank, 4),
          }),
        ),
      ),
    ...clusteredLadders.flatMap(({ bits, bytes }) =>
      bytes.map((bytesPerRow) =>
        table(`${clusterCount} clusters, int${bits}, ${bytesPerRow} B`, () =>
          encodeLowRank(rows, { bits, clusters: clusterCount, bytes: bytesPerRow * rows.rows }),
        ),
      ),
    ),
    ...codebookLadders.flatMap(({ name, refiningStages, bytes }) => {
      let trained: TrainedStages | undefined; // serves all sizes
      const rank = Math.min(codebookShape.rank, width);
      const most = (stages: number) => Math.min(stages, rank);
      const shape = {
        ...{ rank, stages: most(codebookShape.stages), refiningStages: most(refiningStages) },
      };
      return bytes.map((bytesPerRow) =>
        table(`${name}, ${bytesPerRow} B`, () => {
          trained ??= trainStages(rows, shape);
          const codeBytes = Math.round(bytesPerRow * count);
          return encodeWithTrained(rows, trained, { tiers, codeBytes });
        }),
      );
    }),
  ];
}

export function positionCandidates(
  tensor: string,
  rows: WeightedRows,
  kept: (row: number) => boolean,
): readonly PlannedCandidate[] {
  const { width, values } = rows;
  const table = (name: string, encode: () => CodedTable): PlannedCandidate => ({
    name,
    make: () => tableCandidate(name, tensor, encode(), kept),
  });
  return [
    ...([8, 4] as const).map((bits) =>
      table(`int${bits} rows`, () => encodeRowTable(rows.rows, width, values, bits)),
    ),
    ...([4, 8, 12, 16, 24] as const).flatMap((rank) =>
      ([8, 4] as const).map((bits) =>
        table(`rank ${rank}, int${bits}`, () =>
          encodeLowRank(rows, {
            bits,
            clusters: 1,
            bytes: bytesOfRank(rows.rows, width, rank, bits),
          }),
        ),
      ),
    ),
  ];
}

function tableCandidate(
  name: string,
  tensor: string,
  table: CodedTable,
  kept: (row: number) => boolean,
): Candidate {
  return {
    ...{ name, bytes: tableBytes(table, kept), weights: {} },
    ...{ tables: { [tensor]: table }, constants: {} },
  };
}

/** The float constants that a candidate stands for, by tensor. */
export function constantsOf(candidates: readonly Candidate[]): Map<string, Float32Array> {
  const constants = new Map<string, Float32Array>();
  for (const { tables, weights, constants: others } of candidates) {
    for (const [name, table] of Object.entries(tables)) constants.set(name, decodeTable(table));
    for (const [name, weight] of Object.entries(weights)) constants.set(name, realWeight(weight));
    for (const [name, values] of Object.entries(others)) constants.set(name, values);
  }
  return constants;
}

function realWeight({ codes, scales }: CodedWeight): Float32Array {
  const columns = codes.length / scales.length;
  return Float32Array.from(codes, (code, at) => code * scales[Math.floor(at / columns)]!);
}

/** The weight and bias of each linear of the graph, by its weight. */
export interface Linear {
  readonly name: string;
  readonly input: string;
  readonly weight: string;
  readonly bias: string;
  readonly size: number;
}

export function linearsOf(graph: Graph<'float'>): readonly Linear[] {
  return graph.nodes.flatMap(({ op, name, inputs }) => {
    if (op !== 'linear') return [];
    const [input, weight, bias] = inputs as readonly [string, string, string];
    const tensor = tensorOf(graph, weight);
    return isConstant(tensor) ? [{ name, input, weight, bias, size: tensor.data.length }] : [];
  });
}

/** Second moments of the inputs of all linears, by input tensor. */
export async function measureMoments(
  graph: Graph<'float'>,
  texts: readonly TokenText[],
  progress: (done: number, total: number) => Promise<void>,
): Promise<ReadonlyMap<string, InputMoments>> {
  const tf = await loadTensors();
  const inputs = [...new Set(linearsOf(graph).map(({ input }) => input))];
  const moments = new Map<string, { rows: number; sums: Float64Array; products: Float64Array }>();
  const tables = embeddingTables(graph);
  const { constants, dispose } = graphConstants(tf, graph);
  let done = 0;
  for (const batch of batchesOf(texts, batchRows)) {
    await progress(done, texts.length);
    done += batch.length;
    const sum = embeddingSum(tables, batch);
    const layout = { lengths: batch.map(({ ids }) => ids.length) };
    tf.tidy(() => {
      const x = tf.tensor2d(sum, [sum.length / tables.word.width, tables.word.width]);
      const found = evaluateNetwork(tf, graph, x, layout, constants, inputs);
      for (const [index, name] of inputs.entries()) {
        addMoments(moments, name, found[index]!);
      }
    });
  }
  dispose();
  return moments;

  function addMoments(all: typeof moments, name: string, x: Tensor2D): void {
    const [rows, columns] = x.shape;
    const own = all.get(name) ?? {
      rows: 0,
      sums: new Float64Array(columns),
      products: new Float64Array(columns * columns),
    };
    own.rows += rows;
    for (const [at, value] of tf.sum(x, 0).dataSync().entries()) own.sums[at]! += value;
    const products = tf.matMul(tf.transpose(x), x).dataSync();
    for (const [at, value] of products.entries()) own.products[at]! += value;
    all.set(name, own);
  }
}

/** The matrix in int4, and the bias that goes with it. */
export function int4Candidate(
  graph: Graph<'float'>,
  { name, weight, bias, size }: Linear,
  moments: InputMoments,
): Candidate {
  const data = (tensor: string): Float32Array => tensorOf(graph, tensor).data as Float32Array;
  const rounded = roundLinear(data(weight), data(bias), 4, moments);
  return {
    ...{ name: `${name} int4`, bytes: Math.ceil(size / 2) },
    ...{ tables: {}, weights: { [weight]: rounded.weight }, constants: { [bias]: rounded.bias } },
  };
}
