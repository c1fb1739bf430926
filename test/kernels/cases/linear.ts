/** Calls of linear kernels. */
import { linearBounds } from '../../../toolchain/emit/linear-bounds.ts';
import { allocate, dtypes } from '../../../toolchain/ir/dtypes.ts';
import { ops } from '../../../toolchain/ops/index.ts';
import { type Kernel, packWeights, weightType } from '../../../toolchain/schedule/kernels.ts';
import { createArena, matrixAt, NULL, place, placeWords, reserveMatrix } from '../arena.ts';
import { type Fill, fill, pick, randomInt } from '../random.ts';

import {
  ARENA_BYTES,
  anyRequant,
  type Case,
  finish,
  type Range,
  randomFill,
  randomRange,
  reserveScratch,
  usefulRequant,
  widths,
} from './common.ts';

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

export function randomLinear(kernel: Kernel): LinearShape {
  const isLong = kernel.input === 'int8' && pick([false, false, false, true]);
  // Rows as int16 fill the arena: enough beyond all that is taken at once.
  const long = kernel.weights === 'quads' ? longWidths.filter((one) => one < 1100) : longWidths;
  const inputs = pick(isLong ? long : widths);
  const outputs = isLong ? randomInt(1, 9) : pick(widths);
  // WebAssembly takes many rows of many inputs another way, and more of them in chunks.
  const isTall = kernel.weights === 'quads' && pick([false, false, true]);
  const own = isTall ? { inputs: 16 * randomInt(4, 9), outputs: randomInt(8, 50) } : {};
  const size = { inputs, outputs, ...own };
  return {
    ...size,
    rows: isTall ? randomInt(30, 70) : randomInt(1, 9),
    data: randomFill(),
    xStride: size.inputs + pick([0, 0, 1, 3, 16]),
    yStride: size.outputs + pick([0, 0, 1, 5]),
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
  const most = isGentle ? 1 : offset === 0 ? dtypes[weightType(kernel)].max : 63;
  const least = !isGentle && offset !== 0 ? -64 : -most;
  const weights = fill(new Int8Array(inputs * outputs), least, most, shape.data);
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
  const bounds = linearBounds({ shifts }, weights, bias, inputs);
  const args = [
    ...[inputs, outputs, placeWords(arena, packWeights(kernel, stored, outputs, inputs))],
    ...[place(arena, bias), place(arena, multipliers), place(arena, shifts), zeroPoint, min, max],
    table === null ? NULL : place(arena, table),
    ...[x, xStride, rows, y, yStride, scratch.offset],
    ...[bounds.mostSum, bounds.leastShift, bounds.mostShift],
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
