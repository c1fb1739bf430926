/** Random encoders for property tests: any layer, head and width count, odd ones too. */
import fc from 'fast-check';
import { withTables } from '../../toolchain/compress/apply-recipe.ts';
import type { CodedTable } from '../../toolchain/compress/coded-table.ts';
import { graphBuilder } from '../../toolchain/ir/build.ts';
import { type Graph, tensorOf } from '../../toolchain/ir/graph.ts';
import { runPasses } from '../../toolchain/ir/rewrite.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import {
  type AttentionForm,
  type AttentionNode,
  attentionForms,
} from '../../toolchain/passes/attention-forms.ts';
import { fuseEmbedding, fuseLayerNorm } from '../../toolchain/passes/fuse-layer-norm.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { normalizeAttention } from '../../toolchain/passes/normalize-attention.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { narrowWeights } from '../../toolchain/quantize/narrow-weights.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';
import type { KernelSet } from '../../toolchain/targets.ts';
import { randomTable, type TableKind, tableKinds } from '../compress/random-tables.ts';
import { type Storage, storedAs, withStoredWeights } from '../ir/stored-weights.ts';

export interface EncoderShape {
  readonly layers: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly ffn: number;
  readonly activation: 'relu' | 'gelu';
  /** What becomes of the last layer: a pooled classifier, one of every token, an embedding. */
  readonly head: 'pooled' | 'tokens' | 'first' | 'last' | 'mean';
  readonly outputs: number;
  readonly vocabulary: number;
  /** How the tables of words and of positions are stored; null: as reals. */
  readonly wordTable: TableKind | null;
  readonly positionTable: TableKind | null;
  readonly maxTokens: number;
  readonly seed: number;
  /** How weights are stored, one after the other in turn. */
  readonly storages: readonly Storage[];
}

const { float32, int4, int8 } = storedAs;

export const encoderShapes: fc.Arbitrary<EncoderShape> = fc.record({
  layers: fc.integer({ min: 1, max: 3 }),
  heads: fc.integer({ min: 1, max: 4 }),
  headWidth: fc.integer({ min: 4, max: 12 }),
  ffn: fc.integer({ min: 1, max: 60 }),
  activation: fc.constantFrom('relu', 'gelu'),
  head: fc.constantFrom('pooled', 'tokens', 'first', 'last', 'mean'),
  outputs: fc.integer({ min: 1, max: 9 }),
  vocabulary: fc.integer({ min: 1, max: 50 }),
  wordTable: fc.constantFrom(null, ...tableKinds),
  positionTable: fc.constantFrom(null, null, ...tableKinds),
  maxTokens: fc.oneof(fc.integer({ min: 2, max: 24 }), fc.integer({ min: 25, max: 70 })),
  seed: fc.nat(2 ** 30),
  storages: fc.constantFrom([float32], [int4], [int4, float32], [int8, int4, int4, float32, int4]),
});

/** How a program runs: rows a tile, forms of attention, features of the core. */
export interface PlanShape {
  readonly tileRows: number;
  /** By layer: heads with neither keys nor values, where an attention has many query rows. */
  readonly absorbed: readonly number[];
  /** By layer: chooses among the divisors of the number of the other heads. */
  readonly grouping: readonly number[];
  readonly features: readonly string[];
  /** Attention of one row without keys and values, as the planner has it. */
  readonly absorbs: boolean;
  /** With `cmsis-nn` nothing is absorbed. */
  readonly kernels: KernelSet;
  readonly recomputeInputs: boolean;
}

const threeLayers = { minLength: 3, maxLength: 3 };

export const planShapes: fc.Arbitrary<PlanShape> = fc.record({
  tileRows: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.constantFrom(16, 32, 48)),
  absorbed: fc.oneof(fc.constant([0, 0, 0]), fc.array(fc.nat(4), threeLayers)),
  grouping: fc.array(fc.nat(3), threeLayers),
  features: fc.constantFrom([], ['dsp'], ['dsp', 'mve']),
  absorbs: fc.boolean(),
  kernels: fc.constantFrom('native', 'native', 'cmsis-nn'),
  recomputeInputs: fc.boolean(),
});

/** The form of a layer's attention of `heads` heads over all tokens. */
export function formOf(
  { heads }: Pick<EncoderShape, 'heads'>,
  plan: Pick<PlanShape, 'absorbed' | 'grouping'>,
  layer: number,
): AttentionForm {
  const absorbedHeads = Math.min(heads, plan.absorbed[layer]!);
  const grouping = plan.grouping[layer]!;
  const stored = heads - absorbedHeads;
  const divisors = [1, 2, 3, 4].filter((groups) => groups <= stored && stored % groups === 0);
  const storedGroups = stored === 0 ? 0 : divisors[grouping % divisors.length]!;
  return { storedGroups, absorbedHeads };
}

/** Numbers below 1 in magnitude. Lehmer's generator with Park and Miller's constants. */
function randomNumbers(seed: number): () => number {
  let state = 1 + (seed % 0x7fff_fffe);
  return () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return (2 * state) / 0x7fff_ffff - 1;
  };
}

export function randomTokens(
  { vocabulary, seed }: EncoderShape,
  length: number,
): { readonly ids: readonly number[]; readonly segmentStart: number } {
  const random = randomNumbers(seed + length);
  const below = (limit: number): number => Math.floor(((random() + 1) / 2) * limit) % limit;
  const ids = Array.from({ length }, () => below(vocabulary));
  return { ids, segmentStart: below(length + 1) };
}

/** As an importer would make it, with weights stored as integers and tables as codes. */
export function importedEncoder(shape: EncoderShape): Graph<'float'> {
  const { storages } = shape;
  const stored = withStoredWeights(
    floatWeightEncoder(shape),
    (index) => storages[index % storages.length]!,
  );
  return withTables(stored, codedTables(shape));
}

function codedTables(shape: EncoderShape): Readonly<Record<string, CodedTable>> {
  const { heads, headWidth, vocabulary, maxTokens, seed } = shape;
  const random = randomNumbers(seed + 1);
  const coded = (name: string, kind: TableKind | null, rows: number) =>
    kind === null ? [] : [[name, randomTable(kind, rows, heads * headWidth, random)] as const];
  return Object.fromEntries([
    ...coded('word', shape.wordTable, vocabulary),
    ...coded('position', shape.positionTable, maxTokens),
  ]);
}

function floatWeightEncoder(shape: EncoderShape): Graph<'float'> {
  const { layers, heads, headWidth, ffn, activation, vocabulary, maxTokens } = shape;
  const width = heads * headWidth;
  const random = randomNumbers(shape.seed);
  const builder = graphBuilder('random');
  const constant = (name: string, rows: number, columns: number, scale: number, center = 0) =>
    builder.constant(
      name,
      [rows, columns],
      Float32Array.from({ length: rows * columns }, () => center + scale * random()),
    );
  const linear = (name: string, x: string, inputs: number, outputs: number): string => {
    const weight = constant(`${name}.weight`, outputs, inputs, 2 / Math.sqrt(inputs));
    const bias = constant(`${name}.bias`, 1, outputs, 0.3);
    return builder.node('linear', name, [x, weight, bias], {});
  };
  const norm = (name: string, x: string): string => {
    const gamma = constant(`${name}.weight`, 1, width, 0.5, 1);
    const beta = constant(`${name}.bias`, 1, width, 0.3);
    return builder.node('layerNorm', name, [x, gamma, beta], { epsilon: 1e-12 });
  };
  const ids = builder.input('tokenIds', 'int32', ['tokens', 1]);
  const start = builder.input('segmentStart', 'int32', [1, 1]);
  const table = constant('word', vocabulary, width, 1);
  const word = builder.node('lookupRows', 'words', [ids, table], { index: 'token' });
  const position = constant('position', maxTokens, width, 0.5);
  const segment = constant('segment', 2, width, 0.5);
  let x = norm('norm', builder.node('embed', 'embed', [word, position, start, segment], {}));
  for (let layer = 0; layer < layers; layer++) {
    const [q, k, v] = ['q', 'k', 'v'].map((part) => linear(`${layer}.${part}`, x, width, width));
    const attrs = { heads, scale: 1 / Math.sqrt(headWidth), causal: false };
    const mixed = builder.node('attention', `${layer}.attention`, [q!, k!, v!], attrs);
    const projected = linear(`${layer}.out`, mixed, width, width);
    x = norm(`${layer}.norm1`, builder.node('add', `${layer}.add1`, [projected, x], {}));
    const wide = linear(`${layer}.up`, x, width, ffn);
    const active = builder.node('activation', `${layer}.act`, [wide], { kind: activation });
    const narrow = linear(`${layer}.down`, active, ffn, width);
    x = norm(`${layer}.norm2`, builder.node('add', `${layer}.add2`, [narrow, x], {}));
  }
  switch (shape.head) {
    case 'pooled': {
      const first = builder.node('selectRow', 'first', [x], { which: 'first' });
      const pooled = linear('pooler', first, width, width);
      const active = builder.node('activation', 'tanh', [pooled], { kind: 'tanh' });
      return builder.finish([linear('classifier', active, width, shape.outputs)]);
    }
    case 'tokens':
      return builder.finish([linear('classifier', x, width, shape.outputs)]);
    case 'first':
    case 'last':
      return builder.finish([builder.node('selectRow', 'row', [x], { which: shape.head })]);
    case 'mean':
      return builder.finish([builder.node('meanRows', 'mean', [x], {})]);
  }
}

/** Through the passes up to the plan. */
export function floatEncoder(shape: EncoderShape, kernels: KernelSet): Graph<'float'> {
  const passes =
    kernels === 'cmsis-nn'
      ? [fuseEmbedding, rowDemand, normalizeAttention]
      : [fuseLayerNorm, rowDemand];
  return runPasses(importedEncoder(shape), passes);
}

/** In the forms of the plan. */
export function plannedEncoder(shape: EncoderShape, plan: PlanShape): Graph<'float'> {
  const graph = floatEncoder(shape, plan.kernels);
  return attentionForms(graph, (node: AttentionNode) => {
    const layer = Number(node.name.split('.')[0]);
    if (plan.kernels === 'cmsis-nn') {
      return formOf(shape, { ...plan, absorbed: [0, 0, 0] }, layer);
    }
    if (tensorOf(graph, node.output).shape[0] === 'tokens') return formOf(shape, plan, layer);
    return plan.absorbs
      ? { storedGroups: 0, absorbedHeads: shape.heads }
      : { storedGroups: 1, absorbedHeads: 0 };
  });
}

export function quantizedEncoder(
  shape: EncoderShape,
  plan: PlanShape,
  hasNarrowWeights = false,
): Graph<'quantized'> {
  const planned = plannedEncoder(shape, plan);
  const split = hasNarrowWeights ? narrowWeights(planned) : planned;
  verify(split);
  const lengths = [1, 2, Math.ceil(shape.maxTokens / 2), shape.maxTokens];
  const examples = lengths.map((length) => randomTokens(shape, length));
  const quantized = quantize(split, calibrate(split, examples));
  verify(quantized);
  return quantized;
}

export function legalEncoder(
  shape: EncoderShape,
  plan: PlanShape,
  hasNarrowWeights = false,
): Graph<'legal'> {
  const quantized = quantizedEncoder(shape, plan, hasNarrowWeights);
  const legal: Graph<'legal'> = { ...fuseTable(quantized), stage: 'legal' };
  verify(legal);
  return legal;
}
