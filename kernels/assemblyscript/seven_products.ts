// SPDX-License-Identifier: Apache-2.0
/**
 * Products of int8 rows with two panels (panel.ts) by seven products of halves instead of eight:
 * Winograd's form of Strassen's algorithm. Integers wrap, so that other sums of them are the same bits,
 * and sums of four int8 fit int16.
 *
 *   x = (x11 x12; x21 x22)   upper and lower half of the rows, first and second half of the inputs
 *   w = (w11 w12; w21 w22)   first and second half of the inputs, first and second panel
 *
 *   s1 = x21 + x22   s2 = s1 − x11   s3 = x11 − x21   s4 = x12 − s2
 *   t1 = w12 − w11   t2 = w22 − t1   t3 = w22 − w12   t4 = w21 − t2
 *
 *   p   = x11·w11                      y11 = p + x12·w21
 *   u   = p + s2·t2   q = s1·t1        y12 = u + q + s4·w22
 *   v   = u + s3·t3                    y21 = v + x22·t4       y22 = v + q
 */
import { multiplyOnto, multiplyRows } from './panel';

/** Rows and inputs from which on it pays. */
const LEAST_ROWS: i32 = 32;
const LEAST_INPUTS: i32 = 64;

/** Between parts, so that those of a power of two do not meet in one set of the cache. */
export const GAP: usize = 192;

export function paysInSeven(rows: i32, inputs: i32): bool {
  return rows >= LEAST_ROWS && inputs >= LEAST_INPUTS && (inputs & 15) === 0;
}

/** Of twice `half` rows of int16, `inputs` each: s1, s2, s3 and s4, one behind the other. */
export function addHalves(x: usize, half: i32, inputs: i32, sums: usize): void {
  const bytes = <usize>inputs, lower = 2 * <usize>half * bytes, all = <usize>half * bytes + GAP;
  for (let row = 0; row < half; row++, x += bytes) {
    for (const end = x + bytes; x < end; x += 16, sums += 16) {
      const x11 = v128.load(x), x12 = v128.load(x + bytes);
      const x21 = v128.load(x + lower), x22 = v128.load(x + lower + bytes);
      const s1 = i16x8.add(x21, x22), s2 = i16x8.sub(s1, x11);
      v128.store(sums, s1);
      v128.store(sums + all, s2);
      v128.store(sums + 2 * all, i16x8.sub(x11, x21));
      v128.store(sums + 3 * all, i16x8.sub(x12, s2));
    }
  }
}

/** Of w11, w21, w12 and w22: t1 … t4 behind them. `bytes`: of a part. */
export function addPanels(parts: usize, bytes: usize): void {
  const next = bytes + GAP;
  for (const end = parts + bytes; parts < end; parts += 16) {
    const w11 = v128.load(parts), w21 = v128.load(parts + next);
    const w12 = v128.load(parts + 2 * next), w22 = v128.load(parts + 3 * next);
    const t1 = i16x8.sub(w12, w11), t2 = i16x8.sub(w22, t1);
    v128.store(parts + 4 * next, t1);
    v128.store(parts + 5 * next, t2);
    v128.store(parts + 6 * next, i16x8.sub(w22, w12));
    v128.store(parts + 7 * next, i16x8.sub(w21, t2));
  }
}

/**
 * (y11, y21, y12, y22), each (half, 8) int32 filled up to four rows, then room for two more; `bias`: of
 * sixteen columns.
 */
export function multiplyInSeven(
  x: usize, half: i32, inputs: i32, sums: usize, panels: usize, bias: usize, y: usize,
): void {
  const stride = 2 * inputs, ownStride = inputs;
  const rowBytes = <usize>inputs, all = <usize>half * rowBytes + GAP;
  const panel = 8 * <usize>inputs, next = panel + GAP, part = bytesOfPart(half);
  const x12 = x + rowBytes, x22 = x12 + 2 * <usize>half * rowBytes;
  const y11 = y, y21 = y + part, y12 = y + 2 * part, y22 = y + 3 * part;
  const p = y + 4 * part, q = y + 5 * part;
  const low = v128.load(bias), high = v128.load(bias, 16);
  // p has the first panel's biases in it, so that q has what the second's are more.
  const lowRest = i32x4.sub(v128.load(bias, 32), low);
  const highRest = i32x4.sub(v128.load(bias, 48), high);
  multiplyRows(x, stride, half, panels, panel, low, high, p);
  multiplyOnto(x12, stride, half, panels + next, panel, p, 0, y11);
  multiplyOnto(sums + all, ownStride, half, panels + 5 * next, panel, p, 0, p);
  multiplyRows(sums, ownStride, half, panels + 4 * next, panel, lowRest, highRest, q);
  multiplyOnto(sums + 3 * all, ownStride, half, panels + 3 * next, panel, p, q, y12);
  multiplyOnto(sums + 2 * all, ownStride, half, panels + 6 * next, panel, p, 0, p);
  addParts(p, q, part, y22);
  multiplyOnto(x22, stride, half, panels + 7 * next, panel, p, 0, y21);
}

/** Of `half` rows of eight sums, filled up to four rows. */
export function bytesOfPart(half: i32): usize {
  return 32 * <usize>((half + 3) & ~3);
}

function addParts(a: usize, b: usize, bytes: usize, to: usize): void {
  for (const end = a + bytes; a < end; a += 16, b += 16, to += 16) {
    v128.store(to, i32x4.add(v128.load(a), v128.load(b)));
  }
}
