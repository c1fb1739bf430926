/** Seeded random numbers for bulk data; fast-check chooses the shapes and the seed. */
import { fixedSequence } from '../../toolchain/integers.ts';

let random = fixedSequence(1);

export function seedRandom(seed: number): void {
  random = fixedSequence(seed);
}

export function randomInt(min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1));
}

export function pick<T>(values: readonly T[]): T {
  const value = values[randomInt(0, values.length - 1)];
  if (value === undefined) throw new RangeError('nothing to pick from');
  return value;
}

export type Fill = 'random' | 'min' | 'max' | 'extremes' | 'constant';

/** Fills an array with values of [min, max]. */
export function fill<T extends { [index: number]: number; readonly length: number }>(
  data: T,
  min: number,
  max: number,
  how: Fill,
): T {
  const constant = randomInt(min, max);
  for (let i = 0; i < data.length; i++) {
    data[i] = {
      random: randomInt(min, max),
      min,
      max,
      extremes: pick([min, max]),
      constant,
    }[how];
  }
  return data;
}
