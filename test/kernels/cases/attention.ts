import { ops } from '../../../toolchain/ops/index.ts';
import { softmaxScale } from '../../../toolchain/ops/softmax.ts';
import type { Kernel } from '../../../toolchain/schedule/kernels.ts';
import { createArena, matrixAt, place, reserveMatrix } from '../arena.ts';
import { type Fill, fill, pick, randomInt } from '../random.ts';

import {
  ARENA_BYTES,
  anyRequant,
  type BlockRows,
  type Case,
  finish,
  forBlocks,
  placeMatrix,
  randomFill,
  reserveScratch,
  usefulRequant,
  widths,
} from './common.ts';

export interface AttentionShape {
  readonly heads: number;
  readonly headWidth: number;
  readonly valueWidth: number;
  readonly tokens: number;
  readonly rows: number;
  readonly rowStart: number;
  readonly causal: boolean;
  /** −1: rows see all keys. */
  readonly reach: number;
  readonly inPlace: boolean;
  readonly data: Fill;
  readonly gap: number;
  readonly anyShift: boolean;
}

export function randomAttention(): AttentionShape {
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
    rows: randomInt(1, Math.min(pick([9, 9, 9, 70]), tokens - rowStart)),
    rowStart,
    causal: pick(isUsual ? [false, false, false, true] : [false, true]),
    reach: pick([-1, -1, -1, 0, 1, 5, 16, 64, 600]),
    inPlace,
    data: randomFill(),
    gap: pick(isUsual ? [0, 0, 0, 16] : [0, 0, 1, 7, 16]),
    anyShift: pick([false, false, true]),
  };
}

export function attentionCase(kernel: Kernel, shape: AttentionShape): Case {
  const { heads, headWidth, valueWidth, tokens, rows, rowStart, causal, inPlace, gap } = shape;
  const { reach } = shape;
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
    ...[heads, headWidth, valueWidth, causal ? 1 : 0, reach],
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
      { heads, scale: 1, causal, ...(reach < 0 ? {} : { reach }) },
      { scoreMultipliers, scoreShifts, expTables, mix, zeroPoint },
      matrixAt(after, 'int8', y, rows, outputs, outputs + gap),
      { tokens, rowStart },
    ),
  );
}

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

export function randomAttendInputs(): AttendInputsShape {
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
export function randomNormalizedAttention(): NormalizedAttentionShape {
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

/** A temperature for each head, from uniform weights to only one. */
export function randomExpTables(heads: number) {
  const tables = new Uint8Array(heads * 256);
  for (let head = 0; head < heads; head++) {
    const temperature = pick([0, 0.001, 0.02, 0.05, 0.3, 10]);
    for (let i = 0; i < 256; i++) {
      tables[head * 256 + i] = Math.round(127 * Math.exp(-i * temperature));
    }
  }
  return tables;
}
