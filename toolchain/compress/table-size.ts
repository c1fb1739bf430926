/** Bytes of a coded table in flash, as its row op stores it. */
import { blockRows, groupBits } from '../emit/packed-rows.ts';
import { assertExhaustive } from '../errors.ts';
import type { CodedTable } from './coded-table.ts';

/** `kept`: whether row i is stored at all. */
export function tableBytes(table: CodedTable, kept: (row: number) => boolean): number {
  switch (table.method) {
    case 'rows': {
      const rows = countKept(table.rows, kept);
      return rows * rowBytes(table.width, table.bits) + (table.scales.length > 1 ? rows * 2 : 0);
    }
    case 'low-rank':
      return (
        indexBytes(table.clusterOf, table.clusters.length, kept) +
        table.clusters.reduce((sum, { rank, bits }, cluster) => {
          const rows = countKept(
            table.rows,
            (row) => table.clusterOf[row] === cluster && kept(row),
          );
          return sum + rows * rowBytes(rank, bits) + projectionBytes(rank, table.width);
        }, 0)
      );
    case 'codebooks':
      return (
        indexBytes(table.tierOf, table.tiers.length, kept) +
        projectionBytes(table.rank, table.width) +
        table.stages.reduce((sum, { entries }) => sum + entries.length, 0) +
        table.tiers.reduce((sum, { stages }, tier) => {
          const rows = countKept(table.rows, (row) => table.tierOf[row] === tier && kept(row));
          return sum + rows * stages;
        }, 0)
      );
    default:
      return assertExhaustive(table);
  }
}

function rowBytes(columns: number, bits: 4 | 8): number {
  return Math.ceil((columns * bits) / 8);
}

/** int8 rows, and int32 offset, multiplier and shift of each column. */
function projectionBytes(rank: number, width: number): number {
  return rank * width + 9 * width;
}

/** A packed index a row, and for each block of rows how many of each kind stand before it. */
function indexBytes(indexOf: Uint8Array, kinds: number, kept: (row: number) => boolean): number {
  if (kinds === 1) return 0;
  const rows = countKept(indexOf.length, kept);
  const bits = groupBits(kinds);
  return Math.ceil((rows * bits) / 8) + Math.ceil(rows / blockRows) * 2 * kinds;
}

function countKept(rows: number, kept: (row: number) => boolean): number {
  let count = 0;
  for (let row = 0; row < rows; row++) if (kept(row)) count += 1;
  return count;
}
