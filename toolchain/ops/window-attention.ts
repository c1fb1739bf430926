/**
 * Attention of a decoder over the first tokens and the newest ones: the sliding window with attention
 * sinks of StreamingLLM (arXiv 2309.17453). Keys keep the positions that their tokens have in the text,
 * and not, as there, those that they have in the cache: what is stored is never computed again.
 */
import { z } from 'zod';
import type { Matrix } from '../ir/graph.ts';
import { copyRow, emptyCache, type Ring, ringAttrs, rowOf, rowsHeld, slotOf } from './cache.ts';
import {
  type CausalAttentionAttrs,
  type CausalAttentionInteger,
  causalFloat,
  causalInteger,
  causalIntegerForm,
  causalOperands,
  causalShape,
  type HeadOperands,
  headAttrs,
  headsFit,
  largestCausalScores,
  operandsOf,
  quantizeCausal,
} from './causal-attention.ts';
import type { EvalContext, OpDef } from './op.ts';

/** `pinned`: the first tokens, which are kept; of the others the newest. */
export interface WindowAttentionAttrs extends CausalAttentionAttrs, Ring {}

/** As in causalAttention, over the rows that the cache holds when the query's own is in. */
export const windowAttention: OpDef<WindowAttentionAttrs, CausalAttentionInteger> = {
  doc: 'y = softmax(scale·q·kᵀ)·v for each head, over the first rows and the newest up to its own',
  operands: causalOperands,
  readsIndex: true,
  form: {
    attrs: z.strictObject({ ...headAttrs, ...ringAttrs }),
    integer: causalIntegerForm,
    fits: (shapes, attrs) => headsFit(shapes, attrs) && attrs.pinned < attrs.rows,
  },
  infer: causalShape,
  evalFloat: (inputs, attrs, out, context) =>
    overRing(inputs, attrs, out, context, (heads, rowStart) => causalFloat(heads, attrs, rowStart)),
  observe: largestCausalScores,
  quantize: quantizeCausal,
  evalInteger: (inputs, attrs, integer, out, context) =>
    overRing(inputs, attrs, out, context, (heads, rowStart) =>
      causalInteger(heads, integer, rowStart),
    ),
  cache: (attrs) => attrs,
  macsPerRow: ([q, , v], { heads, keyValueHeads, rows }, tokens) =>
    Math.min(tokens, rows) * (q![1] + (v![1] * heads) / keyValueHeads),
  work: (_inputs, { attrs, tokens }) => ({ scores: attrs.heads * Math.min(tokens, attrs.rows) }),
  kernel: 'causal_attention',
};

/** As long as nothing is lost it is attention over all rows; then row by row, as the cache does it. */
function overRing(
  [q, k, v]: readonly Matrix[],
  attrs: WindowAttentionAttrs,
  out: Matrix,
  { rowStart }: EvalContext,
  attend: (heads: readonly HeadOperands[], rowStart: number) => void,
): void {
  if (rowStart + q!.rows <= attrs.rows) {
    attend(operandsOf(q!, k!, v!, out, attrs), rowStart);
    return;
  }
  const [keys, values] = [emptyCache(k!, attrs), emptyCache(v!, attrs)];
  for (let token = 0; token < rowStart + q!.rows; token++) {
    const slot = slotOf(token, attrs);
    copyRow(k!, token, keys, slot);
    copyRow(v!, token, values, slot);
    if (token < rowStart) continue;
    const held = rowsHeld(token, attrs);
    const row = token - rowStart;
    const heads = operandsOf(
      rowOf(q!, row),
      { ...keys, rows: held },
      { ...values, rows: held },
      rowOf(out, row),
      attrs,
    );
    attend(heads, held - 1);
  }
}
