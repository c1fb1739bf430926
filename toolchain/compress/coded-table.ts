/**
 * An embedding table as codes: what a method stores, what it means, and how many bytes it takes.
 *
 * `decode` is the meaning; each method has a row op that computes the same row by row, on the chip too.
 * Codes are integers from here on. Projections, codebooks and offsets stay real until quantization.
 */
import { assertExhaustive } from '../errors.ts';

export type CodedTable = RowTable | LowRankTable | CodebookTable;

interface TableShape {
  readonly rows: number;
  readonly width: number;
}

/** y_i = scale_i · codes_i. */
export interface RowTable extends TableShape {
  readonly method: 'rows';
  readonly bits: 4 | 8;
  /** (rows, width). */
  readonly codes: Int8Array;
  /** One a row, or one for all. */
  readonly scales: Float32Array;
}

/**
 * y_i = offset_c + factors_c[j] · projection_c, with c the cluster of row i and j the index of i among
 * the rows of c. One cluster is a truncated singular value decomposition; several are MCUBERT's
 * clustered low rank (arXiv 2410.17957).
 */
export interface LowRankTable extends TableShape {
  readonly method: 'low-rank';
  /** Index of the cluster, a row. */
  readonly clusterOf: Uint8Array;
  readonly clusters: readonly LowRankCluster[];
}

export interface LowRankCluster {
  readonly rank: number;
  readonly bits: 4 | 8;
  /** (rows of the cluster, rank). */
  readonly factors: Int8Array;
  /** (rank, width); the scales of the factors are in it. */
  readonly projection: Float32Array;
  /** (width). */
  readonly offset: Float32Array;
}

/**
 * y_i = offset + z_i · projection, where z_i (rank) is the sum of one entry of the codebook of each
 * stage, added at the stage's columns. Stages on disjoint columns are a product quantization (Jégou,
 * Douze, Schmid 2011), stages on the same columns a residual one. The rows of a tier have codes for its first stages only.
 */
export interface CodebookTable extends TableShape {
  readonly method: 'codebooks';
  readonly rank: number;
  /** (rank, width). */
  readonly projection: Float32Array;
  /** (width). */
  readonly offset: Float32Array;
  readonly stages: readonly CodebookStage[];
  /** Index of the tier, a row. */
  readonly tierOf: Uint8Array;
  readonly tiers: readonly CodebookTier[];
}

export interface CodebookStage {
  readonly firstColumn: number;
  readonly columns: number;
  /** (entries, columns); at most 256 entries. */
  readonly entries: Float32Array;
}

export interface CodebookTier {
  readonly stages: number;
  /** (rows of the tier, stages). */
  readonly codes: Uint8Array;
}

/** The table that the codes stand for: (rows, width). */
export function decodeTable(table: CodedTable): Float32Array {
  const decoded = new Float32Array(table.rows * table.width);
  switch (table.method) {
    case 'rows':
      for (let index = 0; index < decoded.length; index++) {
        const row = table.scales.length === 1 ? 0 : Math.floor(index / table.width);
        decoded[index] = table.codes[index]! * table.scales[row]!;
      }
      return decoded;
    case 'low-rank':
      decodeLowRank(table, decoded);
      return decoded;
    case 'codebooks':
      decodeCodebooks(table, decoded);
      return decoded;
    default:
      return assertExhaustive(table);
  }
}

function decodeLowRank({ clusterOf, clusters, width }: LowRankTable, decoded: Float32Array): void {
  const next = clusters.map(() => 0);
  for (const [row, index] of clusterOf.entries()) {
    const { rank, factors, projection, offset } = clusters[index]!;
    const first = next[index]!++ * rank;
    project(factors.subarray(first, first + rank), projection, offset, decoded, row * width);
  }
}

function decodeCodebooks(table: CodebookTable, decoded: Float32Array): void {
  const { tierOf, tiers, stages, rank, width, projection, offset } = table;
  const next = tiers.map(() => 0);
  const rotated = new Float32Array(rank);
  for (const [row, index] of tierOf.entries()) {
    const tier = tiers[index]!;
    const first = next[index]!++ * tier.stages;
    rotated.fill(0);
    for (const [stage, { firstColumn, columns, entries }] of stages
      .slice(0, tier.stages)
      .entries()) {
      const entry = tier.codes[first + stage]! * columns;
      for (let column = 0; column < columns; column++) {
        rotated[firstColumn + column]! += entries[entry + column]!;
      }
    }
    project(rotated, projection, offset, decoded, row * width);
  }
}

/** out[to …] = offset + factors · projection */
function project(
  factors: ArrayLike<number>,
  projection: Float32Array,
  offset: Float32Array,
  out: Float32Array,
  to: number,
): void {
  const width = offset.length;
  for (let column = 0; column < width; column++) {
    let sum = offset[column]!;
    for (let k = 0; k < factors.length; k++) sum += factors[k]! * projection[k * width + column]!;
    out[to + column] = sum;
  }
}
