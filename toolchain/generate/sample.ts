/**
 * Chooses the next token from a row of logits, in integers only: the same token on every machine. The
 * twin of `kernels/c/sampler.c`.
 *
 * A logit that lies d below the largest weighs 2^(−d·step), in 1/2^15:
 *
 *   weight = table[fraction of d·step, upper 8 bits] >> integer part of d·step
 *   table[i] = round(2^15·2^(−i/256))
 *
 * What is kept are the `topK` largest logits, of equal ones the first; of those the fewest whose weights
 * are at least `topP` of all. Among what is kept a random number chooses by weight.
 */

export interface Sampling {
  /** In 1/1000; 0: always the largest logit. */
  readonly temperature: number;
  /** 0: all. */
  readonly topK: number;
  /** In 1/1000; 1000: all. */
  readonly topP: number;
  /** 0 … 2^32 − 1. */
  readonly seed: number;
}

export const greedy: Sampling = { temperature: 0, topK: 0, topP: 1000, seed: 0 };

export type ChooseToken = (logits: Int16Array) => number;

/** `scale`: what a step of the logits is worth. The result remembers the random numbers it has used. */
export function tokenChooser(scale: number, sampling: Sampling): ChooseToken {
  const step = stepAt(unitStep(scale), sampling.temperature);
  const random = randomWords(sampling.seed);
  return (logits) => {
    const largest = indexOfLargest(logits);
    if (sampling.temperature === 0) return largest;
    const weightOf = (logit: number): number => weightBelow(logits[largest]! - logit, step);
    const byCount = countCut(logits, sampling.topK);
    const cut = weightCut(logits, weightOf, byCount, sampling.topP);
    const total = sumKept(logits, weightOf, cut);
    let rest = Number((BigInt(random()) * BigInt(total)) >> 32n);
    let equal = 0;
    for (const [index, logit] of logits.entries()) {
      if (logit < cut.least || (logit === cut.least && ++equal > cut.equal)) continue;
      rest -= weightOf(logit);
      if (rest < 0) return index;
    }
    return largest;
  };
}

/** Powers of two that a step of the logits is worth, in 1/2^32, for a temperature of 1. */
export function unitStep(scale: number): number {
  return Math.min(2 ** 32 - 1, Math.max(1, Math.round((scale / Math.LN2) * 2 ** 32)));
}

/** Sixteen powers of two: only the largest logits weigh anything. */
const mostStep = 2 ** 36;

function stepAt(step: number, temperature: number): number {
  return Math.min(mostStep, Math.floor((step * 1000) / Math.max(1, temperature)));
}

export const weightTable = Uint16Array.from({ length: 256 }, (_, index) =>
  Math.round(2 ** 15 * 2 ** (-index / 256)),
);

/** `distance` · `step` is at most 2^52. */
function weightBelow(distance: number, step: number): number {
  const exponent = distance * step;
  const whole = Math.floor(exponent / 2 ** 32);
  if (whole > 15) return 0;
  return weightTable[Math.floor(exponent / 2 ** 24) & 255]! >> whole;
}

/** Kept are the logits above `least`, and the first `equal` of those that equal it. */
interface Cut {
  readonly least: number;
  readonly equal: number;
}

function countCut(logits: Int16Array, topK: number): Cut {
  if (topK <= 0 || topK >= logits.length) return { least: -32768, equal: logits.length };
  const above = (limit: number) => logits.reduce((sum, logit) => sum + (logit >= limit ? 1 : 0), 0);
  const least = largestWhere((limit) => above(limit) >= topK);
  return { least, equal: topK - above(least + 1) };
}

function weightCut(
  logits: Int16Array,
  weightOf: (logit: number) => number,
  cut: Cut,
  topP: number,
): Cut {
  if (topP >= 1000) return cut;
  const wanted = Math.max(1, Math.ceil((sumKept(logits, weightOf, cut) * topP) / 1000));
  const weightFrom = (least: number): number =>
    sumKept(logits, weightOf, least <= cut.least ? cut : { least, equal: logits.length });
  const least = Math.max(
    cut.least,
    largestWhere((limit) => weightFrom(limit) >= wanted),
  );
  const missing = wanted - weightFrom(least + 1);
  return { least, equal: Math.ceil(missing / weightOf(least)) };
}

function sumKept(logits: Int16Array, weightOf: (logit: number) => number, cut: Cut): number {
  let sum = 0;
  let equal = 0;
  for (const logit of logits) {
    if (logit > cut.least || (logit === cut.least && ++equal <= cut.equal)) sum += weightOf(logit);
  }
  return sum;
}

/** The largest int16 that has a property of which all below have it, too; −32768 has it. */
function largestWhere(holds: (value: number) => boolean): number {
  let low = -32768;
  let high = 32768;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** The first of equals, as `lm2mcu_best` on the chip. */
export function indexOfLargest(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if (values[index]! > values[best]!) best = index;
  }
  return best;
}

/** A Weyl sequence through MurmurHash3's finalizer, which any seed suits. */
function randomWords(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let word = state;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    return (word ^ (word >>> 16)) >>> 0;
  };
}
