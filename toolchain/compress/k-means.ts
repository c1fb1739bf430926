/** Weighted k-means: seeded with k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's iterations. */
import { seededRandom } from './random.ts';

export interface Points {
  readonly count: number;
  readonly columns: number;
  /** (count, columns). */
  readonly values: Float32Array;
}

export interface Clustering {
  /** (entries, columns). */
  readonly entries: Float32Array;
  /** Index of the nearest entry, a point. */
  readonly codes: Uint8Array;
}

export interface KMeansOptions {
  /** Their number, drawn by the seed; or the entries to begin with. */
  readonly start: { readonly entries: number; readonly seed: number } | Float32Array;
  readonly iterations: number;
}

/** Minimizes Σ weight·|point − entry|²; points of weight 0 only get a code. */
export function kMeans(
  points: Points,
  weights: Float64Array,
  { start, iterations }: KMeansOptions,
): Clustering {
  const { columns } = points;
  const entries =
    start instanceof Float32Array
      ? start.slice()
      : firstEntries(points, weights, start.entries, start.seed);
  const count = entries.length / columns;
  const codes = new Uint8Array(points.count);
  const distances = new Float64Array(points.count);
  const everyone = new Float64Array(points.count).fill(1);
  for (let iteration = 0; iteration < iterations; iteration++) {
    assign(points, weights, entries, codes, distances);
    const masses = new Float64Array(count);
    const sums = new Float64Array(count * columns);
    for (let index = 0; index < points.count; index++) {
      const weight = weights[index]!;
      if (weight === 0) continue;
      const entry = codes[index]!;
      masses[entry]! += weight;
      for (let column = 0; column < columns; column++) {
        sums[entry * columns + column]! += weight * points.values[index * columns + column]!;
      }
    }
    for (let entry = 0; entry < count; entry++) {
      if (masses[entry] === 0) {
        moveToWorst(points, weights, distances, entries, entry);
        continue;
      }
      for (let column = 0; column < columns; column++) {
        entries[entry * columns + column] = sums[entry * columns + column]! / masses[entry]!;
      }
    }
  }
  assign(points, everyone, entries, codes, distances);
  return { entries, codes };
}

/** Each next entry is a point drawn by weight·distance² to the entries so far. */
function firstEntries(
  { count: points, columns, values }: Points,
  weights: Float64Array,
  count: number,
  seed: number,
): Float32Array {
  const random = seededRandom(seed);
  const entries = new Float32Array(count * columns);
  const nearest = new Float64Array(points).fill(Number.POSITIVE_INFINITY);
  let total = 0;
  for (let index = 0; index < points; index++) total += weights[index]!;
  for (let entry = 0; entry < count; entry++) {
    let left = random() * total;
    let chosen = 0;
    for (let index = 0; index < points; index++) {
      if (weights[index] === 0) continue;
      left -= weights[index]! * (entry === 0 ? 1 : nearest[index]!);
      chosen = index;
      if (left < 0) break;
    }
    entries.set(values.subarray(chosen * columns, (chosen + 1) * columns), entry * columns);
    total = 0;
    for (let index = 0; index < points; index++) {
      if (weights[index] === 0) continue;
      const distance = squaredDistance(values, index * columns, entries, entry * columns, columns);
      if (distance < nearest[index]!) nearest[index] = distance;
      total += weights[index]! * nearest[index]!;
    }
  }
  return entries;
}

/**
 * The nearest entry of each point with a weight, and the squared distance to it: of |x|² − 2·x·e + |e|²
 * the last two are compared. Four entries at a time, so that no sum waits for the one before.
 */
function assign(
  { count, columns, values }: Points,
  weights: Float64Array,
  entries: Float32Array,
  codes: Uint8Array,
  distances: Float64Array,
): void {
  const entryCount = entries.length / columns;
  const groups = Math.ceil(entryCount / 4);
  const norms = new Float64Array(4 * groups).fill(Number.POSITIVE_INFINITY, entryCount);
  const interleaved = new Float64Array(4 * groups * columns); // (groups, columns, 4)
  for (const [at, value] of entries.entries()) {
    const entry = Math.floor(at / columns);
    norms[entry]! += value * value;
    interleaved[(Math.floor(entry / 4) * columns + (at % columns)) * 4 + (entry % 4)] = value;
  }
  const point = new Float64Array(columns);
  for (let index = 0; index < count; index++) {
    if (weights[index] === 0) continue;
    let norm = 0;
    for (let column = 0; column < columns; column++) {
      const value = values[index * columns + column]!;
      norm += value * value;
      point[column] = -2 * value;
    }
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let entry = 0, at = 0; entry < entryCount; entry += 4) {
      let first = norms[entry]!;
      let second = norms[entry + 1]!;
      let third = norms[entry + 2]!;
      let fourth = norms[entry + 3]!;
      for (let column = 0; column < columns; column++, at += 4) {
        const coordinate = point[column]!;
        first += coordinate * interleaved[at]!;
        second += coordinate * interleaved[at + 1]!;
        third += coordinate * interleaved[at + 2]!;
        fourth += coordinate * interleaved[at + 3]!;
      }
      const smallest = Math.min(first, second, third, fourth);
      if (smallest >= least) continue;
      least = smallest;
      const place = first === smallest ? 0 : second === smallest ? 1 : third === smallest ? 2 : 3;
      best = entry + place;
    }
    codes[index] = best;
    distances[index] = Math.max(0, norm + least);
  }
}

/** An entry that no weight chose goes to the point that is served worst. */
function moveToWorst(
  { count, columns, values }: Points,
  weights: Float64Array,
  distances: Float64Array,
  entries: Float32Array,
  entry: number,
): void {
  let worst = 0;
  for (let index = 1; index < count; index++) {
    if (weights[index]! * distances[index]! > weights[worst]! * distances[worst]!) worst = index;
  }
  entries.set(values.subarray(worst * columns, (worst + 1) * columns), entry * columns);
  distances[worst] = 0;
}

function squaredDistance(
  a: Float32Array,
  aStart: number,
  b: Float32Array,
  bStart: number,
  columns: number,
): number {
  let sum = 0;
  for (let column = 0; column < columns; column++) {
    const difference = a[aStart + column]! - b[bStart + column]!;
    sum += difference * difference;
  }
  return sum;
}
