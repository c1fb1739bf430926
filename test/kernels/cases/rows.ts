/** Calls of kernels that add, normalize, embed or average rows. */
import type { TypedArrayOf } from '../../../toolchain/ir/dtypes.ts';
import { ops } from '../../../toolchain/ops/index.ts';
import type { NormInteger } from '../../../toolchain/ops/layer-norm.ts';
import type { Kernel } from '../../../toolchain/schedule/kernels.ts';
import { type Arena, createArena, matrixAt, place, reserveMatrix } from '../arena.ts';
import { type Fill, fill, pick, randomInt } from '../random.ts';

import {
  ARENA_BYTES,
  anyRequant,
  type BlockRows,
  type Case,
  finish,
  forBlocks,
  normWidths,
  noScratch,
  placeMatrix,
  placeWide,
  type Range,
  randomFill,
  randomRange,
  reserveRowScratch,
  rowOf,
  widths,
} from './common.ts';

export function addLayerNormCase(kernel: Kernel): Case {
  const inPlace = kernel.output === 'int8' ? pick(['no', 'a', 'b'] as const) : 'no';
  return addLayerNormCaseOf(kernel, {
    ...{ width: pick(normWidths), rows: randomInt(1, 5), data: randomFill(), inPlace },
    range: randomRange(kernel),
  });
}

export interface PlainAddShape {
  readonly width: number;
  readonly rows: number;
  readonly data: Fill;
  readonly gap: number;
}

export function randomAdd(): PlainAddShape {
  return {
    width: pick(widths),
    rows: randomInt(1, 5),
    data: randomFill(),
    gap: pick([0, 0, 1, 9]),
  };
}

export function addCase(kernel: Kernel, { width, rows, data, gap }: PlainAddShape): Case {
  const arena = createArena(ARENA_BYTES);
  const stride = width + gap;
  const quant = () => ({
    kind: 'affine' as const,
    scale: pick([1e-6, 0.01, 0.02, 0.5]),
    zeroPoint: pick([-128, -1, 0, 5, 127]),
  });
  const range = randomRange(kernel);
  const { integer } = ops.add.quantize({
    attrs: {},
    inputs: [],
    quants: [quant(), quant()],
    inputDtype: 'int8',
    output: {
      dtype: 'int8',
      quant: { ...quant(), scale: pick([0.01, 0.03]) },
      shape: [rows, width],
    },
    observed: null,
  });
  const own = { ...integer, ...range };
  const a = placeMatrix(arena, rows, width, stride, data);
  const b = placeMatrix(arena, rows, width, stride, pick([data, 'random']));
  const y = reserveMatrix(arena, 'int8', rows, width, stride);
  const args = [
    ...[width, own.zeroPointA, own.zeroPointB],
    ...[own.a.multiplier, own.a.shift, own.b.multiplier, own.b.shift],
    ...[own.sum.multiplier, own.sum.shift, own.zeroPoint, own.min, own.max],
    ...[a, stride, b, stride, rows, y, stride],
  ];
  const title = JSON.stringify({ width, rows, data, gap, ...own });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    ops.add.evalInteger(
      [
        matrixAt(before, 'int8', a, rows, width, stride),
        matrixAt(before, 'int8', b, rows, width, stride),
      ],
      {},
      own,
      matrixAt(after, 'int8', y, rows, width, stride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}

export interface LayerNormShape extends PlainAddShape {
  readonly inPlace: boolean;
  readonly range: Range;
}

export function randomLayerNorm(kernel: Kernel): LayerNormShape {
  const inPlace = kernel.input === kernel.output && pick([false, true]);
  return { ...randomAdd(), inPlace, range: randomRange(kernel) };
}

export function layerNormCaseOf(kernel: Kernel, shape: LayerNormShape): Case {
  const { width, rows, data, gap, inPlace, range } = shape;
  const arena = createArena(ARENA_BYTES);
  const norm = randomNorm(width, range);
  const stride = width + gap;
  const x =
    kernel.input === 'int16'
      ? placeWide(arena, rows, width, stride, data)
      : placeMatrix(arena, rows, width, stride, data);
  const y = inPlace ? x : reserveMatrix(arena, kernel.output, rows, width, stride);
  const scratch = reserveRowScratch(arena, kernel, width);
  const args = [...placeNorm(arena, norm), x, stride, rows, y, stride, scratch.offset];
  const title = JSON.stringify({ ...shape, ...norm.integer });
  return finish(kernel, title, arena, args, scratch, (before, after) =>
    ops.layerNorm.evalInteger(
      [matrixAt(before, kernel.input, x, rows, width, stride), rowOf(norm.gamma), rowOf(norm.beta)],
      { epsilon: 0 },
      norm.integer,
      matrixAt(after, kernel.output, y, rows, width, stride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}

export interface AddShape {
  readonly width: number;
  readonly rows: number;
  readonly data: Fill;
  readonly inPlace: 'no' | 'a' | 'b';
  readonly range: Range;
}

export function addLayerNormCaseOf(kernel: Kernel, shape: AddShape): Case {
  const { width, rows, data, inPlace, range } = shape;
  const arena = createArena(ARENA_BYTES);
  const norm = randomNorm(width, range);
  const largest = Math.floor(sumLimit(width) / 255);
  const multiplierA = randomInt(0, largest);
  const own = {
    multiplierA,
    multiplierB: pick([0, 1, largest - multiplierA]),
    zeroPointA: pick([-128, 0, 3, 127]),
    zeroPointB: pick([-128, 0, -7, 127]),
  };
  const gap = pick([0, 0, 1, 9]);
  const stride = width + gap;
  const a = placeMatrix(arena, rows, width, stride, data);
  const b = placeMatrix(arena, rows, width, stride, pick([data, 'random']));
  const fresh = () => reserveMatrix(arena, kernel.output, rows, width, stride);
  const y = { no: fresh, a: () => a, b: () => b }[inPlace]();
  const scratch = reserveRowScratch(arena, kernel, width);
  const args = [
    ...placeNorm(arena, norm),
    ...[own.multiplierA, own.multiplierB, own.zeroPointA, own.zeroPointB],
    ...[a, stride, b, stride, rows, y, stride, scratch.offset],
  ];
  const title = JSON.stringify({ width, rows, data, inPlace, gap, ...own, ...norm.integer });
  return finish(kernel, title, arena, args, scratch, (before, after) =>
    ops.addLayerNorm.evalInteger(
      [
        matrixAt(before, 'int8', a, rows, width, stride),
        matrixAt(before, 'int8', b, rows, width, stride),
        rowOf(norm.gamma),
        rowOf(norm.beta),
      ],
      { epsilon: 0 },
      { ...norm.integer, ...own },
      matrixAt(after, kernel.output, y, rows, width, stride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}

export interface EmbedNormShape {
  readonly width: number;
  readonly rows: number;
  readonly range: Range;
  readonly inPlace: boolean;
}

export function embedLayerNormCaseOf(kernel: Kernel, shape: EmbedNormShape): Case {
  const { width, rows, range, inPlace } = shape;
  const arena = createArena(ARENA_BYTES);
  const rowStart = randomInt(0, 6);
  const segmentStart = randomInt(0, 12);
  const segments = randomInt(1, 3);
  const data = randomFill();
  const norm = randomNorm(width, range);
  const third = Math.floor(sumLimit(width) / 128 / 3);
  const own = {
    multiplierWord: randomInt(0, third),
    multiplierPosition: randomInt(0, third),
    multiplierSegment: pick([0, third]),
  };
  const segment = fill(new Int8Array(segments * width), -128, 127, data);
  const stride = width + pick([0, 1, 9]);
  const positionStride = width + pick([0, 3]);
  const word = placeMatrix(arena, rows, width, stride, data);
  const position = placeMatrix(arena, rows, width, positionStride, data);
  const y = inPlace ? word : reserveMatrix(arena, kernel.output, rows, width, stride);
  const scratch = reserveRowScratch(arena, kernel, width);
  const args = [
    ...[...placeNorm(arena, norm), place(arena, segment), segments],
    ...[own.multiplierWord, own.multiplierPosition, own.multiplierSegment],
    ...[word, stride, position, positionStride, rows, rowStart, segmentStart, y, stride],
    scratch.offset,
  ];
  const title = JSON.stringify({ ...shape, rowStart, segmentStart, data, ...norm.integer });
  return finish(kernel, title, arena, args, scratch, (before, after) =>
    ops.embedLayerNorm.evalInteger(
      [
        matrixAt(before, 'int8', word, rows, width, stride),
        matrixAt(before, 'int8', position, rows, width, positionStride),
        rowOf(Int32Array.of(segmentStart)),
        { ...rowOf(segment), rows: segments, columns: width, stride: width },
        rowOf(norm.gamma),
        rowOf(norm.beta),
      ],
      { epsilon: 0 },
      { ...norm.integer, ...own },
      matrixAt(after, kernel.output, y, rows, width, stride),
      { tokens: rowStart + rows, rowStart },
    ),
  );
}

export function meanRowsCaseOf(
  kernel: Kernel,
  width: number,
  tokens: number,
  blockRows: BlockRows,
): Case {
  const arena = createArena(ARENA_BYTES);
  const stride = width + pick([0, 1, 9]);
  const data = randomFill();
  const mean = pick([anyRequant(), { multiplier: 1_500_000_000, shift: 0 }]);
  const zeroPoint = pick([-128, 0, 7, 127]);
  const { min, max } = randomRange(kernel);
  const x = placeMatrix(arena, tokens, width, stride, data);
  const y = reserveMatrix(arena, kernel.output, 1, width, width);
  const carry = reserveMatrix(arena, 'int32', 1, width, width);
  const args = [
    ...[width, zeroPoint, mean.multiplier, mean.shift, min, max],
    ...[x, stride, tokens, carry, ...blockRows, y],
  ];
  const title = JSON.stringify({ width, tokens, blockRows, stride, data, mean, zeroPoint });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    forBlocks(tokens, blockRows, (firstRow, rows) =>
      ops.meanRows.streaming?.evalBlock(
        [matrixAt(before, 'int8', x + firstRow * stride, rows, width, stride)],
        {},
        { zeroPoint, mean, min, max },
        matrixAt(after, 'int32', carry, 1, width),
        matrixAt(after, kernel.output, y, 1, width),
        { firstRow, tokens },
      ),
    ),
  );
}

/** The bound of layer-norm.ts on the aligned sum. */
function sumLimit(width: number): number {
  return 2 ** Math.min(20, 29 - Math.ceil(Math.log2(width)));
}

interface Norm {
  readonly integer: NormInteger;
  readonly gamma: TypedArrayOf<'int16'>;
  readonly beta: TypedArrayOf<'int32'>;
}

function randomNorm(width: number, range: Range): Norm {
  const outShift = pick([1, 14, 16, 18, 20, 22, 30]);
  return {
    integer: {
      epsilon: pick([0, 1, 1_000_000, 2 ** 40 + 12_345, 2 ** 53]),
      fraction: 15 - Math.ceil(Math.log2(width) / 2),
      outShift,
      ...range,
    },
    gamma: fill(new Int16Array(width), -32768, 32767, randomFill()),
    beta: pick([
      fill(new Int32Array(width), -(2 ** 30), 2 ** 30, randomFill()),
      fill(new Int32Array(width), -(2 ** 20), 2 ** 20, 'random'),
    ]),
  };
}

function placeNorm(arena: Arena, { integer, gamma, beta }: Norm): number[] {
  const { epsilon, fraction, outShift, min, max } = integer;
  const epsilonWords = [epsilon | 0, Math.floor(epsilon / 2 ** 32)];
  const pointers = [place(arena, gamma), place(arena, beta)];
  return [gamma.length, ...epsilonWords, fraction, outShift, min, max, ...pointers];
}
