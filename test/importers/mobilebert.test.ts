/** MobileBERT: what its config says, integers near the floats, and the ops that it alone has. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { embeddingTables } from '../../toolchain/compress/texts.ts';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { filesFromMemory } from '../../toolchain/importers/files.ts';
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import type { ImportOptions } from '../../toolchain/importers/model-card.ts';
import { denseMatrix, type Matrix, type Tensor } from '../../toolchain/ir/graph.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { alignFactors } from '../../toolchain/ops/aligned-factors.ts';
import { ops } from '../../toolchain/ops/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { exactPasses } from '../../toolchain/pipeline.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';
import { type Files, fixtureFiles, withJson } from './model-files.ts';

function read(files: Files, options: ImportOptions = {}) {
  const model = importHuggingFace(filesFromMemory(files), 'model', options);
  verify(model.graph);
  return model;
}

const casesOf = (name: string): readonly { ids: number[]; tokenTypes: number[] }[] =>
  JSON.parse(readFileSync(packagePath('test/fixtures/hf', name, 'golden.json'), 'utf8')).cases;

test('what config.json leaves out is as in published models', () => {
  const files = fixtureFiles('mobilebert-seqcls');
  const standard = ['hidden_act', 'trigram_input', 'use_bottleneck', 'use_bottleneck_attention']
    .concat(['key_query_shared_bottleneck', 'normalization_type', 'classifier_activation'])
    .map((field) => [field, undefined]);
  const { graph } = read(withJson(files, 'config.json', Object.fromEntries(standard)));
  const { ids } = casesOf('mobilebert-seqcls').at(-1)!;
  const outputOf = (one: typeof graph) => interpret(one, { ids, segmentStart: 5 })[0]!.data;
  expect(outputOf(graph)).toEqual(outputOf(read(files).graph));
});

test('a folder that names no class is what its tensors say', () => {
  const kindOf = (name: string) =>
    read(withJson(fixtureFiles(name), 'config.json', { architectures: undefined })).card.kind;
  expect(kindOf('mobilebert-seqcls')).toBe('classification');
  expect(kindOf('mobilebert-qa')).toBe('token-classification');
  expect(kindOf('mobilebert-embed')).toBe('embedding');
});

test('recipes are not searched for it, and that is said', () => {
  const { graph } = read(fixtureFiles('mobilebert-seqcls'));
  expect(() => embeddingTables(graph)).toThrow(/model cannot be searched for a recipe/);
});

/** What 8 bits cost with such weights: BERT's fixtures have 0.03 to 0.06. */
const mostError = 0.1;

test.each([
  ['mobilebert-seqcls', {}],
  ['mobilebert-tokcls', {}],
  ['mobilebert-qa', {}],
  ['mobilebert-unpooled', {}],
  ['mobilebert-embed', { pooling: 'mean' }],
  ['mobilebert-embed', { pooling: 'cls' }],
] as const)('%s %o as integers, with only the rows that are needed', (name, options) => {
  const { graph } = read(fixtureFiles(name), options);
  const narrow = exactPasses(graph, 'native');
  const texts = casesOf(name).map(({ ids, tokenTypes }) => ({
    ids,
    segmentStart: tokenTypes.includes(1) ? tokenTypes.indexOf(1) : ids.length,
  }));
  const integers = quantize(narrow, calibrate(narrow, texts));
  verify(integers);
  const { quant } = integers.tensors[integers.outputs[0]!]!;
  const scale = quant?.kind === 'affine' ? quant.scale : Number.NaN;
  let [squaredError, squares] = [0, 0];
  for (const text of texts) {
    const real = interpret(graph, text)[0]!.data;
    const same = interpret(narrow, text)[0]!.data;
    const { data } = interpret(integers, text)[0]!;
    for (const [index, value] of real.entries()) {
      // A sum that a norm takes in is not rounded to float32.
      expect(Math.abs(same[index]! - value)).toBeLessThan(1e-5);
      squaredError += (data[index]! * scale - value) ** 2;
      squares += value ** 2;
    }
  }
  expect(Math.sqrt(squaredError / squares)).toBeLessThan(mostError);
});

describe('trigrams', () => {
  test('are three rows side by side, in tiles of any size', () => {
    const shape = fc.record({
      tokens: fc.integer({ min: 1, max: 9 }),
      width: fc.integer({ min: 1, max: 5 }),
      tile: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(shape, ({ tokens, width, tile }) => {
        const values = Float32Array.from({ length: tokens * width }, (_, index) => index + 1);
        const x = denseMatrix(values, tokens, width);
        const row = (index: number): number[] =>
          index < 0 || index >= tokens
            ? new Array<number>(width).fill(0)
            : [...values.subarray(index * width, (index + 1) * width)];
        for (let rowStart = 0; rowStart < tokens; rowStart += tile) {
          const rows = Math.min(tile, tokens - rowStart);
          const y = denseMatrix(new Float32Array(3 * rows * width), rows, 3 * width);
          ops.trigrams.evalFloat([x], {}, y, { tokens, rowStart });
          const expected = Array.from({ length: rows }, (_, at) => rowStart + at).flatMap((at) => [
            ...[...row(at + 1), ...row(at), ...row(at - 1)],
          ]);
          expect([...y.data]).toEqual(expected);
        }
      }),
    );
  });
});

const scale = fc.double({ min: -12, max: 4, noNaN: true }).map((power) => 2 ** power);
const zeroPoint = fc.integer({ min: -128, max: 127 });
const affine = (scale: number, zeroPoint = 0) => ({ kind: 'affine', scale, zeroPoint }) as const;
const int8s = (length: number) =>
  fc.array(fc.integer({ min: -128, max: 127 }), { minLength: length, maxLength: length });
const matrix = (values: readonly number[], columns: number): Matrix =>
  denseMatrix(Int8Array.from(values), values.length / columns, columns);
const constant = (values: readonly number[], columns: number): Tensor => ({
  ...{ name: 'constant', role: 'constant', dtype: 'float32' },
  shape: [values.length / columns, columns],
  data: Float32Array.from(values),
});

describe('sums without a norm', () => {
  const columns = 6;

  test('factors keep their proportions, and sums of their products int32', () => {
    const factors = fc.array(fc.double({ min: -(2 ** 20), max: 2 ** 20, noNaN: true }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(factors, (list) => {
        const { multipliers, shift } = alignFactors(list);
        for (const [index, multiplier] of multipliers.entries()) {
          expect(Math.abs(multiplier)).toBeLessThanOrEqual(2 ** 21);
          expect(Math.abs(multiplier / 2 ** shift - list[index]!)).toBeLessThanOrEqual(
            0.5 / 2 ** shift,
          );
        }
      }),
    );
  });

  test('scaledAdd is the real sum within a step, or where that is', () => {
    const one = fc.record({
      a: int8s(columns),
      b: int8s(columns),
      gamma: fc.array(fc.double({ min: -8, max: 8, noNaN: true }), {
        ...{ minLength: columns, maxLength: columns },
      }),
      scales: fc.tuple(scale, scale, scale),
      zeroPoints: fc.tuple(zeroPoint, zeroPoint, zeroPoint),
    });
    fc.assert(
      fc.property(one, ({ a, b, gamma, scales, zeroPoints }) => {
        const quantA = affine(scales[0], zeroPoints[0]);
        const quantB = affine(scales[1], zeroPoints[1]);
        const quant = affine(scales[2], zeroPoints[2]);
        const { integer, constants } = ops.scaledAdd.quantize({
          ...{ attrs: {}, inputDtype: 'int8', observed: null, quants: [quantA, quantB, null] },
          inputs: [constant(gamma, columns), constant(gamma, columns), constant(gamma, columns)],
          output: { dtype: 'int8', quant, shape: [1, columns] },
        });
        const y = denseMatrix(new Int8Array(columns), 1, columns);
        const factors = denseMatrix(constants[2]!.data!, 1, columns);
        const context = { tokens: 1, rowStart: 0 };
        const operands = [matrix(a, columns), matrix(b, columns), factors];
        ops.scaledAdd.evalInteger(operands, {}, integer, y, context);
        for (let i = 0; i < columns; i++) {
          const real =
            quantA.scale * (a[i]! - quantA.zeroPoint) +
            Math.fround(gamma[i]!) * quantB.scale * (b[i]! - quantB.zeroPoint);
          const exact = real / quant.scale + quant.zeroPoint;
          // Products of 9 bits with factors rounded at 2^-shift.
          const rounding = 0.5 + (128 + 255) / 2 ** integer.shift;
          const nearest = Math.min(127, Math.max(-128, exact));
          expect(Math.abs(y.data[i]! - nearest)).toBeLessThanOrEqual(rounding + 1e-6);
        }
      }),
    );
  });

  test('embed is the real sum within a step', () => {
    const one = fc.record({
      words: int8s(2 * columns),
      tables: fc.array(fc.double({ min: -4, max: 4, noNaN: true }), {
        ...{ minLength: 4 * columns, maxLength: 4 * columns },
      }),
      scales: fc.tuple(scale, scale),
      zeroPoint,
      segmentStart: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(one, ({ words, tables, scales, zeroPoint: zero, segmentStart }) => {
        const quant = affine(scales[1], zero);
        const position = constant(tables.slice(0, 2 * columns), columns);
        const segment = constant(tables.slice(2 * columns), columns);
        const { integer, constants } = ops.embed.quantize({
          ...{ attrs: {}, inputDtype: 'int8', observed: null },
          quants: [affine(scales[0]), null, null, null],
          inputs: [position, position, position, segment],
          output: { dtype: 'int8', quant, shape: ['tokens', columns] },
        });
        const y = denseMatrix(new Int8Array(2 * columns), 2, columns);
        const stored = [1, 3].map((index) => constants[index]!);
        const [positions, segments] = stored.map(({ data }) => denseMatrix(data!, 2, columns));
        const start = denseMatrix(Int32Array.of(segmentStart), 1, 1);
        const operands = [matrix(words, columns), positions!, start, segments!];
        ops.embed.evalInteger(operands, {}, integer, y, { tokens: 2, rowStart: 0 });
        const scaleOf = (index: number): number => {
          const { quant: own } = stored[index]!;
          return own?.kind === 'affine' ? own.scale : Number.NaN;
        };
        for (let at = 0; at < 2 * columns; at++) {
          const last = Math.floor(at / columns) >= segmentStart ? columns : 0;
          const real =
            scales[0] * words[at]! +
            scaleOf(0) * positions!.data[at]! +
            scaleOf(1) * segments!.data[last + (at % columns)]!;
          const nearest = Math.min(127, Math.max(-128, real / quant.scale + zero));
          const rounding = 0.5 + (3 * 64) / 2 ** integer.shift;
          expect(Math.abs(y.data[at]! - nearest)).toBeLessThanOrEqual(rounding + 1e-6);
        }
      }),
    );
  });
});
