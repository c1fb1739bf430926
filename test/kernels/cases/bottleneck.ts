/** Calls of the kernels that models with bottlenecks have: trigrams, sums that are not normalized. */
import { ops } from '../../../toolchain/ops/index.ts';
import type { Kernel } from '../../../toolchain/schedule/kernels.ts';
import { createArena, matrixAt, place, reserveMatrix } from '../arena.ts';
import { fill, pick, randomInt } from '../random.ts';
import {
  ARENA_BYTES,
  type Case,
  finish,
  noScratch,
  placeMatrix,
  type Range,
  randomFill,
  randomRange,
  rowOf,
  widths,
} from './common.ts';

export interface TrigramShape {
  /** Of x. */
  readonly width: number;
  readonly tokens: number;
  readonly rows: number;
  readonly rowStart: number;
}

export function randomTrigramsCase(kernel: Kernel): Case {
  const tokens = randomInt(1, 9);
  const rowStart = randomInt(0, tokens - 1);
  const rows = randomInt(1, tokens - rowStart);
  return trigramsCase(kernel, { width: pick(widths), tokens, rows, rowStart });
}

export function trigramsCase(kernel: Kernel, shape: TrigramShape): Case {
  const { width, tokens, rows, rowStart } = shape;
  const arena = createArena(ARENA_BYTES);
  const [xStride, yStride] = [width + pick([0, 0, 1, 9]), 3 * width + pick([0, 0, 1, 9])];
  const x = placeMatrix(arena, tokens, width, xStride, randomFill());
  const y = reserveMatrix(arena, 'int8', rows, 3 * width, yStride);
  const args = [width, x, xStride, rows, rowStart, tokens, y, yStride];
  const title = JSON.stringify({ ...shape, xStride, yStride });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    ops.trigrams.evalInteger(
      [matrixAt(before, 'int8', x, tokens, width, xStride)],
      {},
      {},
      matrixAt(after, 'int8', y, rows, 3 * width, yStride),
      { tokens, rowStart },
    ),
  );
}

const largestFactor = 2 ** 21;
const factor = (least: number): number =>
  pick([0, 1, least, largestFactor, randomInt(least, largestFactor), randomInt(0, 5000)]);

/** Such as the sum of the products is seldom outside the output's range, or the largest that there is. */
const unit = () => pick([{ shift: 12 }, { shift: 1 }, { shift: 21 }, { shift: randomInt(1, 21) }]);
const offset = () => pick([0, 2 ** 30, -(2 ** 30), randomInt(-(2 ** 30), 2 ** 30), 2 ** 11]);

export interface RowsShape {
  readonly width: number;
  readonly rows: number;
}

export function embedCase(kernel: Kernel, { width, rows }: RowsShape): Case {
  const arena = createArena(ARENA_BYTES);
  const data = randomFill();
  const integer = {
    multiplierWord: factor(0),
    multiplierPosition: factor(0),
    multiplierSegment: factor(0),
    offset: offset(),
    ...unit(),
  };
  const [rowStart, segmentStart, segments] = [randomInt(0, 6), randomInt(0, 12), randomInt(1, 3)];
  const segment = fill(new Int8Array(segments * width), -128, 127, data);
  const [stride, positionStride] = [width + pick([0, 1, 9]), width + pick([0, 3])];
  const word = placeMatrix(arena, rows, width, stride, data);
  const position = placeMatrix(arena, rows, width, positionStride, pick([data, 'random']));
  const y = pick([() => word, () => reserveMatrix(arena, 'int8', rows, width, stride)])();
  const args = [
    ...[width, place(arena, segment), segments, ...Object.values(integer)],
    ...[word, stride, position, positionStride, rows, rowStart, segmentStart, y, stride],
  ];
  const title = JSON.stringify({ width, rows, stride, data, rowStart, segmentStart, ...integer });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    ops.embed.evalInteger(
      [
        matrixAt(before, 'int8', word, rows, width, stride),
        matrixAt(before, 'int8', position, rows, width, positionStride),
        rowOf(Int32Array.of(segmentStart)),
        { ...rowOf(segment), rows: segments, columns: width, stride: width },
      ],
      {},
      integer,
      matrixAt(after, 'int8', y, rows, width, stride),
      { tokens: rowStart + rows, rowStart },
    ),
  );
}

export function randomScaledAddCase(kernel: Kernel): Case {
  const shape = { width: pick(widths), rows: randomInt(1, 5) };
  return scaledAddCase(kernel, { ...shape, range: randomRange(kernel) });
}

export function scaledAddCase(
  kernel: Kernel,
  { width, rows, range }: RowsShape & { readonly range: Range },
): Case {
  const arena = createArena(ARENA_BYTES);
  const stride = width + pick([0, 0, 1, 9]);
  const data = randomFill();
  const integer = {
    multiplier: factor(0),
    zeroPointB: pick([-128, 0, 3, 127]),
    offset: offset(),
    ...unit(),
    ...range,
  };
  const gamma = Int32Array.from({ length: width }, () => factor(-largestFactor));
  const a = placeMatrix(arena, rows, width, stride, data);
  const b = placeMatrix(arena, rows, width, stride, pick([data, 'random']));
  const fresh = () => reserveMatrix(arena, kernel.output, rows, width, stride);
  const y = pick(kernel.output === 'int8' ? [() => a, () => b, fresh] : [fresh])();
  const { multiplier, zeroPointB, offset: own, shift, min, max } = integer;
  const args = [
    ...[width, multiplier, place(arena, gamma), zeroPointB, own, shift, min, max],
    ...[a, stride, b, stride, rows, y, stride],
  ];
  const title = JSON.stringify({ width, rows, stride, data, ...integer });
  return finish(kernel, title, arena, args, noScratch, (before, after) =>
    ops.scaledAdd.evalInteger(
      [
        matrixAt(before, 'int8', a, rows, width, stride),
        matrixAt(before, 'int8', b, rows, width, stride),
        rowOf(gamma),
      ],
      {},
      integer,
      matrixAt(after, kernel.output, y, rows, width, stride),
      { tokens: rows, rowStart: 0 },
    ),
  );
}
