/** Random decoders for property tests, of every family, odd sizes too. */
import fc from 'fast-check';
import { buildDecoder } from '../../toolchain/importers/decoder-layers.ts';
import type { LayerPart } from '../../toolchain/importers/decoder-weights.ts';
import type { DecoderFamily } from '../../toolchain/importers/families.ts';
import { graphBuilder } from '../../toolchain/ir/build.ts';
import type { Graph } from '../../toolchain/ir/graph.ts';
import { runPasses } from '../../toolchain/ir/rewrite.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import type { CachePolicy } from '../../toolchain/passes/cache-policy.ts';
import { fuseLayerNorm } from '../../toolchain/passes/fuse-layer-norm.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { limitCache } from '../../toolchain/passes/limit-cache.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { tieTables } from '../../toolchain/passes/tie-tables.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { narrowWeights } from '../../toolchain/quantize/narrow-weights.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';

export interface DecoderShape {
  readonly family: DecoderFamily;
  readonly layers: number;
  readonly keyValueHeads: number;
  /** Heads that share keys and values. */
  readonly sharing: number;
  readonly headWidth: number;
  readonly width: number;
  /** Of words and positions, where a product leads to the layers. */
  readonly embeddingWidth: number;
  readonly middle: number;
  readonly vocabulary: number;
  readonly maxTokens: number;
  readonly cache: CachePolicy;
  readonly seed: number;
}

/** Of caches that are too small for the longest text, and of those that are not. */
const caches: fc.Arbitrary<CachePolicy> = fc.oneof(
  fc.constant<CachePolicy>({ kind: 'full' }),
  fc.record({
    kind: fc.constant('window' as const),
    window: fc.integer({ min: 1, max: 20 }),
    sinks: fc.nat(5),
  }),
  fc.record({
    kind: fc.constant('heavy' as const),
    heavy: fc.integer({ min: 1, max: 8 }),
    recent: fc.integer({ min: 1, max: 8 }),
  }),
  fc.record({
    kind: fc.constant('local-sum' as const),
    heavy: fc.integer({ min: 1, max: 8 }),
    recent: fc.integer({ min: 1, max: 8 }),
    steps: fc.integer({ min: 1, max: 4 }),
  }),
);

const heads = fc.record({
  keyValueHeads: fc.integer({ min: 1, max: 3 }),
  sharing: fc.integer({ min: 1, max: 3 }),
  headWidth: fc.integer({ min: 1, max: 6 }).map((half) => 2 * half),
});

export const decoderShapes: fc.Arbitrary<DecoderShape> = fc
  .record({
    family: fc.constantFrom<DecoderFamily>('gpt2', 'opt', 'llama', 'merino'),
    embeddingWidth: fc.integer({ min: 1, max: 24 }),
    layers: fc.integer({ min: 1, max: 3 }),
    heads,
    width: fc.integer({ min: 3, max: 40 }),
    middle: fc.integer({ min: 1, max: 50 }),
    vocabulary: fc.integer({ min: 1, max: 50 }),
    maxTokens: fc.integer({ min: 2, max: 40 }),
    cache: caches,
    seed: fc.nat(2 ** 30),
  })
  .map(({ heads: { keyValueHeads, sharing, headWidth }, ...shape }) => {
    const isLlama = shape.family === 'llama';
    const own = { keyValueHeads, sharing: isLlama ? sharing : 1, headWidth };
    const width = isLlama ? shape.width : keyValueHeads * headWidth;
    const embeddingWidth = shape.family === 'merino' ? shape.embeddingWidth : width;
    return { ...shape, ...own, width, embeddingWidth };
  });

function isOfAttention(part: LayerPart): boolean {
  return ['query', 'key', 'value', 'attention'].includes(part);
}

/** Numbers below 1 in magnitude. Lehmer's generator with Park and Miller's constants. */
export function randomNumbers(seed: number): () => number {
  let state = 1 + (seed % 0x7fff_fffe);
  return () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return (2 * state) / 0x7fff_ffff - 1;
  };
}

export function randomIds({ vocabulary, seed }: DecoderShape, length: number): readonly number[] {
  const random = randomNumbers(seed + 7 * length);
  return Array.from({ length }, () => Math.floor(((random() + 1) / 2) * vocabulary) % vocabulary);
}

export function floatDecoder(shape: DecoderShape): Graph<'float'> {
  const { family, layers, keyValueHeads, sharing, headWidth, width, middle, vocabulary } = shape;
  const random = randomNumbers(shape.seed);
  const numbers = (length: number, scale: number, offset = 0) =>
    Float32Array.from({ length }, () => offset + scale * random());
  const isLlama = family === 'llama';
  const { embeddingWidth: embedding } = shape;
  const product = (name: string, outputs: number, inputs: number) => ({
    ...{ name, stored: name, outputs },
    weight: numbers(outputs * inputs, 2 / Math.sqrt(inputs)),
    bias: isLlama ? null : numbers(outputs, 0.2),
  });
  const norm = (name: string, columns: number) => ({
    ...{ name, stored: name },
    gamma: numbers(columns, 0.3, 1),
    beta: isLlama ? null : numbers(columns, 0.2),
  });
  const builder = graphBuilder('decoder');
  const rope = numbers(shape.maxTokens * headWidth, 3);
  const angles = rope.map((_, index) => {
    const angle = rope[index - (index % 2)]!;
    return index % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
  const output = buildDecoder(
    builder,
    {
      ...{ family, architecture: family, vocabulary, embeddingWidth: shape.embeddingWidth },
      layers: Array.from({ length: layers }, (_, layer) => ({
        name: `layer.${layer}`,
        stored: `layer.${layer}`,
        ...{ width, keyValueHeads, headWidth, middle, heads: keyValueHeads * sharing },
        scale: 1 / Math.sqrt(headWidth),
        projection: layer === 0 && shape.embeddingWidth !== width ? 'projection' : null,
      })),
      activation: isLlama ? 'silu' : family === 'opt' ? 'relu' : 'geluTanh',
      epsilon: 1e-5,
      positions: shape.maxTokens,
      tiesHead: shape.seed % 2 === 0,
      ropeTheta: isLlama ? 10_000 : null,
      endTokens: [],
    },
    {
      linear: (layer, part, outputs, inputs) =>
        product(`${layer.name}.${isOfAttention(part) ? 'self' : 'mlp'}.${part}`, outputs, inputs),
      product,
      norm: (layer, which) => norm(`${layer.name}.${which}.norm`, width),
      finalNorm: (columns) => norm('last.norm', columns),
      words: () => ({ name: 'words', values: numbers(vocabulary * embedding, 1) }),
      positions: () => ({
        name: 'positions',
        values: numbers(shape.maxTokens * embedding, 0.3),
      }),
      head: () => ({ name: 'head', values: numbers(vocabulary * embedding, 1) }),
    },
    vocabulary,
    isLlama ? { rows: shape.maxTokens, table: angles } : null,
  );
  const graph = builder.finish([output]);
  verify(graph);
  return limitCache(runPasses(graph, [fuseLayerNorm, rowDemand]), shape.cache);
}

/** `isNarrow`: with weights of seven bits, as `--weights w7` has them. */
export function legalDecoder(shape: DecoderShape, isNarrow = false): Graph<'legal'> {
  const whole = floatDecoder(shape);
  const graph = isNarrow ? narrowWeights(whole) : whole;
  const examples = [shape.maxTokens, 1, Math.ceil(shape.maxTokens / 2)].map((length) => ({
    ids: randomIds(shape, length),
    segmentStart: length,
  }));
  const quantized = quantize(graph, calibrate(graph, examples));
  const legal = { ...tieTables(fuseTable(quantized)), stage: 'legal' as const };
  verify(legal);
  return legal;
}
