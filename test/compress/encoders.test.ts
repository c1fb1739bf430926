/** Encoders of tables: shapes that the recipe's reader accepts, errors that fall with bytes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeWithTrained, trainStages } from '../../toolchain/compress/codebooks.ts';
import { type CodedTable, decodeTable } from '../../toolchain/compress/coded-table.ts';
import { roundLinear } from '../../toolchain/compress/gptq.ts';
import { kMeans } from '../../toolchain/compress/k-means.ts';
import { encodeLowRank } from '../../toolchain/compress/low-rank.ts';
import { seededRandom } from '../../toolchain/compress/random.ts';
import { encodeRowTable, roundRows } from '../../toolchain/compress/row-codes.ts';
import { tableBytes } from '../../toolchain/compress/table-size.ts';
import {
  fitProjection,
  type WeightedRows,
  weightedBasis,
} from '../../toolchain/compress/weighted-basis.ts';
import { packGroups, packRows } from '../../toolchain/emit/packed-rows.ts';

/** Rows near a few directions, as embeddings are; frequent rows weigh more. */
function randomRows(rows: number, width: number, seed: number): WeightedRows {
  const random = seededRandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(6.283 * random());
  const directions = Array.from({ length: width * width }, normal);
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) {
      const share = normal() / (1 + k);
      for (let column = 0; column < width; column++) {
        values[row * width + column]! += share * directions[k * width + column]!;
      }
    }
  }
  const metric = new Float64Array(width * width);
  for (let k = 0; k < width; k++) metric[k * width + k] = 1 + k;
  const weights = Float64Array.from({ length: rows }, (_, row) => 1 / (1 + row));
  return { rows, width, values, weights, metric };
}

/** Σ weight·|error|², columns weighted by the metric. */
function weightedError(
  { width, values, weights, metric }: WeightedRows,
  table: CodedTable,
): number {
  const decoded = decodeTable(table);
  return values.reduce((sum, value, at) => {
    const column = at % width;
    const difference = value - decoded[at]!;
    const cost = metric[column * width + column]!;
    return sum + weights[Math.floor(at / width)]! * cost * difference * difference;
  }, 0);
}

const all = () => true;
const rows = randomRows(600, 16, 1);
const zero: CodedTable = {
  ...{ method: 'rows', rows: 600, width: 16, bits: 8 },
  ...{ codes: new Int8Array(600 * 16), scales: Float32Array.of(1) },
};

describe.each([
  ['codebooks', { rank: 12, stages: 4, refiningStages: 0 }],
  ['codebooks, refined', { rank: 12, stages: 3, refiningStages: 3 }],
])('%s', (_name, shape) => {
  const trained = trainStages(rows, shape);
  const encode = (codeBytes: number) => encodeWithTrained(rows, trained, { tiers: 3, codeBytes });

  test('more bytes make smaller errors, and are kept to', () => {
    const sizes = [600, 900, 1200, 2400];
    const tables = sizes.map(encode);
    const errors = [zero, ...tables].map((table) => weightedError(rows, table));
    for (const [index, error] of errors.slice(1).entries()) {
      expect(error).toBeLessThan(errors[index]!);
    }
    for (const [index, table] of tables.entries()) {
      const codes = table.tiers.reduce((sum, { codes }) => sum + codes.length, 0);
      expect(codes).toBeLessThanOrEqual(sizes[index]!);
      expect(table.tiers.length).toBeLessThanOrEqual(3);
    }
  });

  test('rows that weigh more have no fewer codes on average', () => {
    const { tierOf, tiers } = encode(900);
    const mean = (from: number, to: number): number => {
      const own = tierOf.subarray(from, to);
      return own.reduce((sum, tier) => sum + tiers[tier]!.stages, 0) / own.length;
    };
    expect(mean(0, 50)).toBeGreaterThan(mean(300, 600));
  });

  test('the same bits every time', () => {
    const again = encodeWithTrained(rows, trainStages(rows, shape), {
      ...{ tiers: 3, codeBytes: 900 },
    });
    expect(again).toEqual(encode(900));
  });

  test('fewer rows than entries', () => {
    const few = randomRows(20, 8, 2);
    const table = encodeWithTrained(
      few,
      trainStages(few, { rank: 8, stages: 2, refiningStages: 0 }),
      {
        ...{ tiers: 2, codeBytes: 40 },
      },
    );
    expect(weightedError(few, table)).toBeLessThan(1e-3);
  });
});

describe('low rank', () => {
  test('more bytes make smaller errors; clusters beat one piece of the same bytes', () => {
    const encode = (clusters: number, bytes: number) =>
      encodeLowRank(rows, { bits: 8, clusters, bytes });
    const errors = [1500, 3000, 6000].map((bytes) => weightedError(rows, encode(1, bytes)));
    expect(errors[1]).toBeLessThan(errors[0]!);
    expect(errors[2]).toBeLessThan(errors[1]!);
    expect(weightedError(rows, encode(3, 3000))).toBeLessThan(errors[1]!);
  });

  test('full rank in int8 loses what rounding does', () => {
    const table = encodeLowRank(rows, { bits: 8, clusters: 1, bytes: 1e6 });
    expect(table.clusters[0]!.rank).toBe(16);
    expect(weightedError(rows, table)).toBeLessThan(2e-4 * weightedError(rows, zero));
  });

  test.each([1, 2, 3, 5, 8, 17])('bytes are those of the arrays: %d clusters', (clusters) => {
    const table = encodeLowRank(rows, { bits: 4, clusters, bytes: 4000 });
    const { packed, before } = packGroups(Uint8Array.from(table.clusterOf), clusters);
    const width = 16;
    const own = table.clusters.map(({ factors, rank }) => {
      const packedFactors = packRows('int4', factors as Int8Array<ArrayBuffer>, rank);
      return packedFactors.length + rank * width + width * (4 + 4 + 1);
    });
    const sum = own.reduce((a, b) => a + b, packed.byteLength + before.byteLength);
    expect(tableBytes(table, all)).toBe(sum);
  });

  test('every row has a place in its cluster', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 30, max: 90 }),
        (clusters, count) => {
          const some = randomRows(count, 6, count);
          const table = encodeLowRank(some, { bits: 4, clusters, bytes: 400 });
          for (const [cluster, { factors, rank }] of table.clusters.entries()) {
            const members = table.clusterOf.filter((own) => own === cluster).length;
            expect(factors.length).toBe(members * rank);
            expect(Math.max(0, ...factors.map(Math.abs))).toBeLessThanOrEqual(7);
          }
        },
      ),
      { numRuns: 20, seed: 1 },
    );
  });
});

test('the basis is a rotation in the metric: rows come back from all coordinates', () => {
  const { offset, coordinates, basis, variances } = weightedBasis(rows);
  for (const row of [0, 17, 599]) {
    for (let column = 0; column < 16; column++) {
      let value = offset[column]!;
      for (let k = 0; k < 16; k++) value += coordinates[row * 16 + k]! * basis[k * 16 + column]!;
      expect(value).toBeCloseTo(rows.values[row * 16 + column]!, 3);
    }
  }
  expect([...variances]).toEqual([...variances].sort((a, b) => b - a));
});

test('a projection is found again from what it made', () => {
  const random = seededRandom(3);
  const coordinates = Float32Array.from({ length: 600 * 3 }, () => random() - 0.5);
  const projection = Float32Array.from({ length: 3 * 16 }, () => random() - 0.5);
  const values = Float32Array.from({ length: 600 * 16 }, (_, at) => {
    const row = Math.floor(at / 16);
    const term = (k: number): number => coordinates[row * 3 + k]! * projection[k * 16 + (at % 16)]!;
    return 0.25 + term(0) + term(1) + term(2);
  });
  const fitted = fitProjection({ ...rows, values }, coordinates, 3);
  for (const [at, value] of projection.entries()) {
    expect(fitted.projection[at]).toBeCloseTo(value, 3);
  }
  for (const value of fitted.offset) expect(value).toBeCloseTo(0.25, 3);
});

describe('k-means', () => {
  test('points at as many places as entries are met exactly', () => {
    const values = Float32Array.from({ length: 200 }, (_, at) => Math.floor(at / 2) % 7);
    const points = { count: 100, columns: 2, values };
    const start = { entries: 7, seed: 1 };
    const { entries, codes } = kMeans(points, new Float64Array(100).fill(1), {
      start,
      iterations: 9,
    });
    for (let point = 0; point < 100; point++) {
      expect(entries[codes[point]! * 2]).toBeCloseTo(values[point * 2]!, 5);
    }
  });

  test('points without weight move nothing, but have the nearest entry', () => {
    const values = Float32Array.of(0, 0, 10, 10, 1000, 9);
    const weights = Float64Array.of(1, 1, 1, 1, 0, 0);
    const start = { entries: 2, seed: 1 };
    const { entries, codes } = kMeans({ count: 6, columns: 1, values }, weights, {
      ...{ start, iterations: 5 },
    });
    expect([...entries].sort((a, b) => a - b)).toEqual([0, 10]);
    expect(entries[codes[4]!]).toBe(10);
    expect(entries[codes[5]!]).toBe(10);
  });
});

describe('rows and weights', () => {
  test('int8 rows are within half a step', () => {
    const table = encodeRowTable(600, 16, rows.values, 8);
    const decoded = decodeTable(table);
    for (const [at, value] of rows.values.entries()) {
      const scale = table.scales[Math.floor(at / 16)]!;
      expect(Math.abs(decoded[at]! - value)).toBeLessThanOrEqual(scale * 0.5001);
    }
    expect(tableBytes(table, all)).toBe(600 * 16 + 600 * 2);
  });

  test('GPTQ changes the outputs on its inputs less than rounding to the nearest', () => {
    const random = seededRandom(4);
    const inputs = 24;
    const count = 400;
    // Inputs that move together, around a mean.
    const x = Array.from({ length: count }, () => {
      const common = random() - 0.5;
      return Array.from(
        { length: inputs },
        (_, k) => 0.5 + common + 0.3 * (random() - 0.5) * (k % 3),
      );
    });
    const weight = Float32Array.from({ length: 10 * inputs }, () => random() - 0.5);
    const bias = new Float32Array(10);
    const sums = new Float64Array(inputs);
    const products = new Float64Array(inputs * inputs);
    for (const row of x) {
      for (let i = 0; i < inputs; i++) {
        sums[i]! += row[i]!;
        for (let k = 0; k < inputs; k++) products[i * inputs + k]! += row[i]! * row[k]!;
      }
    }
    const error = (codes: Int8Array, scales: Float32Array, ownBias: Float32Array): number =>
      x.reduce((total, row) => {
        for (let output = 0; output < 10; output++) {
          let difference = ownBias[output]!;
          for (let k = 0; k < inputs; k++) {
            const at = output * inputs + k;
            difference += (codes[at]! * scales[output]! - weight[at]!) * row[k]!;
          }
          total += difference * difference;
        }
        return total;
      }, 0);
    const nearest = roundRows(weight, inputs, 4);
    const rounded = roundLinear(weight, bias, 4, { rows: count, sums, products });
    const { codes, scales } = rounded.weight;
    expect(error(codes, scales, rounded.bias)).toBeLessThan(
      error(nearest.codes, nearest.scales, bias) / 4,
    );
    expect(Math.max(...codes.map(Math.abs))).toBeLessThanOrEqual(7);
  });
});
