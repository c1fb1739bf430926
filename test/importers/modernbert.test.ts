/** ModernBERT: configs of earlier versions, what layers see, and integers near the floats. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { embeddingTables } from '../../toolchain/compress/texts.ts';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { filesFromMemory } from '../../toolchain/importers/files.ts';
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import type { ImportOptions } from '../../toolchain/importers/model-card.ts';
import { denseMatrix, type Matrix } from '../../toolchain/ir/graph.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { ops } from '../../toolchain/ops/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { exactPasses } from '../../toolchain/pipeline.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';
import { type Files, fixtureFiles, withJson } from './model-files.ts';

const base = fixtureFiles('modernbert-seqcls');
const embedding = fixtureFiles('modernbert-embed');

function read(files: Files, options: ImportOptions = {}) {
  const model = importHuggingFace(filesFromMemory(files), 'model', options);
  verify(model.graph);
  return model;
}

const casesOf = (name: string): readonly { readonly ids: readonly number[] }[] =>
  JSON.parse(readFileSync(packagePath('test/fixtures/hf', name, 'golden.json'), 'utf8')).cases;

const outputOf = (files: Files, ids: readonly number[]) =>
  interpret(read(files).graph, { ids, segmentStart: ids.length })[0]!.data;

const longest = casesOf('modernbert-seqcls').at(-1)!.ids;
const expected = outputOf(base, longest);

describe('config.json as earlier versions wrote it', () => {
  const earlier = (changes: object): Files =>
    withJson(base, 'config.json', {
      layer_types: undefined,
      rope_parameters: undefined,
      global_attn_every_n_layers: 3,
      global_rope_theta: 1000,
      local_rope_theta: 50,
      ...changes,
    });

  test('is the same model', () => {
    expect(outputOf(earlier({}), longest)).toEqual(expected);
  });

  test('without a base of local layers has that of the others', () => {
    const [none, same, other] = [null, 1000, 50].map((local_rope_theta) =>
      outputOf(earlier({ local_rope_theta }), longest),
    );
    expect(none).toEqual(same);
    expect(none).not.toEqual(other);
  });
});

test('local layers see half of local_attention to each side', () => {
  const { graph } = read(base);
  const reaches = graph.nodes.flatMap(({ op, attrs }) =>
    op === 'attention' ? [(attrs as { reach?: number }).reach] : [],
  );
  expect(reaches).toEqual([undefined, 4, 4, undefined]);
  // Up to five tokens nothing is hidden: then it does not matter how far they see.
  const wide = withJson(base, 'config.json', { local_attention: 128 });
  expect(outputOf(wide, longest.slice(0, 5))).toEqual(outputOf(base, longest.slice(0, 5)));
  expect(outputOf(wide, longest)).not.toEqual(expected);
});

test('a folder that names no class is an embedding where it has no classifier', () => {
  const unnamed = (files: Files) => withJson(files, 'config.json', { architectures: undefined });
  expect(read(unnamed(embedding)).card.kind).toBe('embedding');
  expect(read(embedding, { pooling: 'cls' }).card.pooling).toBe('cls');
});

test('a model that marks answers classifies tokens as start and end', () => {
  // All its classifiers have the same weights.
  const files = fixtureFiles('modernbert-mean');
  const [marks, classes] = ['QuestionAnswering', 'TokenClassification'].map((name) =>
    read(withJson(files, 'config.json', { architectures: [`ModernBertFor${name}`] })),
  ) as [ReturnType<typeof read>, ReturnType<typeof read>];
  const { card } = marks;
  expect(card).toMatchObject({ kind: 'token-classification', labels: ['start', 'end'] });
  expect([card.scores, classes.card.scores]).toEqual(['none', 'softmax']);
  const text = { ids: longest, segmentStart: longest.length };
  expect(interpret(marks.graph, text)[0]!.data).toEqual(interpret(classes.graph, text)[0]!.data);
});

/** What 8 bits cost with such weights: BERT's fixtures have 0.03 to 0.06. */
const mostError = 0.1;

test('recipes are not searched for it, and that is said', () => {
  expect(() => embeddingTables(read(base).graph)).toThrow(/model cannot be searched for a recipe/);
});

test.each([
  ['modernbert-seqcls', {}],
  ['modernbert-tokcls', {}],
  ['modernbert-mean', {}],
  ['modernbert-embed', { pooling: 'mean' }],
  ['modernbert-embed', { pooling: 'cls' }],
] as const)('%s %o as integers, with only the rows that are needed', (name, options) => {
  const { graph } = read(fixtureFiles(name), options);
  const narrow = exactPasses(graph, 'native');
  const texts = casesOf(name).map(({ ids }) => ({ ids, segmentStart: ids.length }));
  const integers = quantize(narrow, calibrate(narrow, texts));
  verify(integers);
  const { quant } = integers.tensors[integers.outputs[0]!]!;
  const scale = quant?.kind === 'affine' ? quant.scale : Number.NaN;
  let [squaredError, squares] = [0, 0];
  for (const text of texts) {
    const real = interpret(graph, text)[0]!.data;
    expect(interpret(narrow, text)[0]!.data).toEqual(real);
    const { data } = interpret(integers, text)[0]!;
    for (const [index, value] of real.entries()) {
      squaredError += (data[index]! * scale - value) ** 2;
      squares += value ** 2;
    }
  }
  expect(Math.sqrt(squaredError / squares)).toBeLessThan(mostError);
});

const between = (first: number, end: number, { data, columns }: Matrix): Matrix =>
  denseMatrix(data.subarray(first * columns, end * columns), end - first, columns);

test('a row of a band is attention over the keys near it', () => {
  const shape = fc.record({
    tokens: fc.integer({ min: 1, max: 12 }),
    reach: fc.integer({ min: 0, max: 14 }),
    causal: fc.boolean(),
    seed: fc.infiniteStream(fc.double({ min: -2, max: 2, noNaN: true })),
  });
  fc.assert(
    fc.property(shape, ({ tokens, reach, causal, seed }) => {
      const matrix = () => {
        const values = Array.from({ length: 4 * tokens }, () => seed.next().value);
        return denseMatrix(Float32Array.from(values), tokens, 4);
      };
      const [q, k, v] = [matrix(), matrix(), matrix()];
      const y = denseMatrix(new Float32Array(4 * tokens), tokens, 4);
      const attrs = { heads: 2, scale: 0.7, causal };
      ops.attention.evalFloat([q, k, v], { ...attrs, reach }, y, { tokens, rowStart: 0 });
      for (let row = 0; row < tokens; row++) {
        const first = Math.max(0, row - reach);
        const end = causal ? row + 1 : Math.min(tokens, row + reach + 1);
        const own = denseMatrix(new Float32Array(4), 1, 4);
        const operands = [between(row, row + 1, q), between(first, end, k), between(first, end, v)];
        const context = { tokens: end - first, rowStart: 0 };
        ops.attention.evalFloat(operands, { ...attrs, causal: false }, own, context);
        expect(between(row, row + 1, y).data).toEqual(own.data);
      }
    }),
  );
});
