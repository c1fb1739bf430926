/**
 * Instructions of every kernel at BERT-tiny's shapes, on each emulated core:
 * `node test/kernels/benchmark.ts [part of a kernel's name]`. Instructions, not cycles; kernels that
 * call CMSIS-NN are counted with its slow stand-in.
 */

import { dtypes } from '../../toolchain/ir/dtypes.ts';
import { type Kernel, loadKernels } from '../../toolchain/schedule/kernels.ts';
import {
  type AttendInputsShape,
  type AttentionShape,
  attendInputsCase,
  attentionCase,
  normalizedAttentionCase,
} from './cases/attention.ts';
import type { Case } from './cases/common.ts';
import { type LinearShape, linearCase } from './cases/linear.ts';
import {
  addCase,
  addLayerNormCaseOf,
  embedLayerNormCaseOf,
  layerNormCaseOf,
  meanRowsCaseOf,
} from './cases/rows.ts';
import {
  clusterRowsCase,
  codebookRowsCase,
  lookupRowsCase,
  tokenTile,
  weightRowsCase,
  wordLookup,
} from './cases/tables.ts';
import { seedRandom } from './random.ts';
import { emulated, kernelsOf, runCases } from './run.ts';

interface Benchmark {
  readonly shape: string;
  readonly one: Case;
  /** Multiply-accumulates; elements for kernels without. */
  readonly work: number;
}

const benchmarks: Readonly<Record<string, (kernel: Kernel) => readonly Benchmark[]>> = {
  linear: (kernel) => [
    linearBenchmark(kernel, 64, 128, 128, false),
    ...(kernel.input === 'int16'
      ? [linearBenchmark(kernel, 16, 128, 64, false)]
      : [
          linearBenchmark(kernel, 64, 128, 512, kernel.output === 'int8'),
          linearBenchmark(kernel, 64, 512, 128, false),
          linearBenchmark(kernel, 16, 1024, 256, false),
        ]),
    linearBenchmark(kernel, 4, 128, 128, false),
    linearBenchmark(kernel, 1, 128, 128, false),
  ],
  attention: (kernel) => [
    attentionBenchmark(kernel, 16, 64),
    attentionBenchmark(kernel, 16, 128),
    attentionBenchmark(kernel, 1, 128),
  ],
  attend_inputs: (kernel) => [
    attendInputsBenchmark(kernel, 1, 128, 128),
    attendInputsBenchmark(kernel, 8, 128, 16),
    attendInputsBenchmark(kernel, 16, 128, 16),
    attendInputsBenchmark(kernel, 32, 128, 16),
    attendInputsBenchmark(kernel, 16, 128, 128),
  ],
  normalized_attention: (kernel) => [
    normalizedAttentionBenchmark(kernel, 16, 64),
    normalizedAttentionBenchmark(kernel, 16, 128),
    normalizedAttentionBenchmark(kernel, 1, 128),
  ],
  add: (kernel) => [
    {
      shape: '16 x 128',
      one: addCase(kernel, { width: 128, rows: 16, data: 'random', gap: 0 }),
      work: 16 * 128,
    },
  ],
  layer_norm: (kernel) => [
    {
      shape: '16 x 128',
      one: layerNormCaseOf(kernel, {
        ...{ width: 128, rows: 16, data: 'random', gap: 0, inPlace: false },
        range: dtypes[kernel.output],
      }),
      work: 16 * 128,
    },
  ],
  add_layernorm: (kernel) => [
    {
      shape: '16 x 128',
      one: addLayerNormCaseOf(kernel, {
        ...{ width: 128, rows: 16, data: 'random', inPlace: 'no' },
        range: dtypes[kernel.output],
      }),
      work: 16 * 128,
    },
  ],
  weight_rows: (kernel) => [
    { shape: '16 x 128', one: weightRowsCase(kernel, 128, tokenTile(16)), work: 16 * 128 },
  ],
  lookup_rows: (kernel) => [
    {
      shape: '16 x 128',
      one: lookupRowsCase(kernel, wordLookup(128), tokenTile(16)),
      work: 16 * 128,
    },
    {
      shape: '16 x 128 of 4 bits, with scales',
      one: lookupRowsCase(kernel, { ...wordLookup(128), bits: 4, scaled: true }, tokenTile(16)),
      work: 16 * 128,
    },
    {
      shape: '16 x 24 of 4 bits',
      one: lookupRowsCase(kernel, { ...wordLookup(24), bits: 4 }, tokenTile(16)),
      work: 16 * 24,
    },
  ],
  cluster_rows: (kernel) => [
    {
      shape: '16 x 128, 4 clusters of rank 24',
      one: clusterRowsCase(kernel, { width: 128, ranks: [24, 24, 24, 24], bits: 4 }, tokenTile(16)),
      work: 16 * 128,
    },
  ],
  codebook_rows: (kernel) => [
    {
      shape: '16 x 48, 6 stages of 8 columns',
      one: codebookRowsCase(
        kernel,
        {
          ...{ rank: 48, stages: [6], entries: 16 },
          books: [0, 8, 16, 24, 32, 40].map((first) => [8, first] as const),
        },
        tokenTile(16),
      ),
      work: 16 * 48,
    },
  ],
  embed_layernorm: (kernel) => [
    {
      shape: '16 x 128',
      one: embedLayerNormCaseOf(kernel, {
        ...{ width: 128, rows: 16, range: dtypes[kernel.output], inPlace: false },
      }),
      work: 16 * 128,
    },
  ],
  mean_rows: (kernel) => [
    { shape: '64 x 128', one: meanRowsCaseOf(kernel, 128, 64, [64, 64]), work: 64 * 128 },
  ],
};

function linearBenchmark(
  kernel: Kernel,
  rows: number,
  inputs: number,
  outputs: number,
  table: boolean,
): Benchmark {
  const shape: LinearShape = {
    ...{ inputs, outputs, rows, table, data: 'random', anyShift: false, weightOffset: 0 },
    ...{ xStride: inputs, yStride: outputs, range: dtypes[kernel.output] },
  };
  return {
    shape: `${rows} x ${inputs} -> ${outputs}${table ? ', table' : ''}`,
    one: linearCase(kernel, shape),
    work: rows * inputs * outputs,
  };
}

function attentionBenchmark(kernel: Kernel, rows: number, tokens: number): Benchmark {
  const shape: AttentionShape = {
    ...{
      heads: 2,
      headWidth: 64,
      valueWidth: 64,
      tokens,
      rows,
      rowStart: 0,
      causal: false,
      reach: -1,
    },
    ...{ inPlace: false, data: 'random', gap: 0, anyShift: false },
  };
  return {
    shape: `${rows} of ${tokens} tokens, 2 heads of 64`,
    one: attentionCase(kernel, shape),
    work: 2 * rows * tokens * 128,
  };
}

/** BERT-tiny's width and 128 tokens, which come in blocks. */
function attendInputsBenchmark(
  kernel: Kernel,
  rows: number,
  tokens: number,
  blockRows: number,
): Benchmark {
  const shape: AttendInputsShape = {
    ...{ heads: 1, width: 128, tokens, rows, blockRows: [blockRows, blockRows] },
    ...{ inPlace: false, data: 'random', gap: 0, anyShift: false },
  };
  return {
    shape: `${rows} x 128, ${tokens} tokens by ${blockRows}`,
    one: attendInputsCase(kernel, shape),
    work: 2 * rows * tokens * 128,
  };
}

function normalizedAttentionBenchmark(kernel: Kernel, rows: number, tokens: number): Benchmark {
  const shape = { heads: 1, headWidth: 64, valueWidth: 64, tokens, rows, scoreScale: 0.05 };
  return {
    shape: `${rows} of ${tokens} tokens, a head of 64`,
    one: normalizedAttentionCase(kernel, { ...shape, data: 'random', gap: 0 }),
    work: 2 * rows * tokens * 64,
  };
}

const [, , wanted = ''] = process.argv;
const table = loadKernels();
for (const machine of emulated) {
  seedRandom(1);
  const all = kernelsOf(table, machine)
    .filter(({ name }) => name.includes(wanted))
    .flatMap((kernel) =>
      (benchmarks[kernel.family]?.(kernel) ?? []).map((b) => ({ kernel, ...b })),
    );
  const answers = runCases(
    table,
    machine,
    all.map(({ one }) => one),
  );
  for (const [index, { kernel, shape, work }] of all.entries()) {
    const instructions = answers[index]?.instructions ?? 0;
    const columns = [
      machine.name.padEnd(11),
      kernel.name.padEnd(28),
      shape.padEnd(34),
      instructions.toLocaleString('en-US').padStart(12),
      (instructions / work).toFixed(3).padStart(8),
    ];
    console.log(columns.join(' '));
  }
}
