/**
 * Rows of an embedding table that is also a linear's weight, as the head of most decoders is: stored
 * once, in the order in which the linear's kernel reads it.
 */
import { z } from 'zod';
import { internalError } from '../errors.ts';
import { arrayOf, int } from './form.ts';
import type { OpDef } from './op.ts';
import { type LookupInteger, lookupRows, type TableAttrs, tableForm } from './table-rows.ts';

export interface WeightRowsInteger extends LookupInteger {
  readonly multipliers: Uint16Array;
}

/** As `lookupRows` of int8 rows to int16. */
export const weightRows: OpDef<TableAttrs, WeightRowsInteger> = {
  ...lookupRows,
  doc: 'y = weight[token id], the weight a linear’s as well',
  operands: [
    { name: 'tokenIds', reads: 'row' },
    { name: 'weight', reads: 'constant' },
  ],
  form: {
    ...lookupRows.form,
    attrs: tableForm,
    integer: ([, weight]) =>
      z.strictObject({
        multipliers: arrayOf(Uint16Array, Number(weight![0])),
        shift: int.min(0).max(30),
      }),
  },
  quantize: (args) => {
    const { integer, constants } = lookupRows.quantize!(args);
    const { multipliers, shift } = integer;
    if (multipliers === null) throw internalError('its rows are not made int16', 'weightRows');
    return { integer: { multipliers, shift }, constants };
  },
  kernel: 'weight_rows',
};
