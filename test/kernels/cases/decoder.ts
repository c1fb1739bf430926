/** Calls of the kernels that only decoders have. */
import { allocate } from '../../../toolchain/ir/dtypes.ts';
import { denseMatrix, type Matrix } from '../../../toolchain/ir/graph.ts';
import { ops } from '../../../toolchain/ops/index.ts';
import type { Kernel } from '../../../toolchain/schedule/kernels.ts';
import { createArena, matrixAt, place, reserveMatrix } from '../arena.ts';
import { type Fill, fill, pick, randomInt } from '../random.ts';
import { randomExpTables } from './attention.ts';
import {
  ARENA_BYTES,
  anyRequant,
  type Case,
  finish,
  normWidths,
  noScratch,
  placeMatrix,
  placeWide,
  randomFill,
  reserveRowScratch,
  reserveScratch,
  rowOf,
  widths,
} from './common.ts';

export interface CausalShape {
  readonly keyValueHeads: number;
  readonly sharing: number;
  readonly headWidth: number;
  readonly valueWidth: number;
  readonly rowStart: number;
  readonly rows: number;
  readonly data: Fill;
  readonly gap: number;
}

export function randomCausal(): CausalShape {
  const isUsual = pick([false, true]);
  const headWidth = pick(isUsual ? [4, 8, 16, 32, 64] : [1, 2, 3, 5, 6, 7, 9, 12, 15, 17, 33]);
  return {
    keyValueHeads: randomInt(1, 4),
    sharing: pick([1, 1, 2, 3, 4]),
    headWidth,
    valueWidth: isUsual ? headWidth : pick([1, 2, 3, 4, 8, 15, 16, 17]),
    rowStart: pick([0, 0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 100, 127, 300]),
    rows: pick([1, 1, 2, 5]),
    data: randomFill(),
    gap: pick(isUsual ? [0, 0, 16] : [0, 1, 7]),
  };
}

export function causalAttentionCase(kernel: Kernel, shape: CausalShape): Case {
  const { keyValueHeads, sharing, headWidth, valueWidth, rowStart, rows, data, gap } = shape;
  const arena = createArena(ARENA_BYTES);
  const heads = keyValueHeads * sharing;
  const keys = rowStart + rows;
  const [inputs, outputs] = [heads * headWidth, heads * valueWidth];
  const [keyColumns, valueColumns] = [keyValueHeads * headWidth, keyValueHeads * valueWidth];
  const scoreMultipliers = Int32Array.from({ length: heads }, () =>
    pick([0, 2 ** 31 - 1, randomInt(2 ** 16, 2 ** 24), randomInt(2 ** 20, 2 ** 22)]),
  );
  const expTables = randomExpTables(heads);
  const mix = pick([anyRequant(), { multiplier: 1_500_000_000, shift: pick([0, 1]) }]);
  const zeroPoint = pick([-128, -1, 0, 5, 127]);
  const q = placeMatrix(arena, rows, inputs, inputs + gap, data);
  const k = placeMatrix(arena, keys, keyColumns, keyColumns + gap, pick([data, 'random']));
  const vStride = Math.ceil(keys / 16) * 16 + (gap > 0 ? 16 : 0);
  const v = placeMatrix(arena, valueColumns, vStride, vStride, data);
  const y = reserveMatrix(arena, 'int8', rows, outputs, outputs + gap);
  const scratchShape = { inputs, outputs, columns: keyColumns, tokens: keys };
  const scratch = reserveScratch(arena, kernel, scratchShape);
  const args = [
    ...[heads, keyValueHeads, headWidth, valueWidth],
    ...[place(arena, scoreMultipliers), place(arena, expTables), mix.multiplier, mix.shift],
    ...[zeroPoint, rows, rowStart, q, inputs + gap, k, keyColumns + gap, v, vStride],
    ...[scratch.offset, y, outputs + gap],
  ];
  return finish(kernel, JSON.stringify(shape), arena, args, scratch, (before, after) =>
    ops.causalAttention.evalInteger(
      [
        matrixAt(before, 'int8', q, rows, inputs, inputs + gap),
        matrixAt(before, 'int8', k, keys, keyColumns, keyColumns + gap),
        turned(matrixAt(before, 'int8', v, valueColumns, keys, vStride)),
      ],
      { heads, keyValueHeads, scale: 1 },
      { scoreMultipliers, expTables, mix, zeroPoint },
      matrixAt(after, 'int8', y, rows, outputs, outputs + gap),
      { tokens: keys, rowStart },
    ),
  );
}

export interface HeavyShape {
  readonly keyValueHeads: number;
  readonly sharing: number;
  readonly headWidth: number;
  readonly valueWidth: number;
  readonly rows: number;
  readonly pinned: number;
  readonly steps: number;
  readonly token: number;
  readonly data: Fill;
  readonly gap: number;
}

export function randomHeavy(): HeavyShape {
  const rows = pick([2, 3, 5, 16, 33]);
  return {
    keyValueHeads: randomInt(1, 3),
    sharing: pick([1, 1, 2, 3]),
    headWidth: pick([1, 3, 8, 16]),
    valueWidth: pick([1, 4, 7, 16]),
    rows,
    pinned: randomInt(1, rows - 1),
    steps: pick([0, 0, 1, 3, 8]),
    token: pick([0, rows - 2, rows - 1, rows, 3 * rows + 1, randomInt(0, 100)]),
    data: randomFill(),
    gap: pick([0, 5]),
  };
}

/** One token: what it gives, and what it leaves in the cache and in the scores. */
export function heavyAttentionCase(kernel: Kernel, shape: HeavyShape): Case {
  const { keyValueHeads, sharing, headWidth, valueWidth, rows, pinned, steps, token } = shape;
  const arena = createArena(ARENA_BYTES);
  const heads = keyValueHeads * sharing;
  const [inputs, outputs] = [heads * headWidth, heads * valueWidth];
  const [keyColumns, valueColumns] = [keyValueHeads * headWidth, keyValueHeads * valueWidth];
  const scoreMultipliers = Int32Array.from({ length: heads }, () => randomInt(2 ** 20, 2 ** 24));
  const expTables = randomExpTables(heads);
  const mix = pick([anyRequant(), { multiplier: 1_500_000_000, shift: pick([0, 1]) }]);
  const zeroPoint = pick([-128, 0, 5]);
  const attrs = { heads, keyValueHeads, scale: 1, rows, pinned, steps };
  const q = placeMatrix(arena, 1, inputs, inputs, shape.data);
  const keyStride = keyColumns + shape.gap;
  const k = placeMatrix(arena, rows, keyColumns, keyStride, 'random');
  const vStride = rows + shape.gap;
  const v = placeMatrix(arena, valueColumns, vStride, vStride, shape.data);
  const columns = ops.heavyAttention.scores!.columns(attrs);
  const counts = keyValueHeads * rows;
  const largest = pick([3, 10_000, 2 ** 31 - 1]);
  const scores = new Int32Array(columns).map((_, index) =>
    index < counts ? randomInt(Math.floor(largest / 2), largest) : 0x00010002,
  );
  const scoresAt = place(arena, scores);
  const y = reserveMatrix(arena, 'int8', 1, outputs, outputs);
  const held = Math.min(token + 1, rows);
  const scratchShape = { inputs, outputs, columns: keyColumns, tokens: rows };
  const scratch = reserveScratch(arena, kernel, scratchShape);
  const args = [
    ...[heads, keyValueHeads, headWidth, valueWidth],
    ...[place(arena, scoreMultipliers), place(arena, expTables), mix.multiplier, mix.shift],
    ...[zeroPoint, rows, pinned, steps, token, q, k, keyStride, v, vStride, scoresAt],
    ...[scratch.offset, y],
  ];
  return finish(kernel, JSON.stringify(shape), arena, args, scratch, (before, after) => {
    const stored = matrixAt(after, 'int8', v, valueColumns, held, vStride);
    const values = turned(stored);
    ops.heavyAttention.scores!.evalRow(
      [
        matrixAt(before, 'int8', q, 1, inputs, inputs),
        matrixAt(after, 'int8', k, held, keyColumns, keyStride),
        values,
      ],
      attrs,
      { scoreMultipliers, expTables, mix, zeroPoint },
      denseMatrix(new Int32Array(after.buffer, after.byteOffset + scoresAt, columns), 1, columns),
      matrixAt(after, 'int8', y, 1, outputs, outputs),
      token,
    );
    const back = turned(values);
    for (let row = 0; row < valueColumns; row++) {
      for (let column = 0; column < held; column++) {
        stored.data[stored.offset + row * vStride + column] = back.data[row * held + column]!;
      }
    }
  });
}

function turned(matrix: Matrix): Matrix {
  const { rows, columns, stride } = matrix;
  const data = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      data[column * rows + row] = matrix.data[matrix.offset + row * stride + column]!;
    }
  }
  return denseMatrix(data, columns, rows);
}

export function rotaryCase(
  kernel: Kernel,
  { heads, headWidth, rows }: Record<'heads' | 'headWidth' | 'rows', number>,
): Case {
  const arena = createArena(ARENA_BYTES);
  const width = heads * headWidth;
  const [xStride, yStride] = [width + pick([0, 1, 8]), width + pick([0, 3, 8])];
  const rowStart = pick([0, 1, 5]);
  const integer = {
    multiplier: pick([0, 2 ** 30, 2 ** 31 - 1, randomInt(2 ** 30, 2 ** 31 - 1)]),
    shift: pick([0, 1, 14, 20, 21, 22, 23, 30]),
  };
  const data = randomFill();
  // Points of the circle, which no sum leaves int32 for.
  const table = Int16Array.from({ length: (rowStart + rows) * headWidth });
  for (let index = 0; index < table.length; index += 2) {
    const angle = (randomInt(0, 8) / 8) * Math.PI;
    table[index] = Math.round(16384 * Math.cos(angle));
    table[index + 1] = Math.round(16384 * Math.sin(angle));
  }
  const x = placeWide(arena, rows, width, xStride, data);
  const y = reserveMatrix(arena, 'int8', rows, width, yStride);
  const args = [
    ...[heads, headWidth, integer.multiplier, integer.shift, place(arena, table)],
    ...[x, xStride, rows, rowStart, y, yStride],
  ];
  const title = JSON.stringify({ heads, headWidth, rows, rowStart, data, ...integer });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    ops.rotary.evalInteger(
      [
        matrixAt(before, 'int16', x, rows, width, xStride),
        {
          ...{ data: table, offset: rowStart * headWidth, rows },
          ...{ columns: headWidth, stride: headWidth },
        },
      ],
      {},
      integer,
      matrixAt(after, 'int8', y, rows, width, yStride),
      { tokens: rowStart + rows, rowStart },
    ),
  );
}

export function randomRotaryCase(kernel: Kernel): Case {
  const headWidth = 2 * pick([1, 2, 3, 4, 5, 8, 16, 17]);
  return rotaryCase(kernel, { heads: randomInt(1, 5), headWidth, rows: randomInt(1, 4) });
}

export function gatedProductCase(
  kernel: Kernel,
  { width, rows }: Record<'width' | 'rows', number>,
): Case {
  const arena = createArena(ARENA_BYTES);
  const stride = width + pick([0, 0, 1, 9]);
  const data = randomFill();
  const integer = {
    table: fill(new Int16Array(256), -32768, 32767, randomFill()),
    zeroPointUp: pick([-128, 0, 3, 127]),
    multiplier: pick([0, 2 ** 31 - 1, randomInt(2 ** 14, 2 ** 18)]),
    zeroPoint: pick([-128, 0, -7, 127]),
  };
  const gate = placeMatrix(arena, rows, width, stride, data);
  const up = placeMatrix(arena, rows, width, stride, pick([data, 'random']));
  const y = pick([() => gate, () => up, () => reserveMatrix(arena, 'int8', rows, width, stride)])();
  const args = [
    ...[width, place(arena, integer.table), integer.zeroPointUp, integer.multiplier],
    ...[integer.zeroPoint, gate, stride, up, stride, rows, y, stride],
  ];
  const title = JSON.stringify({ width, rows, stride, data, ...integer, table: null });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    ops.gatedProduct.evalInteger(
      [
        matrixAt(before, 'int8', gate, rows, width, stride),
        matrixAt(before, 'int8', up, rows, width, stride),
      ],
      { kind: 'silu' },
      integer,
      matrixAt(after, 'int8', y, rows, width, stride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}

export function residualAddCase(
  kernel: Kernel,
  { width, rows }: Record<'width' | 'rows', number>,
): Case {
  const arena = createArena(ARENA_BYTES);
  const stride = width + pick([0, 0, 1, 9]);
  const data = randomFill();
  const shift = pick([1, 5, 13, 14]);
  const multiplier = () => pick([0, 1, 2 ** 30, randomInt(0, 2 ** 30), 2 ** (16 + shift)]);
  const integer = { multiplierA: multiplier(), multiplierB: multiplier(), shift };
  const a = placeWide(arena, rows, width, stride, data);
  const b = placeWide(arena, rows, width, stride, pick([data, 'random']));
  const y = pick([() => a, () => b, () => reserveMatrix(arena, 'int16', rows, width, stride)])();
  const args = [
    ...[width, integer.multiplierA, integer.multiplierB, shift],
    ...[a, stride, b, stride, rows, y, stride],
  ];
  const title = JSON.stringify({ width, rows, stride, data, ...integer });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    ops.residualAdd.evalInteger(
      [
        matrixAt(before, 'int16', a, rows, width, stride),
        matrixAt(before, 'int16', b, rows, width, stride),
      ],
      {},
      integer,
      matrixAt(after, 'int16', y, rows, width, stride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}

export function rmsNormCase(
  kernel: Kernel,
  { width, rows }: Record<'width' | 'rows', number>,
): Case {
  const arena = createArena(ARENA_BYTES);
  const [xStride, yStride] = [width + pick([0, 0, 1, 9]), width + pick([0, 0, 1, 9])];
  const data = randomFill();
  const outShift = pick([1, 12, 16, 20, 22]);
  const epsilon = pick([0, 1, 1_000_000, 2 ** 40 + 12_345, 2 ** 53]);
  const integer = {
    epsilon,
    fraction: 15 - Math.ceil(Math.log2(width) / 2),
    outShift,
    offset: pick([-128, 0, 127]) * 2 ** outShift + 2 ** (outShift - 1),
    ...pick([
      { min: -128, max: 127 },
      { min: -100, max: 99 },
    ]),
  };
  const gamma = fill(allocate('int16', width), -32768, 32767, randomFill());
  const x = placeWide(arena, rows, width, xStride, data);
  const y = reserveMatrix(arena, 'int8', rows, width, yStride);
  const scratch = reserveRowScratch(arena, kernel, width);
  const args = [
    ...[width, epsilon | 0, Math.floor(epsilon / 2 ** 32), integer.fraction, outShift],
    ...[integer.offset, integer.min, integer.max, place(arena, gamma)],
    ...[x, xStride, rows, y, yStride, scratch.offset],
  ];
  const title = JSON.stringify({ width, rows, data, ...integer });
  return finish(kernel, title, arena, args, scratch, (before, after) =>
    ops.rmsNorm.evalInteger(
      [matrixAt(before, 'int16', x, rows, width, xStride), rowOf(gamma)],
      { epsilon: 0 },
      integer,
      matrixAt(after, 'int8', y, rows, width, yStride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}

/** Sizes of those that go through rows one after the other. */
export function randomRows(isNorm = false): { readonly width: number; readonly rows: number } {
  return { width: pick(isNorm ? normWidths : widths), rows: randomInt(1, 4) };
}
