/** Numbers that are the same in every run and on every machine. */

/** Uniform in [0, 1): mulberry32 by Tommy Ettinger, 32 bits of state. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` of the items, in their order, drawn without replacement (selection sampling). */
export function sample<T>(items: readonly T[], count: number, seed: number): readonly T[] {
  const random = seededRandom(seed);
  let wanted = Math.min(count, items.length);
  return items.filter((_, index) => {
    const isTaken = random() * (items.length - index) < wanted;
    if (isTaken) wanted -= 1;
    return isTaken;
  });
}
