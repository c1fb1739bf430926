/** What the recognizer knows of a tensor of the primitive graph. */
import type { Value } from '../primitive/value.ts';
import type { Source } from './source.ts';
import type { View } from './view.ts';

export type IdsRole = 'token' | 'segment';

/** Of each row of a matrix; the view is the whole of it. */
export type Statistic =
  | 'mean'
  | 'negatedMean'
  | 'squaredMean'
  | 'meanSquare'
  | 'variance'
  | 'deviation';

export interface Attending {
  readonly q: Source;
  readonly k: Source;
  readonly heads: number;
  readonly scale: number;
  readonly causal: boolean;
  /** How many tokens away a token sees others, to both sides; null: all. */
  readonly reach: number | null;
}

/** An activation turned by angles that grow with its row. */
export interface Rotated {
  /** Before it is turned. */
  readonly of: View;
  readonly theta: number;
  /** Of a head: column i of one is turned together with column i + width / 2. */
  readonly width: number;
  /** The first columns of heads, in the matrix that `of` is a view of. */
  readonly starts: readonly number[];
}

/** A layer normalization on its way: what it normalizes, and what is known so far. */
export interface Norming {
  readonly of: View;
  readonly epsilon: number;
  readonly gamma: Value | null;
}

interface Shaped {
  readonly shape: readonly number[];
}

export type Term =
  | (Shaped & { readonly kind: 'known'; readonly value: Value })
  | (Shaped & { readonly kind: 'ids'; readonly role: IdsRole })
  | (Shaped & { readonly kind: 'oneHotIds'; readonly role: IdsRole })
  /** ids + n, as frameworks write rows that are counted from the end: ids below 0 there are none. */
  | (Shaped & { readonly kind: 'shiftedIds' })
  | View
  /** Element by element apply(x); `of` has factor 1 and the same shape. */
  | (Shaped & {
      readonly kind: 'pointwise';
      readonly of: View;
      readonly apply: (x: number) => number;
      /** Factors that x had where it was read: one may make a known function of apply. */
      readonly factors: readonly number[];
    })
  | (Shaped & { readonly kind: 'statistic'; readonly statistic: Statistic } & Omit<
        Norming,
        'gamma'
      >)
  /** x − mean(x), and its square. */
  | (Shaped & { readonly kind: 'centered'; readonly of: View })
  | (Shaped & { readonly kind: 'centeredSquare'; readonly of: View })
  /** gamma/√(variance + epsilon), and that times x, times mean(x), and beta less the last. */
  | (Shaped & Norming & { readonly kind: 'inverseDeviation' })
  | (Shaped & Norming & { readonly kind: 'scaledInput' })
  | (Shaped & Norming & { readonly kind: 'scaledMean' })
  | (Shaped & Norming & { readonly kind: 'shiftedMean'; readonly beta: Value | null })
  /** scale·q·kᵀ with its mask, (heads, queries, keys); then its softmax. */
  | (Shaped & Attending & { readonly kind: 'scores' })
  | (Shaped &
      Attending & {
        readonly kind: 'attentionWeights';
        /** (heads, keys, queries): to be transposed. */
        readonly keysFirst: boolean;
      })
  /** (−second half, first half) of the last axis; an activation times cosines, and these times sines. */
  | (Shaped & { readonly kind: 'swappedHalves'; readonly of: View })
  | (Shaped & {
      readonly kind: 'turning';
      readonly of: View;
      readonly part: 'cosine' | 'sine';
      readonly table: Value;
    })
  | (Shaped & Rotated & { readonly kind: 'rotated' })
  /** Each row where the one before it (by 1) or behind it (by −1) stood; zeros where there is none. */
  | (Shaped & { readonly kind: 'shiftedRows'; readonly of: Source; readonly by: 1 | -1 })
  /** The sum of all rows. */
  | (Shaped & { readonly kind: 'rowSum'; readonly of: Source })
  /** Scores made of logits at the end of a model, or rows scaled to length 1. */
  | (Shaped & { readonly kind: 'finished'; readonly how: Finish; readonly of: View })
  /** Σ x² of each row, and its root. */
  | (Shaped & { readonly kind: 'length'; readonly of: View; readonly squared: boolean })
  | (Shaped & { readonly kind: 'unsupported'; readonly problems: readonly Problem[] });

export type Finish = 'softmax' | 'sigmoid' | 'unitLength';

/** A node of the user that our ops cannot compute. */
export interface Problem {
  readonly node: string;
  readonly userOp: string;
  readonly message: string;
  readonly hint: string;
}

export type TermOf<K extends Term['kind']> = Extract<Term, { readonly kind: K }>;
