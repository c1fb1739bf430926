/** Scales of a picture's axes, and where their ticks are. */

export interface Axis {
  /** The coordinate of a value. */
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** Above this ratio of the largest to the smallest value, equal factors are equally far apart. */
const LOGARITHMIC_FROM = 1.8;

/** From the values to `start` … `end`, with ticks wherever the plot is, from edge to edge. */
export function axis(
  values: readonly number[],
  [start, end]: readonly [number, number],
  outer: readonly [number, number],
): Axis {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const isLogarithmic = low > 0 && high > LOGARITHMIC_FROM * low;
  const scale = isLogarithmic ? Math.log : (value: number): number => value;
  const extent = scale(high) - scale(low);
  const at = (value: number): number =>
    extent === 0
      ? (start + end) / 2
      : start + ((end - start) * (scale(value) - scale(low))) / extent;
  const isInside = (value: number): boolean =>
    at(value) >= Math.min(...outer) && at(value) <= Math.max(...outer);
  const ticks = extent === 0 ? [low] : isLogarithmic ? logTicks(low, high) : linearTicks(low, high);
  return { at, ticks: ticks.filter(isInside) };
}

function logTicks(low: number, high: number): readonly number[] {
  const first = Math.floor(Math.log10(low));
  const decades = Math.ceil(Math.log10(high)) - first + 1;
  const steps = high > 30 * low ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  return Array.from({ length: decades }, (_, index) => 10 ** (first + index)).flatMap((decade) =>
    steps.map((step) => step * decade),
  );
}

/** At most some eight, at multiples of 1, 2 or 5 times a power of ten. */
function linearTicks(low: number, high: number): readonly number[] {
  const rough = (high - low) / 6;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * decade).find((size) => size >= rough)!;
  const first = Math.floor(low / step) - 1;
  return Array.from({ length: 14 }, (_, index) => (first + index) * step);
}
