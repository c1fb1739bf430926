/** Seeded random numbers for bulk data; fast-check chooses the shapes and the seed. */

let state = 1;

export function seedRandom(seed: number): void {
  state = seed >>> 0;
}

/** Uniform in [0, 1): a linear congruential generator (Numerical Recipes, ranqd1). */
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
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
