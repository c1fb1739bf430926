/** Random calls of every kernel family and what the op table says they compute. */
import fc from 'fast-check';
import { allocate, dtypes, type TypedArray, type TypedArrayOf } from '../../toolchain/ir/dtypes.ts';
import { ops } from '../../toolchain/ops/index.ts';
import type { NormInteger } from '../../toolchain/ops/layer-norm.ts';
import { softmaxScale } from '../../toolchain/ops/softmax.ts';
import type { TableAttrs } from '../../toolchain/ops/table-rows.ts';
import type { Requant } from '../../toolchain/quantize/fixed-point.ts';
import {
  type Kernel,
  packWeights,
  type ScratchShape,
  scratchBytes,
} from '../../toolchain/schedule/kernels.ts';
import {
  type Arena,
  createArena,
  matrixAt,
  NULL,
  place,
  placeWords,
  type Region,
  reserve,
  reserveMatrix,
} from './arena.ts';
import { type Fill, fill, pick, randomInt, seedRandom } from './random.ts';

export interface Case {
  /** Shape and extremes, for the failure's message. */
  readonly title: string;
  readonly kernel: Kernel;
  readonly args: readonly number[];
  readonly regions: readonly Region[];
  readonly before: Uint8Array<ArrayBuffer>;
  readonly after: Uint8Array<ArrayBuffer>;
  /** Its content after the call is the kernel's own business. */
  readonly scratch: Region;
}

const ARENA_BYTES = 1 << 19;

/** `count` cases of a kernel; the same seed gives the same cases. */
export function sampleCases(kernel: Kernel, count: number, seed: number): Case[] {
  const family = families[kernel.family];
  if (family === undefined) throw new RangeError(`no cases for the family '${kernel.family}'`);
  return fc.sample(fc.integer({ min: 1, max: 0x7fffffff }), { numRuns: count, seed }).map((s) => {
    seedRandom(s);
    return family(kernel);
  });
}

/** Below, at, above and between multiples of every block size. */
const widths = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 36, 48, 63, 64, 65, 100],
  ...[127, 128, 130],
];

/** Of layer norms, which may take a wide row in parts. */
const normWidths = [...widths, 140, 270];

const families: Readonly<Record<string, (kernel: Kernel) => Case>> = {
  linear: (kernel) => linearCase(kernel, randomLinear(kernel)),
  attention: (kernel) => attentionCase(kernel, randomAttention()),
  normalized_attention: (kernel) => normalizedAttentionCase(kernel, randomNormalizedAttention()),
  attend_inputs: (kernel) => attendInputsCase(kernel, randomAttendInputs()),
  add: (kernel) => addCase(kernel, randomAdd()),
  layer_norm: (kernel) => layerNormCaseOf(kernel, randomLayerNorm(kernel)),
  add_layernorm: addLayerNormCase,
  lookup_rows: (kernel) => lookupRowsCase(kernel, randomLookup()),
  embed_layernorm: (kernel) =>
    embedLayerNormCaseOf(kernel, {
      ...{ width: pick(normWidths), rows: randomInt(1, 5), range: randomRange(kernel) },
      inPlace: kernel.output === 'int8' && pick([false, true]),
    }),
  mean_rows: (kernel) => {
    const tokens = pick([1, 2, 3, 16, 17, 100, 300]);
    const blockRows = pick([
      [tokens, tokens],
      [1, 7],
      [16, 16],
    ] as const);
    return meanRowsCaseOf(kernel, pick(widths), tokens, blockRows);
  },
};

/** What outputs are clamped to. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

export interface LinearShape {
  readonly inputs: number;
  readonly outputs: number;
  readonly rows: number;
  readonly data: Fill;
  readonly xStride: number;
  readonly yStride: number;
  readonly table: boolean;
  readonly range: Range;
  readonly anyShift: boolean;
  /** What is added to every stored weight; all lie in −64 … 63 then. */
  readonly weightOffset: 0 | 64;
}

/** Around the parts of 512 inputs of the pairs of the DSP extension, and around their longest row. */
const longWidths = [128, 496, 511, 512, 513, 528, 1023, 1024, 1025, 1200, 1537, 8192, 8193];

function randomLinear(kernel: Kernel): LinearShape {
  const isLong = kernel.input === 'int8' && pick([false, false, false, true]);
  // Rows as int16 fill the arena: enough beyond all that is taken at once.
  const long = kernel.weights === 'quads' ? longWidths.filter((one) => one < 2048) : longWidths;
  const inputs = pick(isLong ? long : widths);
  const outputs = isLong ? randomInt(1, 9) : pick(widths);
  return {
    inputs,
    outputs,
    rows: randomInt(1, 9),
    data: randomFill(),
    xStride: inputs + pick([0, 0, 1, 3, 16]),
    yStride: outputs + pick([0, 0, 1, 5]),
    table: kernel.output === 'int8' && pick([false, true]),
    range: randomRange(kernel),
    // The library adds the zero point in int32: sums must not saturate.
    anyShift: kernel.variant !== 'cmsis-nn' && pick([false, false, true]),
    weightOffset: weightOffset(kernel),
  };
}

function weightOffset({ weights, needs }: Kernel): 0 | 64 {
  if (needs.includes('w7')) return 64;
  return weights === 'quads' ? pick([0, 64]) : 0;
}

export function linearCase(kernel: Kernel, shape: LinearShape): Case {
  const { inputs, outputs, rows, xStride, yStride } = shape;
  const arena = createArena(ARENA_BYTES);
  const { min: lowest, max: highest } = dtypes[kernel.input];
  const isGentle = shape.anyShift && pick([false, true]);
  const offset = shape.weightOffset;
  const [least, largest] = isGentle ? [-1, 1] : offset === 0 ? [-127, 127] : [-64, 63];
  const weights = fill(new Int8Array(inputs * outputs), least, largest, shape.data);
  const stored = weights.map((weight) => weight + offset);
  const bias = fill(new Int32Array(outputs), -20_000, 20_000, 'random');
  if (isGentle) fill(bias, -200, 200, 'random');
  else if (shape.anyShift) fill(bias, -(2 ** 30), 2 ** 30, randomFill());
  const multipliers = new Int32Array(outputs);
  const shifts = new Int8Array(outputs);
  for (let column = 0; column < outputs; column++) {
    const requant = shape.anyShift ? anyRequant(isGentle) : usefulRequant(inputs, kernel);
    multipliers[column] = requant.multiplier;
    shifts[column] = requant.shift;
  }
  const { min, max } = shape.range;
  const zeroPoint = kernel.output === 'int8' ? pick([-128, -1, 0, 5, 127]) : 0;
  const table = shape.table ? fill(new Int8Array(256), -128, 127, 'random') : null;

  const source = allocate(kernel.input, (rows - 1) * xStride + inputs);
  const x = place(arena, fill(source, lowest, highest, shape.data));
  const y = reserveMatrix(arena, kernel.output, rows, outputs, yStride);
  const scratch = reserveScratch(arena, kernel, { inputs, outputs, columns: 0, tokens: 0 });
  const args = [
    ...[inputs, outputs, placeWords(arena, packWeights(kernel, stored, outputs, inputs))],
    ...[place(arena, bias), place(arena, multipliers), place(arena, shifts), zeroPoint, min, max],
    table === null ? NULL : place(arena, table),
    ...[x, xStride, rows, y, yStride, scratch.offset],
    ...(offset === 0 ? [] : [offset]),
  ];
  return finish(kernel, JSON.stringify(shape), arena, args, scratch, (before, after) =>
    ops.linear.evalInteger(
      [
        matrixAt(before, kernel.input, x, rows, inputs, xStride),
        { data: weights, offset: 0, rows: outputs, columns: inputs, stride: inputs },
        { data: bias, offset: 0, rows: 1, columns: outputs, stride: outputs },
      ],
      {},
      { multipliers, shifts, zeroPoint, min, max, table },
      matrixAt(after, kernel.output, y, rows, outputs, yStride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}

export interface AttentionShape {
  readonly heads: number;
  readonly headWidth: number;
  readonly valueWidth: number;
  readonly tokens: number;
  readonly rows: number;
  readonly rowStart: number;
  readonly causal: boolean;
  readonly inPlace: boolean;
  readonly data: Fill;
  readonly gap: number;
  readonly anyShift: boolean;
}

function randomAttention(): AttentionShape {
  const tokens = pick([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64, 65, 511, 512, 513]);
  const rowStart = pick([0, randomInt(0, tokens - 1)]);
  // Rows of 64 and 128 columns, side by side, have loops of their own.
  const isUsual = pick([false, true]);
  const headWidth = pick(isUsual ? [16, 32, 48, 64] : [1, 2, 3, 4, 5, 8, 12, 15, 17, 33, 36]);
  const inPlace = pick([false, true]);
  return {
    heads: isUsual ? pick([1, 2, 4]) : randomInt(1, 3),
    headWidth,
    valueWidth: inPlace
      ? headWidth
      : pick(isUsual ? [2, 16, 32, 64] : [1, 3, 4, 8, 15, 16, 17, 33]),
    tokens,
    rows: randomInt(1, Math.min(9, tokens - rowStart)),
    rowStart,
    causal: pick(isUsual ? [false, false, false, true] : [false, true]),
    inPlace,
    data: randomFill(),
    gap: pick(isUsual ? [0, 0, 0, 16] : [0, 0, 1, 7, 16]),
    anyShift: pick([false, false, true]),
  };
}

export function attentionCase(kernel: Kernel, shape: AttentionShape): Case {
  const { heads, headWidth, valueWidth, tokens, rows, rowStart, causal, inPlace, gap } = shape;
  const arena = createArena(ARENA_BYTES);
  const width = heads * headWidth;
  const outputs = heads * valueWidth;
  const isGentle = shape.anyShift && pick([false, true]);
  const scoreMultipliers = new Int32Array(heads);
  const scoreShifts = new Int8Array(heads);
  for (let head = 0; head < heads; head++) {
    const requant = shape.anyShift ? anyRequant(isGentle) : usefulRequant(headWidth, kernel);
    scoreMultipliers[head] = requant.multiplier;
    scoreShifts[head] = requant.shift;
  }
  const expTables = randomExpTables(heads);
  const mix = shape.anyShift ? anyRequant() : { multiplier: 1_500_000_000, shift: pick([0, 1]) };
  const zeroPoint = pick([-128, -1, 0, 5, 127]);

  const largest = isGentle ? 2 : 127;
  const q = placeMatrix(arena, rows, width, width + gap, shape.data, largest);
  const k = placeMatrix(arena, tokens, width, width + gap, shape.data, largest);
  const v = placeMatrix(arena, tokens, outputs, outputs + gap, shape.data);
  const y = inPlace ? q : reserveMatrix(arena, 'int8', rows, outputs, outputs + gap);
  const scratch = reserveScratch(arena, kernel, { inputs: width, outputs, columns: width, tokens });
  const args = [
    ...[heads, headWidth, valueWidth, causal ? 1 : 0],
    ...[place(arena, scoreMultipliers), place(arena, scoreShifts), place(arena, expTables)],
    ...[mix.multiplier, mix.shift, zeroPoint, rows, rowStart, tokens],
    ...[q, width + gap, k, width + gap, v, outputs + gap, scratch.offset, y, outputs + gap],
  ];
  return finish(kernel, JSON.stringify(shape), arena, args, scratch, (before, after) =>
    ops.attention.evalInteger(
      [
        matrixAt(before, 'int8', q, rows, width, width + gap),
        matrixAt(before, 'int8', k, tokens, width, width + gap),
        matrixAt(before, 'int8', v, tokens, outputs, outputs + gap),
      ],
      { heads, scale: 1, causal },
      { scoreMultipliers, scoreShifts, expTables, mix, zeroPoint },
      matrixAt(after, 'int8', y, rows, outputs, outputs + gap),
      { tokens, rowStart },
    ),
  );
}

/** How an operand that may come block by block does: rows of even and of odd blocks. */
type BlockRows = readonly [even: number, odd: number];

export interface AttendInputsShape {
  readonly heads: number;
  readonly width: number;
  readonly tokens: number;
  readonly rows: number;
  readonly blockRows: BlockRows;
  readonly inPlace: boolean;
  readonly data: Fill;
  readonly gap: number;
  readonly anyShift: boolean;
}

function randomAttendInputs(): AttendInputsShape {
  const tokens = pick([1, 2, 3, 15, 16, 17, 33, 64]);
  return {
    heads: randomInt(1, 3),
    width: pick([...widths, 192, 256]),
    tokens,
    // Around the rows that a kernel takes at once.
    rows: pick([1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33]),
    blockRows: pick([
      [tokens, tokens],
      [16, 16],
      [16, 32],
    ] as const),
    inPlace: pick([false, true]),
    data: randomFill(),
    gap: pick([0, 1, 9]),
    anyShift: pick([false, false, true]),
  };
}

export function attendInputsCase(kernel: Kernel, shape: AttendInputsShape): Case {
  const { heads, width, tokens, rows, blockRows, inPlace, data, gap, anyShift } = shape;
  const arena = createArena(ARENA_BYTES);
  const xStride = width + gap;
  const stride = heads * width + gap;
  const scoreMultipliers = new Int32Array(heads);
  const scoreShifts = new Int8Array(heads);
  for (let head = 0; head < heads; head++) {
    const useful = { multiplier: 1_500_000_000, shift: -14 - Math.round(Math.log2(width) / 2) };
    const requant = anyShift ? anyRequant() : useful;
    scoreMultipliers[head] = requant.multiplier;
    scoreShifts[head] = requant.shift;
  }
  const expTables = randomExpTables(heads);
  const rescaleTables = fill(new Int16Array(heads * 256), 0, 32767, 'random');
  const mix = anyShift ? anyRequant() : { multiplier: 1_500_000_000, shift: pick([6, 7]) };
  const integer = {
    ...{ scoreMultipliers, scoreShifts, expTables, rescaleTables, mix },
    inputZeroPoint: pick([-128, -1, 0, 5, 127]),
  };

  const source = new Int16Array((rows - 1) * stride + heads * width);
  const u = place(arena, fill(source, -32768, 32767, data));
  const x = placeMatrix(arena, tokens, width, xStride, data);
  const y = inPlace ? u : reserveMatrix(arena, kernel.output, rows, heads * width, stride);
  const carryColumns = heads * (width + 2);
  const carry = reserveMatrix(arena, 'int32', rows, carryColumns, carryColumns);
  const inputs = heads * width;
  const scratch = reserveScratch(arena, kernel, {
    inputs,
    outputs: inputs,
    columns: width,
    tokens,
  });
  const args = [
    ...[heads, width, place(arena, scoreMultipliers), place(arena, scoreShifts)],
    ...[place(arena, expTables), place(arena, rescaleTables)],
    ...[integer.inputZeroPoint, mix.multiplier, mix.shift],
    ...[u, stride, rows, x, xStride, tokens, carry, ...blockRows, scratch.offset, y, stride],
  ];
  return finish(kernel, JSON.stringify(shape), arena, args, scratch, (before, after) =>
    forBlocks(tokens, blockRows, (firstRow, blockTokens) =>
      ops.attendInputs.streaming?.evalBlock(
        [
          matrixAt(before, 'int16', u, rows, heads * width, stride),
          matrixAt(before, 'int8', x + firstRow * xStride, blockTokens, width, xStride),
        ],
        { heads, scale: 1 },
        integer,
        matrixAt(after, 'int32', carry, rows, carryColumns),
        matrixAt(after, kernel.output, y, rows, heads * width, stride),
        { firstRow, tokens },
      ),
    ),
  );
}

/** Calls `evaluate` with the first row and the rows of every block. */
function forBlocks(
  tokens: number,
  blockRows: BlockRows,
  evaluate: (firstRow: number, rows: number) => void,
): void {
  let rows: number;
  for (let first = 0, index = 0; first < tokens; first += rows, index++) {
    rows = Math.min(blockRows[index % 2]!, tokens - first);
    evaluate(first, rows);
  }
}

function addLayerNormCase(kernel: Kernel): Case {
  const inPlace = kernel.output === 'int8' ? pick(['no', 'a', 'b'] as const) : 'no';
  return addLayerNormCaseOf(kernel, {
    ...{ width: pick(normWidths), rows: randomInt(1, 5), data: randomFill(), inPlace },
    range: randomRange(kernel),
  });
}

export interface NormalizedAttentionShape {
  readonly heads: number;
  readonly headWidth: number;
  readonly valueWidth: number;
  readonly tokens: number;
  readonly rows: number;
  readonly data: Fill;
  readonly gap: number;
  /** What a step of the scores is worth. */
  readonly scoreScale: number;
}

/** Around the blocks of 16 rows, keys and columns, and to the most tokens. */
function randomNormalizedAttention(): NormalizedAttentionShape {
  const tokens = pick([1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 50, 64, 65, 128, 510, 511]);
  const widths = [1, 2, 3, 4, 5, 8, 12, 15, 16, 17, 32, 33, 36, 64];
  return {
    heads: pick([1, 1, 2, 3]),
    headWidth: pick(widths),
    valueWidth: pick(widths),
    tokens,
    rows: Math.min(pick([1, 2, 5, 15, 16, 17, 33]), tokens),
    data: randomFill(),
    gap: pick([0, 0, 1, 7, 16]),
    scoreScale: pick([1e-9, 0.001, 0.02, 0.05, 0.3, 10, 1000]),
  };
}

export function normalizedAttentionCase(kernel: Kernel, shape: NormalizedAttentionShape): Case {
  const { heads, headWidth, valueWidth, tokens, rows, gap } = shape;
  const arena = createArena(ARENA_BYTES);
  const width = heads * headWidth;
  const outputs = heads * valueWidth;
  const scores = Array.from({ length: heads }, () => usefulRequant(headWidth, kernel));
  const softmaxes = scores.map((_, head) => softmaxScale(shape.scoreScale / (head + 1)));
  const integer = {
    scoreMultipliers: Int32Array.from(scores, ({ multiplier }) => multiplier),
    scoreShifts: Int8Array.from(scores, ({ shift }) => shift),
    softmaxMultipliers: Int32Array.from(softmaxes, ({ multiplier }) => multiplier),
    softmaxShifts: Int8Array.from(softmaxes, ({ shift }) => shift),
    smallestDifferences: Int32Array.from(softmaxes, (one) => one.smallestDifference),
    mix: { multiplier: 1_500_000_000, shift: pick([-31, -9, -8, -7, -6]) },
    zeroPoint: pick([-128, -1, 0, 5, 127]),
  };
  const q = placeMatrix(arena, rows, width, width + gap, shape.data);
  const k = placeMatrix(arena, tokens, width, width + gap, shape.data);
  const v = placeMatrix(arena, tokens, outputs, outputs + gap, shape.data);
  const y = reserveMatrix(arena, 'int8', rows, outputs, outputs + gap);
  const scratch = reserveScratch(arena, kernel, { inputs: width, outputs, columns: width, tokens });
  const args = [
    ...[heads, headWidth, valueWidth],
    ...[place(arena, integer.scoreMultipliers), place(arena, integer.scoreShifts)],
    ...[place(arena, integer.softmaxMultipliers), place(arena, integer.softmaxShifts)],
    ...[place(arena, integer.smallestDifferences), integer.mix.multiplier, integer.mix.shift],
    ...[integer.zeroPoint, rows, 0, tokens],
    ...[q, width + gap, k, width + gap, v, outputs + gap, scratch.offset, y, outputs + gap],
  ];
  return finish(kernel, JSON.stringify(shape), arena, args, scratch, (before, after) =>
    ops.normalizedAttention.evalInteger(
      [
        matrixAt(before, 'int8', q, rows, width, width + gap),
        matrixAt(before, 'int8', k, tokens, width, width + gap),
        matrixAt(before, 'int8', v, tokens, outputs, outputs + gap),
      ],
      { heads, scale: 1 },
      integer,
      matrixAt(after, 'int8', y, rows, outputs, outputs + gap),
      { tokens, rowStart: 0 },
    ),
  );
}

export interface PlainAddShape {
  readonly width: number;
  readonly rows: number;
  readonly data: Fill;
  readonly gap: number;
}

function randomAdd(): PlainAddShape {
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
  const { integer } = ops.add.quantize!({
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

function randomLayerNorm(kernel: Kernel): LayerNormShape {
  const inPlace = kernel.output === 'int8' && pick([false, true]);
  return { ...randomAdd(), inPlace, range: randomRange(kernel) };
}

export function layerNormCaseOf(kernel: Kernel, shape: LayerNormShape): Case {
  const { width, rows, data, gap, inPlace, range } = shape;
  const arena = createArena(ARENA_BYTES);
  const norm = randomNorm(width, range);
  const stride = width + gap;
  const x = placeMatrix(arena, rows, width, stride, data);
  const y = inPlace ? x : reserveMatrix(arena, kernel.output, rows, width, stride);
  const scratch = reserveRowScratch(arena, kernel, width);
  const args = [...placeNorm(arena, norm), x, stride, rows, y, stride, scratch.offset];
  const title = JSON.stringify({ ...shape, ...norm.integer });
  return finish(kernel, title, arena, args, scratch, (before, after) =>
    ops.layerNorm.evalInteger(
      [matrixAt(before, 'int8', x, rows, width, stride), rowOf(norm.gamma), rowOf(norm.beta)],
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

export interface LookupShape {
  readonly width: number;
  readonly rows: number;
  readonly index: TableAttrs['index'];
  readonly gap: number;
  /** Of the table and the rows made; 1 or more. */
  readonly alignment: number;
}

function randomLookup(): LookupShape {
  return {
    width: pick([...widths, 160]),
    rows: randomInt(1, 5),
    index: pick(['token', 'position']),
    gap: pick([0, 1, 4, 9]),
    alignment: pick([1, 4]),
  };
}

/** As a model has it: rows of words. */
export function lookupShape(width: number, rows: number): LookupShape {
  return { width, rows, index: 'token', gap: 0, alignment: 4 };
}

export function lookupRowsCase(kernel: Kernel, shape: LookupShape): Case {
  const { width, rows, index, gap, alignment } = shape;
  const arena = createArena(ARENA_BYTES);
  const rowStart = randomInt(0, 6);
  const vocabulary = index === 'token' ? pick([1, 2, 300]) : rowStart + rows;
  const table = fill(new Int8Array(vocabulary * width), -128, 127, randomFill());
  const ids = fill(new Uint16Array(rows), 0, vocabulary - 1, 'random');
  const stride = width + gap;
  const y = reserve(arena, (rows - 1) * stride + width, alignment);
  const args = [
    ...[width, place(arena, table, alignment)],
    ...[index === 'token' ? place(arena, ids) : NULL, rows, rowStart, y, stride],
  ];
  return finish(kernel, JSON.stringify(shape), arena, args, noScratch, (_before, after) =>
    ops.lookupRows.evalInteger(
      [
        { ...rowOf(ids), rows, columns: 1, stride: 1 },
        { ...rowOf(table), rows: vocabulary, columns: width, stride: width },
      ],
      { index },
      {},
      matrixAt(after, kernel.output, y, rows, width, stride),
      { tokens: rowStart + rows, rowStart },
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

const noScratch: Region = { offset: 0, size: 0 };

function finish(
  kernel: Kernel,
  title: string,
  arena: Arena,
  args: readonly number[],
  scratch: Region,
  evaluate: (before: Uint8Array<ArrayBuffer>, after: Uint8Array<ArrayBuffer>) => void,
): Case {
  const before = arena.bytes.slice(0, Math.ceil(arena.used / 4) * 4);
  const after = before.slice();
  evaluate(before, after);
  return { title, kernel, args, regions: arena.regions, before, after, scratch };
}

function reserveScratch(arena: Arena, kernel: Kernel, shape: ScratchShape): Region {
  const size = scratchBytes(kernel, shape);
  return { offset: reserve(arena, size, 4), size };
}

/** Of a normalization: kernels that have none make the sums of a row twice. */
function reserveRowScratch(arena: Arena, kernel: Kernel, width: number): Region {
  return reserveScratch(arena, kernel, { inputs: width, outputs: width, columns: 0, tokens: 0 });
}

function placeMatrix(
  arena: Arena,
  rows: number,
  columns: number,
  stride: number,
  how: Fill,
  largest = 127,
) {
  const data = new Int8Array((rows - 1) * stride + columns);
  return place(arena, fill(data, -largest - 1, largest, how));
}

function rowOf(data: TypedArray) {
  return { data, offset: 0, rows: 1, columns: data.length, stride: data.length };
}

/** A temperature for each head, from uniform weights to only one. */
function randomExpTables(heads: number) {
  const tables = new Uint8Array(heads * 256);
  for (let head = 0; head < heads; head++) {
    const temperature = pick([0, 0.001, 0.02, 0.05, 0.3, 10]);
    for (let i = 0; i < 256; i++) {
      tables[head * 256 + i] = Math.round(127 * Math.exp(-i * temperature));
    }
  }
  return tables;
}

function randomFill(): Fill {
  return pick(['random', 'random', 'random', 'min', 'max', 'extremes', 'constant']);
}

function randomRange({ output }: Kernel): Range {
  return pick([dtypes[output], dtypes.int8, { min: -100, max: 99 }]);
}

/** `isGentle`: factors below 2, for sums so small that shifts by 0 and 1 do not saturate. */
function anyRequant(isGentle = false): Requant {
  const shift = pick([-31, -30, -1, 0, 1, 30, randomInt(-31, 30)]);
  return {
    multiplier: pick([0, 2 ** 30, 2 ** 31 - 1, randomInt(2 ** 30, 2 ** 31 - 1)]),
    shift: isGentle ? Math.min(shift, 0) : shift,
  };
}

/** Sums of `terms` random products fall into the output's range, mostly. */
function usefulRequant(terms: number, { input, output }: Kernel): Requant {
  const bits = (dtypes[output].bytes - dtypes[input].bytes) * 8;
  const shift = bits - 6 - Math.round(Math.log2(terms) / 2);
  return { multiplier: randomInt(2 ** 30, 2 ** 31 - 1), shift: shift + randomInt(-1, 1) };
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
