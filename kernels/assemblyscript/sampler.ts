// SPDX-License-Identifier: Apache-2.0
/** Chooses the next token, in integers: the twin of toolchain/generate/sample.ts, which says what each step means. */

/** Of a model (toolchain/emit/wasm-generation.ts writes it). */
@unmanaged
export class Sampler {
  /** Of logits. */
  count: i32;
  /** Powers of two that a step of the logits is worth, in 1/2^32. */
  step: u32;
  /** (256) uint16: round(2^15·2^(−i / 256)). */
  weights: usize;
}

/** Sixteen powers of two: only the largest logits weigh anything. */
const MOST_STEP: u64 = (<u64>1) << 36;

/** Logits above `least` are kept, and the first `equal` of those that equal it. */
let least: i32 = 0;
let equal: i32 = 0;

/** Of the call that is under way: its logits, the largest, and the step at its temperature. */
let logits: usize = 0;
let largest: i32 = 0;
let step: u64 = 0;

let random: u32 = 0;

/** What the next call may be given to go on with the random numbers of the last one. */
export function randomState(): u32 {
  return random;
}

/** Of a choice that needs no random number. */
export function setRandomState(state: u32): void {
  random = state;
}

/** `from`: (count) int16; `temperature` and `topP` in 1/1000; `topK` 0: all; `state`: a seed, or `randomState`. */
export function lm_choose_token(
  p: Sampler, from: usize, temperature: u32, topK: i32, topP: u32, state: u32,
): i32 {
  logits = from;
  random = state;
  const best = indexOfLargest(p);
  if (temperature === 0) return best;
  largest = logitAt(best);
  step = min(<u64>p.step * 1000 / <u64>temperature, MOST_STEP);
  cutByCount(p, topK);
  cutByWeight(p, topP);
  const total = sumKept(p, least, equal);
  let rest = <u32>((<u64>nextRandom() * <u64>total) >> 32);
  let seen = 0;
  for (let i = 0; i < p.count; i++) {
    const logit = logitAt(i);
    if (logit < least || (logit === least && ++seen > equal)) continue;
    const weight = weightOf(p, logit);
    if (rest < weight) return i;
    rest -= weight;
  }
  return best;
}

// @ts-ignore: decorator
@inline
function logitAt(index: i32): i32 {
  return <i32>load<i16>(logits + 2 * <usize>index);
}

function indexOfLargest(p: Sampler): i32 {
  let best = 0;
  for (let i = 1; i < p.count; i++) if (logitAt(i) > logitAt(best)) best = i;
  return best;
}

function weightOf(p: Sampler, logit: i32): u32 {
  const exponent = <u64>(largest - logit) * step;
  const whole = <u32>(exponent >> 32);
  if (whole > 15) return 0;
  return <u32>load<u16>(p.weights + 2 * (<usize>(exponent >> 24) & 255)) >> whole;
}

/** Of the logits that a cut keeps. */
function sumKept(p: Sampler, from: i32, most: i32): u32 {
  let sum: u32 = 0, seen = 0;
  for (let i = 0; i < p.count; i++) {
    const logit = logitAt(i);
    if (logit < from || (logit === from && ++seen > most)) continue;
    sum += weightOf(p, logit);
  }
  return sum;
}

function countFrom(p: Sampler, from: i32): i32 {
  let count = 0;
  for (let i = 0; i < p.count; i++) count += i32(logitAt(i) >= from);
  return count;
}

function cutByCount(p: Sampler, topK: i32): void {
  least = -32768;
  equal = p.count;
  if (topK <= 0 || topK >= p.count) return;
  let low = -32768, high = 32768;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (countFrom(p, middle) >= topK) low = middle;
    else high = middle;
  }
  least = low;
  equal = topK - countFrom(p, low + 1);
}

/** Within the cut by count. */
function weightFrom(p: Sampler, from: i32): u32 {
  return from <= least ? sumKept(p, least, equal) : sumKept(p, from, p.count);
}

function cutByWeight(p: Sampler, topP: u32): void {
  if (topP >= 1000) return;
  const share = <u32>((<u64>sumKept(p, least, equal) * <u64>topP + 999) / 1000);
  const wanted = max(share, 1);
  let low = -32768, high = 32768;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (weightFrom(p, middle) >= wanted) low = middle;
    else high = middle;
  }
  const from = max(low, least);
  const missing = wanted - weightFrom(p, from + 1), weight = weightOf(p, from);
  least = from;
  equal = <i32>((missing + weight - 1) / weight);
}

/** A Weyl sequence through MurmurHash3's finalizer, which any seed suits. */
function nextRandom(): u32 {
  random += 0x9e3779b9;
  let word = random;
  word = (word ^ (word >> 16)) * 0x85ebca6b;
  word = (word ^ (word >> 13)) * 0xc2b2ae35;
  return word ^ (word >> 16);
}
