import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { interpret, type Tokens } from '../../toolchain/emulate/interpreter.ts';
import type { Graph, Stage } from '../../toolchain/ir/graph.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { macsOf } from '../../toolchain/ops/macs.ts';
import { fuseEmbedding, fuseLayerNorm } from '../../toolchain/passes/fuse-layer-norm.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { normalizeAttention } from '../../toolchain/passes/normalize-attention.ts';
import { reorderVocabulary } from '../../toolchain/passes/reorder-vocabulary.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { storedAs } from '../ir/stored-weights.ts';
import {
  type EncoderShape,
  encoderShapes,
  floatEncoder,
  formOf,
  importedEncoder,
  plannedEncoder,
  planShapes,
  quantizedEncoder,
  randomTokens,
} from '../schedule/encoders.ts';

const runs = { numRuns: Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 40), seed: 1 };

/** Some units in the last place of a float32, through three layers. */
const tolerance = 4e-6;
/** Sums in another order, of products rounded to float32 in between. */
const reassociated = 1e-4;

const ourPlans = planShapes.map((plan) => ({ ...plan, kernels: 'native' as const }));

function outputOf(graph: Graph<Stage>, tokens: Tokens): readonly number[] {
  return Array.from(interpret(graph, tokens)[0]!.data);
}

function expectSame(
  before: Graph<'float'>,
  after: Graph<'float'>,
  shape: EncoderShape,
  limit = tolerance,
): void {
  verify(after);
  for (const length of [1, 2, shape.maxTokens]) {
    const tokens = randomTokens(shape, length);
    const expected = outputOf(before, tokens);
    const found = outputOf(after, tokens);
    expect(found.length).toBe(expected.length);
    const errors = found.map((value, index) => Math.abs(value - expected[index]!));
    const largest = Math.max(1, ...expected.map(Math.abs));
    expect(Math.max(...errors) / largest).toBeLessThan(limit);
  }
}

describe('exact on float graphs', () => {
  test('fuse-layer-norm', () => {
    fc.assert(
      fc.property(encoderShapes, (shape) => {
        const before = importedEncoder(shape);
        const after = fuseLayerNorm.run(before);
        expectSame(before, after, shape);
        expect(after.nodes.some(({ op }) => op === 'add' || op === 'embed')).toBe(false);
      }),
      runs,
    );
  });

  test('fuse-embedding and normalize-attention', () => {
    fc.assert(
      fc.property(encoderShapes, (shape) => {
        const before = importedEncoder(shape);
        const after = normalizeAttention.run(fuseEmbedding.run(before));
        expectSame(before, after, shape);
        const left = after.nodes.map(({ op }) => op);
        expect(left).not.toContain('embed');
        expect(left).not.toContain('attention');
        expect(left.filter((op) => op === 'add')).toHaveLength(2 * shape.layers);
      }),
      runs,
    );
  });

  test.each(['fused', 'as imported'])('row-demand, layer normalization %s', (form) => {
    fc.assert(
      fc.property(encoderShapes, (shape) => {
        const imported = importedEncoder(shape);
        const before = form === 'fused' ? fuseLayerNorm.run(imported) : imported;
        const after = rowDemand.run(before);
        expectSame(before, after, shape);
        const work = (graph: Graph<'float'>) => macsOf(graph, shape.maxTokens);
        expect(work(after)).toBeLessThanOrEqual(work(before));
        expect(rowDemand.run(after)).toEqual(after);
      }),
      runs,
    );
  });

  test('attention-forms', () => {
    fc.assert(
      fc.property(encoderShapes, ourPlans, (shape, plan) => {
        const before = floatEncoder(shape, 'native');
        const after = plannedEncoder(shape, plan);
        expectSame(before, after, shape, reassociated);
        // Only the last layer may have a single query.
        const hasOneRow = ['pooled', 'first', 'last'].includes(shape.head);
        const forms = Array.from({ length: shape.layers - (hasOneRow ? 1 : 0) }, (_, layer) =>
          formOf(shape, plan, layer),
        );
        const last = plan.absorbs ? [0, shape.heads] : [1, 0];
        const count = (op: string) => after.nodes.filter((node) => node.op === op).length;
        const sum = (field: 'storedGroups' | 'absorbedHeads') =>
          forms.reduce((total, form) => total + form[field], 0);
        expect(count('attention')).toBe(sum('storedGroups') + (hasOneRow ? last[0]! : 0));
        expect(count('attendInputs')).toBe(sum('absorbedHeads') + (hasOneRow ? last[1]! : 0));
      }),
      runs,
    );
  });

  test('groups of stored heads take no more work', () => {
    fc.assert(
      fc.property(encoderShapes, planShapes, (shape, plan) => {
        const stored = plannedEncoder(shape, { ...plan, absorbed: [0, 0, 0], absorbs: false });
        const before = floatEncoder(shape, plan.kernels);
        expectSame(before, stored, shape);
        const work = (graph: Graph<'float'>) => macsOf(graph, shape.maxTokens);
        expect(work(stored)).toBe(work(before));
      }),
      runs,
    );
  });
});

test('reorder-vocabulary changes the numbers of the tokens and nothing else', () => {
  const orders = encoderShapes.chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      order: fc.shuffledSubarray([...Array(shape.vocabulary).keys()], { minLength: 1 }),
    }),
  );
  fc.assert(
    fc.property(orders, ({ shape, order }) => {
      const before = importedEncoder(shape);
      const after = reorderVocabulary(before, Int32Array.from(order));
      verify(after);
      const compact = { ids: [...order.keys()].slice(0, shape.maxTokens), segmentStart: 1 };
      const original = { ...compact, ids: compact.ids.map((id) => order[id]!) };
      expect(outputOf(after, compact)).toEqual(outputOf(before, original));
    }),
    runs,
  );
});

test('fuse-table leaves every bit of the integer graph', () => {
  fc.assert(
    fc.property(encoderShapes, planShapes, (shape, plan) => {
      const before = quantizedEncoder(shape, plan);
      const after = fuseTable(before);
      verify(after);
      expect(after.nodes.some(({ op }) => op === 'activation')).toBe(false);
      for (const length of [1, 2, shape.maxTokens]) {
        const tokens = randomTokens(shape, length);
        expect(outputOf(after, tokens)).toEqual(outputOf(before, tokens));
      }
    }),
    runs,
  );
});

/** BERT-tiny without its head: the layers alone. Multiply-accumulates by hand. */
describe.each([
  { tokens: 64, all: 27_262_976, demanded: 15_908_864 },
  { tokens: 128, all: 58_720_256, demanded: 33_751_040 },
  { tokens: 512, all: 335_544_320, demanded: 184_844_288 },
])('row demand on BERT-tiny, $tokens tokens', ({ tokens, all, demanded }) => {
  const imported = importedEncoder({
    layers: 2,
    heads: 2,
    headWidth: 64,
    ffn: 512,
    activation: 'gelu',
    head: 'first',
    outputs: 1,
    vocabulary: 1,
    wordTable: null,
    positionTable: null,
    maxTokens: 512,
    seed: 1,
    storages: [storedAs.float32],
  });

  test('saves 42 to 45 %', () => {
    const after = rowDemand.run(fuseLayerNorm.run(imported));
    expect(macsOf(imported, tokens)).toBe(all);
    expect(macsOf(after, tokens)).toBe(demanded);
    const saved = 1 - demanded / all;
    expect(saved).toBeGreaterThan(0.416);
    expect(saved).toBeLessThan(0.451);
  });
});
