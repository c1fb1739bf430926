/**
 * Attention of a decoder over the newest tokens and, of those before, the ones that most was looked at:
 * heavy hitters over all queries so far (H2O, arXiv 2306.14048), or over the latest few (the local sums of
 * ALISA, arXiv 2403.17312). What is dropped is gone: neither brings a token back here. Heads of keys and
 * values choose for themselves. Keys keep the positions that their tokens have in the text.
 */
import { z } from 'zod';
import { internalError } from '../errors.ts';
import type { Matrix } from '../ir/graph.ts';
import { copyRow, emptyCache, type Ring, ringAttrs, rowOf, rowsHeld, slotOf } from './cache.ts';
import {
  type CausalAttentionAttrs,
  type CausalAttentionInteger,
  causalInteger,
  causalIntegerForm,
  causalOperands,
  causalShape,
  headAttrs,
  headsFit,
  largestCausalScores,
  operandsOf,
  quantizeCausal,
} from './causal-attention.ts';
import { int } from './form.ts';
import type { OpDef } from './op.ts';

/** `pinned`: rows of the cache for tokens that left the ring, of which there is one at least. */
export interface HeavyAttentionAttrs extends CausalAttentionAttrs, Ring {
  /** Queries that count; 0: all so far. */
  readonly steps: number;
}

/**
 * Attention is causalAttention over the rows that the cache holds. Then, for each head of keys and values
 * and row j, over the heads that share it,
 *
 *   a_j = min(65535, Σ_heads (e_j·⌊2^24 ÷ Σ_i e_i⌋) >> 12)           shares in 1/2^12
 *   score_j = min(2^31 − 1, score_j + a_j), or the sum of the last `steps` a_j
 *
 * and where the next token finds the cache full, the row it takes is compared with the pinned row of least
 * score, of equal ones the first: it moves there, with its scores, if its own score is higher.
 */
export const heavyAttention: OpDef<HeavyAttentionAttrs, CausalAttentionInteger> = {
  doc: 'y = softmax(scale·q·kᵀ)·v for each head, over the newest rows and those looked at most',
  operands: causalOperands,
  readsIndex: true,
  form: {
    attrs: z.strictObject({ ...headAttrs, ...ringAttrs, steps: int.nonnegative() }),
    integer: causalIntegerForm,
    fits: (shapes, attrs) =>
      headsFit(shapes, attrs) && attrs.pinned > 0 && attrs.pinned < attrs.rows,
  },
  infer: causalShape,
  evalFloat: (inputs, attrs, out, { rowStart }) =>
    forTokens(inputs, attrs, out, rowStart, newScores(attrs), (heads, see) =>
      attendReal(heads, attrs.scale, see),
    ),
  observe: largestCausalScores,
  quantize: quantizeCausal,
  evalInteger: (inputs, attrs, integer, out, { rowStart }) =>
    forTokens(inputs, attrs, out, rowStart, newScores(attrs), (heads, see) =>
      causalInteger(heads, integer, heads[0]!.k.rows - 1, seeShares(see)),
    ),
  cache: (attrs) => attrs,
  scores: {
    columns: ({ rows, keyValueHeads, steps }) => {
      const counts = rows * keyValueHeads;
      return counts + Math.ceil((steps * counts) / 2);
    },
    evalRow: ([q, k, v], attrs, integer, carry, out, token) => {
      const scores = scoresIn(carry.data as Int32Array, attrs);
      attendToken([q!, k!, v!], attrs, out, token, scores, (heads, see) =>
        causalInteger(heads, integer, heads[0]!.k.rows - 1, seeShares(see)),
      );
    },
  },
  macsPerRow: ([q, , v], { heads, keyValueHeads, rows }, tokens) =>
    Math.min(tokens, rows) * (q![1] + (v![1] * heads) / keyValueHeads),
  work: (_inputs, { attrs, tokens }) => ({ scores: attrs.heads * Math.min(tokens, attrs.rows) }),
  kernel: 'heavy_attention',
};

/** (key-value heads, rows); of the last `steps` queries (steps, key-value heads, rows). */
interface Scores {
  readonly sums: Int32Array;
  readonly history: Uint16Array;
}

function scoresIn(data: Int32Array, { rows, keyValueHeads, steps }: HeavyAttentionAttrs): Scores {
  const counts = rows * keyValueHeads;
  const historyStart = data.byteOffset + 4 * counts;
  return {
    sums: data.subarray(0, counts),
    history: new Uint16Array(data.buffer, historyStart, steps * counts),
  };
}

function newScores(attrs: HeavyAttentionAttrs): Scores {
  return scoresIn(new Int32Array(heavyAttention.scores!.columns(attrs)), attrs);
}

type Heads = ReturnType<typeof operandsOf>;
/** Shares of one query and head, in 1/2^12, by row of the cache. */
type SeeShares = (head: number, shares: ArrayLike<number>) => void;
type Attend = (heads: Heads, see: SeeShares) => void;

function seeShares(see: SeeShares) {
  return (head: number, weights: Uint8Array, total: number): void => {
    const inverse = Math.floor(2 ** 24 / total);
    see(
      head,
      Array.from(weights, (weight) => (weight * inverse) >>> 12),
    );
  };
}

/** All tokens of the operands, one after the other, as a cache of their own sees them. */
function forTokens(
  [q, k, v]: readonly Matrix[],
  attrs: HeavyAttentionAttrs,
  out: Matrix,
  rowStart: number,
  scores: Scores,
  attend: Attend,
): void {
  if (rowStart !== 0) throw internalError('the scores of the tokens before are not known');
  const [keys, values] = [emptyCache(k!, attrs), emptyCache(v!, attrs)];
  for (let token = 0; token < q!.rows; token++) {
    const slot = slotOf(token, attrs);
    copyRow(k!, token, keys, slot);
    copyRow(v!, token, values, slot);
    attendToken([rowOf(q!, token), keys, values], attrs, rowOf(out, token), token, scores, attend);
  }
}

/** The token is in the cache; afterwards there is room for the next one. */
function attendToken(
  [q, keys, values]: readonly [Matrix, Matrix, Matrix],
  attrs: HeavyAttentionAttrs,
  out: Matrix,
  token: number,
  { sums, history }: Scores,
  attend: Attend,
): void {
  const { rows, keyValueHeads, heads, steps } = attrs;
  if (token === 0) {
    sums.fill(0);
    history.fill(0);
  }
  const held = rowsHeld(token, attrs);
  const added = new Uint16Array(keyValueHeads * rows);
  const operands = operandsOf(q, { ...keys, rows: held }, { ...values, rows: held }, out, attrs);
  attend(operands, (head, shares) => {
    const first = Math.floor((head * keyValueHeads) / heads) * rows;
    for (let row = 0; row < held; row++) {
      added[first + row] = Math.min(65535, added[first + row]! + shares[row]!);
    }
  });
  const latest = steps === 0 ? null : history.subarray((token % steps) * added.length);
  for (const [index, share] of added.entries()) {
    if (index % rows >= held) continue;
    const old = latest?.[index] ?? 0;
    sums[index] = Math.min(2 ** 31 - 1, sums[index]! + share - old);
    if (latest !== null) latest[index] = share;
  }
  if (token + 1 < rows) return;
  const slot = slotOf(token + 1, attrs);
  for (let head = 0; head < keyValueHeads; head++) {
    makeRoom(keys, values, attrs, head, slot, { sums, history });
  }
}

/** What lies in `slot` goes to the pinned row of least score, if it has a higher one. */
function makeRoom(
  keys: Matrix,
  values: Matrix,
  { rows, pinned, keyValueHeads, steps }: HeavyAttentionAttrs,
  head: number,
  slot: number,
  { sums, history }: Scores,
): void {
  const first = head * rows;
  let least = 0;
  for (let row = 1; row < pinned; row++) {
    if (sums[first + row]! < sums[first + least]!) least = row;
  }
  const moves = sums[first + slot]! > sums[first + least]!;
  if (moves) {
    for (const matrix of [keys, values]) {
      const columns = matrix.columns / keyValueHeads;
      const part = { ...matrix, columns, offset: matrix.offset + head * columns };
      copyRow(part, slot, part, least);
    }
    sums[first + least] = sums[first + slot]!;
  }
  sums[first + slot] = 0;
  for (let step = 0; step < steps; step++) {
    const counts = step * rows * keyValueHeads + first;
    if (moves) history[counts + least] = history[counts + slot]!;
    history[counts + slot] = 0;
  }
}

/** As attentionFloat for one query, which sees all rows; the shares are rounded as integers' are. */
function attendReal(heads: Heads, scale: number, see: SeeShares): void {
  for (const [head, { q, k, v, out }] of heads.entries()) {
    const dots = Array.from({ length: k.rows }, (_, row) => {
      let sum = 0;
      for (let c = 0; c < q.columns; c++) {
        sum += q.data[q.offset + c]! * k.data[k.offset + row * k.stride + c]!;
      }
      return sum * scale;
    });
    const largest = dots.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const weights = dots.map((dot) => Math.exp(dot - largest));
    const total = weights.reduce((a, b) => a + b, 0);
    for (let c = 0; c < v.columns; c++) {
      const at = v.offset + c;
      const sum = weights.reduce(
        (mix, weight, row) => mix + weight * v.data[at + row * v.stride]!,
        0,
      );
      out.data[out.offset + c] = sum / total;
    }
    see(
      head,
      weights.map((weight) => Math.floor((4096 * weight) / total)),
    );
  }
}
