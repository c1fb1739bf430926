/** Arithmetic and spelling of integers that stages share. */

/** The next multiple of `step`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** An address, or another word of 32 bits: 0x20000000. */
export function hexWord(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

/** Numbers in [0, 1), always the same for a seed: a linear congruential sequence (Numerical Recipes). */
export function fixedSequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
