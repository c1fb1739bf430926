/** How the rows of tables lie in flash: elements of four bits, and which group a row is in. */
import type { DType, TypedArray, TypedArrayOf } from '../ir/dtypes.ts';
import { packNibbles } from '../schedule/packings.ts';

/** Rows of `width` elements as `lm_unpack_row` reads them (kernels/c/table_rows.h). */
export function packRows(dtype: DType, data: TypedArray, width: number): TypedArrayOf<'int8'> {
  const codes = data as TypedArrayOf<'int8'>;
  return dtype === 'int4' ? packNibbles(codes, codes.length / width, width) : codes;
}

/** Rows of a block: LM_GROUP_BLOCK in kernels/c/kernels.h. */
export const blockRows = 64;

/** Of a row's group: they do not straddle bytes. */
export function groupBits(groups: number): number {
  return [1, 2, 4].find((bits) => groups <= 2 ** bits) ?? 8;
}

/** `lm_row_groups`. */
export interface PackedGroups {
  readonly groups: number;
  readonly bits: number;
  readonly packed: Uint8Array;
  readonly before: Uint16Array;
}

export function packGroups(groupOf: TypedArray, groups: number): PackedGroups {
  if (groups === 1) return { groups, bits: 1, packed: new Uint8Array(), before: new Uint16Array() };
  const bits = groupBits(groups);
  const packed = new Uint8Array(Math.ceil((groupOf.length * bits) / 8));
  const before = new Uint16Array(Math.ceil(groupOf.length / blockRows) * groups);
  const counts = new Uint16Array(groups);
  for (const [row, group] of groupOf.entries()) {
    if (row % blockRows === 0) before.set(counts, (row / blockRows) * groups);
    packed[(row * bits) >> 3]! |= group << ((row * bits) & 7);
    counts[group]! += 1;
  }
  return { groups, bits, packed, before };
}
