/** Random calls of the kernels that make rows of tables. */
import { packGroups, packRows } from '../../../toolchain/emit/packed-rows.ts';
import { dtypes, type TypedArrayOf } from '../../../toolchain/ir/dtypes.ts';
import { denseMatrix, type Matrix } from '../../../toolchain/ir/graph.ts';
import { ops } from '../../../toolchain/ops/index.ts';
import type { TableAttrs } from '../../../toolchain/ops/table-rows.ts';
import { type Kernel, packWeights } from '../../../toolchain/schedule/kernels.ts';
import { type Arena, createArena, matrixAt, NULL, place, reserve } from '../arena.ts';
import { fill, pick, randomInt } from '../random.ts';
import { ARENA_BYTES, type Case, finish, noScratch, randomFill, widths } from './common.ts';

interface Tile {
  readonly attrs: TableAttrs;
  readonly ids: TypedArrayOf<'uint16'>;
  readonly rows: number;
  readonly rowStart: number;
  /** Of the table. */
  readonly tableRows: number;
}

function randomTile(tableRows = pick([1, 2, 64, 65, 300])): Tile {
  const index = pick(['token', 'token', 'position'] as const);
  const rows = randomInt(1, Math.min(5, tableRows));
  const ids = fill(new Uint16Array(rows), 0, tableRows - 1, 'random');
  return { attrs: { index }, ids, rows, rowStart: randomInt(0, tableRows - rows), tableRows };
}

function placeIds(arena: Arena, { attrs, ids }: Tile): number {
  return attrs.index === 'token' ? place(arena, ids) : NULL;
}

const idMatrix = ({ ids }: Tile): Matrix => denseMatrix(ids, ids.length, 1);

/** A table of `width` elements of 8 or 4 bits a row. */
function randomCodes(rows: number, width: number, bits: 4 | 8): Int8Array<ArrayBuffer> {
  const [min, max] = bits === 4 ? [-8, 7] : [-128, 127];
  return fill(new Int8Array(rows * width), min, max, randomFill());
}

const dtypeOf = (bits: 4 | 8) => (bits === 4 ? 'int4' : 'int8');

export interface LookupShape {
  readonly width: number;
  readonly bits: 4 | 8;
  readonly scaled: boolean;
  readonly gap: number;
  /** Of the table and the rows made. */
  readonly alignment: number;
}

/** Rows of words, as most models have them. */
export function wordLookup(width: number): LookupShape {
  return { width, bits: 8, scaled: false, gap: 0, alignment: 4 };
}

export function randomLookupCase(kernel: Kernel): Case {
  const shape: LookupShape = {
    ...{ width: pick([...widths, 160]), bits: pick([4, 8]) },
    scaled: kernel.output === 'int16' || pick([false, true]),
    ...{ gap: pick([0, 1, 4, 9]), alignment: pick([1, 4]) },
  };
  return lookupRowsCase(kernel, shape, randomTile());
}

export function lookupRowsCase(kernel: Kernel, shape: LookupShape, tile: Tile): Case {
  const { width, bits, scaled, gap, alignment } = shape;
  const { rows, rowStart, tableRows, attrs } = tile;
  const arena = createArena(ARENA_BYTES);
  const table = randomCodes(tableRows, width, bits);
  const multipliers = scaled ? fill(new Uint16Array(tableRows), 0, 65535, randomFill()) : null;
  const shift = scaled ? pick([1, 11, 16, 30]) : 0;
  const stride = width + gap;
  const { bytes } = dtypes[kernel.output];
  const y = reserve(arena, ((rows - 1) * stride + width) * bytes, Math.max(alignment, bytes));
  const packed = packRows(dtypeOf(bits), table, width);
  const args = [
    ...[width, bits, place(arena, packed, alignment)],
    ...[multipliers === null ? NULL : place(arena, multipliers), shift],
    ...[placeIds(arena, tile), rows, rowStart, y, stride],
  ];
  const title = JSON.stringify({ ...shape, rows, rowStart, tableRows, attrs });
  return finish(kernel, title, arena, args, noScratch, (_before, after) =>
    ops.lookupRows.evalInteger(
      [idMatrix(tile), denseMatrix(table, tableRows, width)],
      attrs,
      { multipliers, shift },
      matrixAt(after, kernel.output, y, rows, width, stride),
      { tokens: rowStart + rows, rowStart },
    ),
  );
}

export function randomWeightRowsCase(kernel: Kernel): Case {
  return weightRowsCase(kernel, pick([...widths, 160]), randomTile());
}

export function weightRowsCase(kernel: Kernel, width: number, tile: Tile): Case {
  const { rows, rowStart, tableRows, attrs } = tile;
  const arena = createArena(ARENA_BYTES);
  const weights = fill(new Int8Array(tableRows * width), -127, 127, randomFill());
  const multipliers = fill(new Uint16Array(tableRows), 0, 65535, randomFill());
  const shift = pick([1, 11, 16, 30]);
  const stride = width + pick([0, 1, 4, 9]);
  const y = reserve(arena, 2 * ((rows - 1) * stride + width), 2);
  const packed = packWeights(kernel, weights, tableRows, width) as Int8Array<ArrayBuffer>;
  const args = [
    ...[width, tableRows, place(arena, packed, 4), place(arena, multipliers), shift],
    ...[placeIds(arena, tile), rows, rowStart, y, stride],
  ];
  const title = JSON.stringify({ width, shift, rows, rowStart, tableRows, attrs });
  return finish(kernel, title, arena, args, noScratch, (_before, after) =>
    ops.weightRows.evalInteger(
      [idMatrix(tile), denseMatrix(weights, tableRows, width)],
      attrs,
      { multipliers, shift },
      matrixAt(after, 'int16', y, rows, width, stride),
      { tokens: rowStart + rows, rowStart },
    ),
  );
}

/** `rows` lookups by token, in a table of as many words as a small vocabulary. */
export function tokenTile(rows: number): Tile {
  const ids = fill(new Uint16Array(rows), 0, 299, 'random');
  return { attrs: { index: 'token' }, ids, rows, rowStart: 0, tableRows: 300 };
}

/** A group of each row, and the rows of each group, at least one. */
function randomGroups(arena: Arena, tableRows: number, count: number) {
  const groupOf = fill(new Uint8Array(tableRows), 0, count - 1, 'random');
  const sizes = Array.from({ length: count }, (_, group) =>
    Math.max(1, groupOf.filter((one) => one === group).length),
  );
  const { groups, bits, packed, before } = packGroups(groupOf, count);
  const isOne = groups === 1;
  const pointers = isOne
    ? [NULL, NULL]
    : [
        place(arena, packed as Uint8Array<ArrayBuffer>),
        place(arena, before as Uint16Array<ArrayBuffer>),
      ];
  return { groupOf, sizes, words: [groups, bits, ...pointers] };
}

export interface ClusterShape {
  readonly width: number;
  readonly ranks: readonly number[];
  readonly bits: 4 | 8;
}

export function randomClusterCase(kernel: Kernel): Case {
  const ranks = Array.from({ length: randomInt(1, 5) }, () => pick([1, 2, 7, 8, 24, 33]));
  return clusterRowsCase(kernel, { width: pick(widths), ranks, bits: pick([4, 8]) }, randomTile());
}

export function clusterRowsCase(kernel: Kernel, shape: ClusterShape, tile: Tile): Case {
  const { width, ranks, bits } = shape;
  const { rows, rowStart, tableRows, attrs } = tile;
  const arena = createArena(ARENA_BYTES);
  const { groupOf, sizes, words } = randomGroups(arena, tableRows, ranks.length);
  const stride = width + pick([0, 1, 9]);
  const y = reserve(arena, (rows - 1) * stride + width, 1);
  const ends = [placeIds(arena, tile), rows, rowStart, y, stride];
  const clusters = ranks.map((rank, index) => ({
    rank,
    factors: randomCodes(sizes[index]!, rank, bits),
    projection: randomCodes(width, rank, 8),
    offset: fill(new Int32Array(width), -20_000, 20_000, 'random'),
    multipliers: fill(new Int32Array(width), 2 ** 30, 2 ** 31 - 1, 'random'),
    shifts: fill(new Int8Array(width), -14, -4, 'random'),
  }));
  const args = [
    ...[...ends, ...words, width],
    ...clusters.flatMap(({ rank, factors, projection, offset, multipliers, shifts }) => [
      ...[rank, bits],
      place(arena, packRows(dtypeOf(bits), factors, rank)),
      ...[projection, offset, multipliers, shifts].map((each) => place(arena, each)),
    ]),
  ];
  const title = JSON.stringify({ ...shape, rows, rowStart, tableRows, attrs });
  return finish(kernel, title, arena, args, noScratch, (_before, after) =>
    ops.clusterRows.evalInteger(
      [
        idMatrix(tile),
        denseMatrix(groupOf, tableRows, 1),
        ...clusters.flatMap(({ rank, factors, projection, offset }, index) => [
          denseMatrix(factors, sizes[index]!, rank),
          denseMatrix(projection, width, rank),
          denseMatrix(offset, 1, width),
        ]),
      ],
      attrs,
      { clusters },
      matrixAt(after, kernel.output, y, rows, width, stride),
      { tokens: rowStart + rows, rowStart },
    ),
  );
}

export interface CodebookShape {
  readonly rank: number;
  /** Of each tier. */
  readonly stages: readonly number[];
  /** Columns of each stage, and their first. */
  readonly books: readonly (readonly [columns: number, firstColumn: number])[];
  readonly entries: number;
}

export function randomCodebookCase(kernel: Kernel): Case {
  const rank = pick([1, 3, 8, 33, 48]);
  const books = Array.from({ length: randomInt(1, 6) }, () => {
    const columns = randomInt(1, rank);
    return [columns, randomInt(0, rank - columns)] as const;
  });
  const stages = Array.from({ length: randomInt(1, 3) }, () => randomInt(1, books.length));
  return codebookRowsCase(kernel, { rank, stages, books, entries: pick([1, 256]) }, randomTile());
}

export function codebookRowsCase(kernel: Kernel, shape: CodebookShape, tile: Tile): Case {
  const { rank, stages, books, entries } = shape;
  const { rows, rowStart, tableRows, attrs } = tile;
  const arena = createArena(ARENA_BYTES);
  const { groupOf, sizes, words } = randomGroups(arena, tableRows, stages.length);
  const stride = rank + pick([0, 1, 9]);
  const y = reserve(arena, (rows - 1) * stride + rank, 1);
  const ends = [placeIds(arena, tile), rows, rowStart, y, stride];
  const codes = stages.map((count, tier) =>
    fill(new Uint8Array(sizes[tier]! * count), 0, entries - 1, 'random'),
  );
  const contents = books.map(([columns]) => randomCodes(entries, columns, 8));
  const args = [
    ...[...ends, ...words, rank, books.length],
    ...codes.flatMap((each, tier) => [stages[tier]!, place(arena, each)]),
    ...contents.flatMap((each, stage) => {
      const [columns, firstColumn] = books[stage]!;
      return [firstColumn, columns, place(arena, each)];
    }),
  ];
  const firstColumns = Uint16Array.from(books, ([, firstColumn]) => firstColumn);
  const title = JSON.stringify({ ...shape, rows, rowStart, tableRows, attrs });
  return finish(kernel, title, arena, args, noScratch, (_before, after) =>
    ops.codebookRows.evalInteger(
      [
        idMatrix(tile),
        denseMatrix(groupOf, tableRows, 1),
        denseMatrix(firstColumns, books.length, 1),
        ...codes.map((each, tier) => denseMatrix(each, sizes[tier]!, stages[tier]!)),
        ...contents.map((each, stage) => denseMatrix(each, entries, books[stage]![0])),
      ],
      { ...attrs, rank, tiers: stages.length },
      {},
      matrixAt(after, kernel.output, y, rows, rank, stride),
      { tokens: rowStart + rows, rowStart },
    ),
  );
}
