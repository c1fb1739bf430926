/**
 * The calls by which kernels are measured: shapes of tiny BERTs, what each call does by the terms of the
 * cost model, and how kernels take rows. `measure-cost.ts` runs them.
 */
import { dtypes } from '../../toolchain/ir/dtypes.ts';
import type { Kernel } from '../../toolchain/schedule/kernels.ts';
import {
  attendInputsCase,
  attentionCase,
  normalizedAttentionCase,
} from '../kernels/cases/attention.ts';
import { embedCase, scaledAddCase, trigramsCase } from '../kernels/cases/bottleneck.ts';
import type { Case } from '../kernels/cases/common.ts';
import {
  causalAttentionCase,
  gatedProductCase,
  heavyAttentionCase,
  residualAddCase,
  rmsNormCase,
  rotaryCase,
} from '../kernels/cases/decoder.ts';
import { linearCase } from '../kernels/cases/linear.ts';
import {
  addCase,
  addLayerNormCaseOf,
  embedLayerNormCaseOf,
  layerNormCaseOf,
  meanRowsCaseOf,
} from '../kernels/cases/rows.ts';
import {
  clusterRowsCase,
  codebookRowsCase,
  lookupRowsCase,
  tokenTile,
  weightRowsCase,
  wordLookup,
} from '../kernels/cases/tables.ts';

export const terms = [
  'call',
  'shared',
  'whole',
  'row',
  'element',
  'mac',
  'score',
  'table',
] as const;
export type Term = (typeof terms)[number];
export type Terms = Readonly<Record<Term, number>>;

export interface Sample {
  readonly one: Case;
  /** What the call does, by term. */
  readonly work: Readonly<Record<Exclude<Term, 'whole'>, number>> & { readonly whole?: number };
}

/**
 * Rows that a kernel takes in its next pass over the weights when one row is left, two are left and
 * so on; where it goes other ways for wide inputs, by the widest of each way.
 */
export interface Way {
  readonly mostInputs: number | null;
  readonly taken: readonly number[];
  /** Rows for which something is prepared together; null: all rows of a call. */
  readonly chunk: number | null;
  /** The share of the MACs that absorbed attention does for whole blocks of 16 tokens; else none. */
  readonly padded?: number;
}

export const singleRows: readonly Way[] = [{ mostInputs: null, taken: [1], chunk: null }];
export const ways: Readonly<
  Record<string, Readonly<Partial<Record<Kernel['variant'], readonly Way[]>>>>
> = {
  // Our calls of CMSIS-NN take 16 rows at once.
  normalized_attention: { 'cmsis-nn': [{ mostInputs: null, taken: [1], chunk: 16 }] },
  linear: {
    portable: singleRows,
    // kernels/c/dsp/linear.c: rows_at_once.
    dsp: [
      { mostInputs: 128, taken: [1, 2, 3, 2], chunk: null },
      { mostInputs: null, taken: [1, 2], chunk: null },
    ],
    // Longer rows of random weights have sums that kernels/c/dsp/linear_triples.c does not bound.
    'dsp-triples': [
      { mostInputs: 600, taken: [1], chunk: null },
      { mostInputs: null, taken: [1], chunk: null },
    ],
    mve: [{ mostInputs: null, taken: [1, 2, 3], chunk: null }],
    'wasm-simd': [{ mostInputs: null, taken: [1, 2, 3, 4], chunk: 64 }],
  },
  linear_wide: {
    portable: singleRows,
    dsp: [{ mostInputs: null, taken: [1, 2, 3, 4], chunk: null }],
    mve: [{ mostInputs: null, taken: [1, 2, 3], chunk: null }],
    'wasm-simd': [{ mostInputs: null, taken: [1, 2, 3, 4], chunk: 64 }],
  },
  attend_inputs: {
    portable: singleRows,
    dsp: [{ mostInputs: null, taken: [1, 2, 3, 4], chunk: 16, padded: 1 }],
    mve: [{ mostInputs: null, taken: [1, 2, 3], chunk: 12, padded: 0.5 }],
  },
  attention: {
    portable: singleRows,
    dsp: [{ mostInputs: null, taken: [1, 2, 3, 4], chunk: null }],
    mve: [{ mostInputs: null, taken: [1, 2, 3], chunk: null }],
    'wasm-simd': [{ mostInputs: null, taken: [1, 2, 3, 4], chunk: 64 }],
  },
};

/** Calls over the given numbers of rows, of inputs in a range. */
export const samples: Readonly<
  Record<string, (kernel: Kernel, rowCounts: readonly number[], widths: Range) => Sample[]>
> = {
  linear: (kernel, rowCounts, { above, most }) =>
    rowCounts.flatMap((rows) =>
      linearWidths
        .filter(([inputs]) => inputs > above && inputs <= most)
        .flatMap(([inputs, outputs]) =>
          (kernel.output === 'int8' ? [false, true] : [false]).map((table) => {
            const strides = { xStride: inputs, yStride: outputs };
            const shape = { inputs, outputs, rows, ...strides, table, weightOffset: 0 } as const;
            // Models use the whole range; the kernels skip the clamp then.
            const range = dtypes[kernel.output];
            const elements = rows * outputs;
            return {
              one: withUsualShifts(
                linearCase(kernel, { ...shape, range, data: 'random', anyShift: false }),
              ),
              work: {
                ...{ call: 1, shared: outputs, row: rows, element: elements },
                ...{
                  whole: preparesOperands(kernel) ? inputs * outputs : 0,
                  mac: elements * inputs,
                },
                ...{ score: 0, table: table ? elements : 0 },
              },
            };
          }),
        ),
    ),
  attention: (kernel, rowCounts) =>
    rowCounts.flatMap((rows) =>
      [32, 64, 128, 512].flatMap((tokens) =>
        [
          [1, 64],
          [2, 64],
          [2, 32],
          [4, 32],
        ].map(([heads = 0, width = 0]) => {
          const shape = { heads, headWidth: width, valueWidth: width, tokens, rows, rowStart: 0 };
          const rest = {
            causal: false,
            reach: -1,
            inPlace: false,
            gap: 0,
            anyShift: false,
          } as const;
          return {
            one: attentionCase(kernel, { ...shape, ...rest, data: 'random' }),
            work: {
              ...{ call: 1, shared: 0, row: rows, element: rows * heads * width },
              ...{ mac: 2 * rows * tokens * heads * width, score: rows * heads * tokens },
              ...{ table: 0, whole: preparesOperands(kernel) ? 2 * tokens * heads * width : 0 },
            },
          };
        }),
      ),
    ),
  /** A row is a row of one head. */
  attend_inputs: (kernel, rowCounts) =>
    rowCounts.flatMap((count) =>
      [32, 64, 128, 512].flatMap((tokens) =>
        [64, 128, 256].map((width) => {
          const heads = count % 2 === 0 ? 2 : 1;
          const shape = { heads, width, tokens, rows: count / heads, inPlace: false, gap: 0 };
          const rest = { blockRows: [tokens, tokens], anyShift: false } as const;
          return {
            one: attendInputsCase(kernel, { ...shape, ...rest, data: 'random' }),
            work: {
              ...{ call: 1, shared: tokens * width, row: count, element: count * width },
              ...{ mac: 2 * count * tokens * width, score: count * tokens, table: 0 },
            },
          };
        }),
      ),
    ),
  normalized_attention: (kernel) =>
    [1, 4, 8, 16].flatMap((rows) =>
      [32, 64, 128].flatMap((tokens) =>
        [
          [1, 64],
          [2, 64],
          [1, 32],
        ].map(([heads = 0, width = 0]) => {
          const shape = { heads, headWidth: width, valueWidth: width, tokens, rows, scoreScale };
          const scores = rows * heads * tokens;
          return {
            one: normalizedAttentionCase(kernel, { ...shape, data: 'random', gap: 0 }),
            work: {
              ...{ call: 1, shared: 0, row: rows, element: rows * heads * width },
              ...{ mac: 2 * scores * width, score: scores, table: 0 },
              whole: isArms(kernel) ? 2 * tokens * heads * width : 0,
            },
          };
        }),
      ),
    ),
  /** Rows are those of the newest tokens. */
  causal_attention: (kernel) =>
    [
      [32, 1],
      [64, 4],
      [128, 1],
      [256, 2],
    ].flatMap(([tokens = 0, rows = 0]) =>
      [
        [4, 2, 8],
        [4, 1, 8],
        [2, 1, 16],
        [4, 1, 16],
        [2, 1, 32],
        [4, 1, 32],
      ].map(([keyValueHeads = 0, sharing = 0, width = 0]) => {
        const heads = keyValueHeads * sharing;
        const shape = { keyValueHeads, sharing, headWidth: width, valueWidth: width };
        const place = { rowStart: tokens - rows, rows, gap: 0 };
        const scores = heads * ((rows * (2 * tokens - rows + 1)) / 2);
        return {
          one: causalAttentionCase(kernel, { ...shape, ...place, data: 'random' }),
          work: {
            ...{ call: 1, shared: 0, row: rows, element: rows * heads * width },
            ...{ mac: 2 * scores * width, score: scores, table: 0 },
          },
        };
      }),
    ),
  heavy_attention: (kernel) =>
    [32, 64, 128].flatMap((rows) =>
      [
        [4, 2, 8],
        [4, 1, 8],
        [2, 1, 16],
        [4, 1, 16],
        [2, 1, 32],
        [4, 1, 32],
      ].map(([keyValueHeads = 0, sharing = 0, width = 0]) => {
        const heads = keyValueHeads * sharing;
        const shape = { keyValueHeads, sharing, headWidth: width, valueWidth: width };
        const place = { rows, pinned: rows / 2, steps: 0, token: 2 * rows, gap: 0 };
        return {
          one: heavyAttentionCase(kernel, { ...shape, ...place, data: 'random' }),
          work: {
            ...{ call: 0, shared: 0, row: 1, element: heads * width },
            ...{ mac: 2 * heads * rows * width, score: heads * rows, table: 0 },
          },
        };
      }),
    ),
  rotary: (kernel) =>
    byRows((width, rows) => rotaryCase(kernel, { heads: width / 8, headWidth: 8, rows })),
  gated_product: (kernel) => byRows((width, rows) => gatedProductCase(kernel, { width, rows })),
  residual_add: (kernel) => byRows((width, rows) => residualAddCase(kernel, { width, rows })),
  trigrams: (kernel) =>
    byRows(
      (width, rows) => trigramsCase(kernel, { width: width / 3, tokens: rows, rows, rowStart: 0 }),
      [16, 64, 128],
      [96, 192, 384],
    ),
  embed: (kernel) => byRows((width, rows) => embedCase(kernel, { width, rows })),
  scaled_add: (kernel) =>
    byRows((width, rows) => scaledAddCase(kernel, { width, rows, range: dtypes[kernel.output] })),
  rms_norm: (kernel) => byRows((width, rows) => rmsNormCase(kernel, { width, rows })),
  add: (kernel) =>
    byRows((width, rows) => addCase(kernel, { width, rows, data: 'random', gap: 0 })),
  layer_norm: (kernel) =>
    byRows((width, rows) =>
      layerNormCaseOf(kernel, {
        ...{ width, rows, data: 'random', gap: 0, inPlace: false },
        range: dtypes[kernel.output],
      }),
    ),
  add_layernorm: (kernel) =>
    byRows((width, rows) =>
      addLayerNormCaseOf(kernel, {
        width,
        rows,
        data: 'random',
        inPlace: 'no',
        range: dtypes[kernel.output],
      }),
    ),
  lookup_rows: (kernel) =>
    // A row takes less than the emulator's clock tells apart; other widths have a rest of a few elements.
    byRows(
      (width, rows) => lookupRowsCase(kernel, wordLookup(width), tokenTile(rows)),
      [16, 64, 128, 256],
      [64, 128, 256],
    ),
  weight_rows: (kernel) =>
    byRows(
      (width, rows) => weightRowsCase(kernel, width, tokenTile(rows)),
      [16, 64, 128, 256],
      [64, 128, 256],
    ),
  cluster_rows: (kernel) =>
    byRows((width, rows) =>
      clusterRowsCase(kernel, { width, ranks: [24, 24], bits: 4 }, tokenTile(rows)),
    ),
  codebook_rows: (kernel) =>
    byRows((rank, rows) => {
      const books = Array.from({ length: 6 }, (_, stage) => [8, 8 * stage] as const);
      return codebookRowsCase(kernel, { rank, stages: [6], books, entries: 16 }, tokenTile(rows));
    }),
  embed_layernorm: (kernel) =>
    byRows((width, rows) =>
      embedLayerNormCaseOf(kernel, {
        ...{ width, rows, range: dtypes[kernel.output], inPlace: false },
      }),
    ),
  mean_rows: (kernel) =>
    [16, 64, 128].map((rows) => ({
      one: meanRowsCaseOf(kernel, 128, rows, [rows, rows]),
      work: { call: 1, shared: 0, row: 0, element: rows * 128, mac: 0, score: 0, table: 0 },
    })),
};

function isArms({ variant }: Kernel): boolean {
  return variant === 'cmsis-nn';
}

/**
 * Whether operands are prepared again for every chunk of rows: CMSIS-NN adds up the weights, and our
 * calls transpose the values; WebAssembly widens weights, keys and values.
 */
function preparesOperands(kernel: Kernel): boolean {
  return isArms(kernel) || kernel.variant === 'wasm-simd';
}

/** No difference of scores is so large that its exponential is left out. */
const scoreScale = 0.05;

/** Inputs and outputs of the linears of BERT-tiny, -mini and TinyBERT's widths. */
const linearWidths = [
  ...([64, 128].flatMap((inputs) => [24, 64, 128, 512].map((outputs) => [inputs, outputs])) as [
    number,
    number,
  ][]),
  ...([256, 312, 512].flatMap((inputs) => [128, 256].map((outputs) => [inputs, outputs])) as [
    number,
    number,
  ][]),
  ...([600, 1024, 1200].flatMap((inputs) => [64, 128, 256].map((outputs) => [inputs, outputs])) as [
    number,
    number,
  ][]),
];

interface Range {
  readonly above: number;
  readonly most: number;
}

function byRows(
  make: (width: number, rows: number) => Case,
  rowCounts: readonly number[] = [1, 4, 16],
  widths: readonly number[] = [64, 128, 312],
): Sample[] {
  return rowCounts.flatMap((rows) =>
    widths.map((width) => ({
      one: make(width, rows),
      work: { call: 1, shared: 0, row: rows, element: rows * width, mac: 0, score: 0, table: 0 },
    })),
  );
}

/** Rows of calls in which passes of `rows` are measured. */
export function rowCountsOf(
  kernel: Kernel,
  rows: number,
  { taken, chunk }: Way,
): readonly number[] {
  const most = Math.max(...taken);
  if (isArms(kernel)) return [1, 4, 16, 32];
  return rows < most ? [rows] : [most, 2 * most, (chunk === null ? 6 : 3) * most];
}

const usualShift = 6;

/** Shifts as trained models have them: to the right, within what the fast paths take. */
function withUsualShifts(one: Case): Case {
  const [, outputs = 0, , , , shifts = 0] = one.args;
  const before = one.before.slice();
  before.fill(256 - usualShift, shifts, shifts + outputs);
  // The bounds that kernels are told of, at the end of the arguments.
  const args = one.args.with(17, -usualShift).with(18, -usualShift);
  return { ...one, args, before };
}
