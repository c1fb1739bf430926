/** Coded tables of every method, with numbers around 1, from a stream of random numbers. */
import type { CodedTable } from '../../toolchain/compress/coded-table.ts';

export const tableKinds = ['rows 8', 'rows 4', 'low-rank', 'clusters', 'codebooks'] as const;
export type TableKind = (typeof tableKinds)[number];

/** `random`: numbers within −1 … 1. */
export function randomTable(
  kind: TableKind,
  rows: number,
  width: number,
  random: () => number,
): CodedTable {
  const reals = (length: number, scale: number) =>
    Float32Array.from({ length }, () => scale * random());
  const below = (limit: number) => Math.floor(((random() + 1) / 2) * limit) % limit;
  const codes = (length: number, largest: number) =>
    Int8Array.from({ length }, () => below(2 * largest + 1) - largest);
  switch (kind) {
    case 'rows 8':
    case 'rows 4': {
      const bits = kind === 'rows 4' ? 4 : 8;
      const largest = bits === 4 ? 7 : 127;
      const scales = Float32Array.from(
        { length: below(2) === 0 ? 1 : rows },
        () => (1.5 + random()) / largest,
      );
      return { method: 'rows', rows, width, bits, codes: codes(rows * width, largest), scales };
    }
    case 'low-rank':
    case 'clusters': {
      const count = kind === 'clusters' ? 2 + below(4) : 1;
      const clusterOf = Uint8Array.from({ length: rows }, () => below(count));
      const clusters = Array.from({ length: count }, (_, index) => {
        const members = clusterOf.filter((one) => one === index).length;
        const rank = 1 + below(width);
        const bits = below(2) === 0 ? 4 : 8;
        const largest = bits === 4 ? 7 : 127;
        return {
          ...({ rank, bits, factors: codes(members * rank, largest) } as const),
          projection: reals(rank * width, 1 / largest),
          offset: reals(width, 0.3),
        };
      });
      return { method: 'low-rank', rows, width, clusterOf, clusters };
    }
    case 'codebooks': {
      const rank = 1 + below(width);
      const stages = Array.from({ length: 1 + below(4) }, () => {
        const columns = 1 + below(rank);
        const entries = reals(columns * (1 + below(9)), 1);
        return { firstColumn: below(rank - columns + 1), columns, entries };
      });
      const count = 1 + below(3);
      const tierOf = Uint8Array.from({ length: rows }, () => below(count));
      const tiers = Array.from({ length: count }, (_, index) => {
        const members = tierOf.filter((one) => one === index).length;
        const used = 1 + below(stages.length);
        const tierCodes = Uint8Array.from({ length: members * used }, (_each, at) => {
          const { entries, columns } = stages[at % used]!;
          return below(entries.length / columns);
        });
        return { stages: used, codes: tierCodes };
      });
      const projection = reals(rank * width, 1);
      const offset = reals(width, 0.3);
      return { method: 'codebooks', rows, width, rank, projection, offset, stages, tierOf, tiers };
    }
  }
}
