/** Pieces of the forms of ops (`OpForm`): what attributes, integer meanings and operands look like. */
import { z } from 'zod';
import { dtypes } from '../ir/dtypes.ts';
import type { Shape } from '../ir/graph.ts';

export const int = z.number().int();
export const int32 = int.min(dtypes.int32.min).max(dtypes.int32.max);
/** What `requantize` takes. */
export const requantForm = z.strictObject({ multiplier: int32, shift: int.min(-31).max(30) });
/** Of an op without attributes, or without numbers of its own. */
export const empty = z.strictObject({});
export type NoAttrs = Readonly<Record<string, never>>;
export const table256 = arrayOf(Int8Array, 256);

export function arrayOf<T extends Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array>(
  type: new (length: number) => T,
  length: number,
  isElement: (value: number) => boolean = () => true,
) {
  return z
    .custom<T>((value) => value instanceof type, `must be ${type.name}`)
    .refine((array) => array.length === length, `must have ${length} elements`)
    .refine((array) => (array as Int32Array).every(isElement), 'has an element out of range');
}

/** Shifts that `requantize` takes. */
export function shiftsOf(length: number) {
  return arrayOf(Int8Array, length, (shift) => shift >= -31 && shift <= 30);
}

/** Numerators of a softmax, for each head and difference to the largest score. */
export function expTablesOf(heads: number) {
  return arrayOf(Uint8Array, heads * 256, (e) => e <= 127);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

export function isRowVector(shape: Shape | undefined, width: number): boolean {
  return shape !== undefined && sameShape(shape, [1, width]);
}
