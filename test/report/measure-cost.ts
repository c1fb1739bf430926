/**
 * Measures the `cost` data of targets/cores: instructions of every kernel family at the shapes of
 * tiny BERTs, on each emulated core, and the linear model that fits them best.
 *
 *   node test/report/measure-cost.ts            prints the models and how far off they are
 *   node test/report/measure-cost.ts --write    writes them into targets/cores
 *   … --only 'lookup|rotary'                    of kernels whose name matches; others stay as they are
 *   … --cmsis-nn <folder>                       also those that call CMSIS-NN, of which it is a checkout
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openCmsisNn } from '../../toolchain/build/cmsis-nn.ts';
import { dtypes } from '../../toolchain/ir/dtypes.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import {
  type Kernel,
  type KernelTable,
  loadKernels,
  selectKernel,
  weightType,
} from '../../toolchain/schedule/kernels.ts';
import type { Target } from '../../toolchain/targets.ts';
import {
  attendInputsCase,
  attentionCase,
  normalizedAttentionCase,
} from '../kernels/cases/attention.ts';
import type { Case } from '../kernels/cases/common.ts';
import {
  causalAttentionCase,
  gatedProductCase,
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
  wordLookup,
} from '../kernels/cases/tables.ts';
import { seedRandom } from '../kernels/random.ts';
import { emulated, type Machine, runCases } from '../kernels/run.ts';

const formatter = packagePath('node_modules/@biomejs/biome/bin/biome');

const terms = ['call', 'shared', 'whole', 'row', 'element', 'mac', 'score', 'table'] as const;
type Term = (typeof terms)[number];
type Terms = Readonly<Record<Term, number>>;
type Cost = Target['core']['cost']['kernels'][string][number];

interface Sample {
  readonly one: Case;
  /** What the call does, by term. */
  readonly work: Readonly<Record<Exclude<Term, 'whole'>, number>> & { readonly whole?: number };
}

/**
 * Rows that a kernel takes in its next pass over the weights when one row is left, two are left and
 * so on; where it goes other ways for wide inputs, by the widest of each way.
 */
interface Way {
  readonly mostInputs: number | null;
  readonly taken: readonly number[];
  /** Rows for which something is prepared together; null: all rows of a call. */
  readonly chunk: number | null;
  /** The share of the MACs that absorbed attention does for whole blocks of 16 tokens; else none. */
  readonly padded?: number;
}

const singleRows: readonly Way[] = [{ mostInputs: null, taken: [1], chunk: null }];
const ways: Readonly<Record<string, Readonly<Partial<Record<Kernel['variant'], readonly Way[]>>>>> =
  {
    // Our calls of CMSIS-NN take 16 rows at once.
    normalized_attention: { 'cmsis-nn': [{ mostInputs: null, taken: [1], chunk: 16 }] },
    linear: {
      portable: singleRows,
      // kernels/c/dsp/linear.c: rows_at_once.
      dsp: [
        { mostInputs: 128, taken: [1, 2, 3, 2], chunk: null },
        { mostInputs: null, taken: [1, 2], chunk: null },
      ],
      mve: [{ mostInputs: null, taken: [1, 2, 3], chunk: null }],
    },
    linear_wide: {
      portable: singleRows,
      dsp: [{ mostInputs: null, taken: [1, 2, 3, 4], chunk: null }],
      mve: [{ mostInputs: null, taken: [1, 2, 3], chunk: null }],
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
    },
  };

/** Calls over the given numbers of rows, of inputs in a range. */
const samples: Readonly<
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
                ...{ whole: isArms(kernel) ? inputs * outputs : 0, mac: elements * inputs },
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
          const rest = { causal: false, inPlace: false, gap: 0, anyShift: false } as const;
          return {
            one: attentionCase(kernel, { ...shape, ...rest, data: 'random' }),
            work: {
              ...{ call: 1, shared: 0, row: rows, element: rows * heads * width },
              ...{ mac: 2 * rows * tokens * heads * width, score: rows * heads * tokens },
              table: 0,
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
  rotary: (kernel) =>
    byRows((width, rows) => rotaryCase(kernel, { heads: width / 8, headWidth: 8, rows })),
  gated_product: (kernel) => byRows((width, rows) => gatedProductCase(kernel, { width, rows })),
  residual_add: (kernel) => byRows((width, rows) => residualAddCase(kernel, { width, rows })),
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

/** CMSIS-NN adds up the weights, and our calls transpose the values, again for every chunk. */
function isArms({ variant }: Kernel): boolean {
  return variant === 'cmsis-nn';
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

interface Measurement {
  readonly kernel: Kernel;
  readonly way: Way;
  /** Calls of passes of one row, of two, and so on. */
  readonly lists: readonly (readonly Sample[])[];
}

function measure(machine: Machine): Record<string, Cost[]> {
  const table = loadKernels();
  seedRandom(1);
  const measurements = kernelsToMeasure(table, machine).flatMap((kernel) => {
    const isWide = kernel.input === 'int16' && kernel.family === 'linear';
    // kernels/c/dsp/linear_w4.c takes rows of int16 as those of int8.
    const family = isWide && weightType(kernel) === 'int8' ? 'linear_wide' : kernel.family;
    const own = ways[family]?.[kernel.variant] ?? singleRows;
    return own.map((way, index): Measurement => {
      const range = {
        above: own[index - 1]?.mostInputs ?? 0,
        most: way.mostInputs ?? Number.POSITIVE_INFINITY,
      };
      const most = Math.max(...way.taken);
      const lists = Array.from({ length: most }, (_, rows) =>
        samples[kernel.family]!(kernel, rowCountsOf(kernel, rows + 1, way), range),
      );
      return { kernel, way, lists };
    });
  });
  const cases = measurements.flatMap(({ lists }) => lists.flat().map(({ one }) => one));
  const answers = runCases(table, machine, cases).map(({ instructions }) => instructions);
  const costs: Record<string, Cost[]> = {};
  for (const { kernel, way, lists } of measurements) {
    const counted = lists.map((list) => ({ list, counts: answers.splice(0, list.length) }));
    // What a call takes in itself is known from the largest passes, of which a call has several.
    const largest = fitCost(counted.at(-1)!, null);
    const passes = counted.map((one) => fitCost(one, largest)).with(-1, largest);
    const worst = passes.map((cost, index) => worstError(cost, counted[index]!));
    const width = way.mostInputs === null ? '' : ` to ${way.mostInputs} inputs`;
    console.log(`${machine.name} ${kernel.name}${width}`, JSON.stringify(largest));
    console.log(`  by rows of a pass, worst ${worst.join(', ')}`);
    costs[kernel.name] = [
      ...(costs[kernel.name] ?? []),
      {
        ...{ mostInputs: way.mostInputs, call: largest.call, shared: largest.shared },
        whole: largest.whole,
        ...{ chunk: way.chunk, padded: way.padded ?? 0 },
        passes: passes.map(
          ({ call: _, shared: __, whole: ___, ...rows }) => rows,
        ) as Cost['passes'],
        taken: [...way.taken] as Cost['taken'],
      },
    ];
  }
  return costs;
}

/** Rows of calls in which passes of `rows` are measured. */
function rowCountsOf(kernel: Kernel, rows: number, { taken, chunk }: Way): readonly number[] {
  const most = Math.max(...taken);
  if (isArms(kernel)) return [1, 4, 16, 32];
  return rows < most ? [rows] : [most, 2 * most, (chunk === null ? 6 : 3) * most];
}

/** Shifts as trained models have them: to the right, within what the fast paths take. */
function withUsualShifts(one: Case): Case {
  const [, outputs = 0, , , , shifts = 0] = one.args;
  const before = one.before.slice();
  before.fill(256 - 6, shifts, shifts + outputs);
  return { ...one, before };
}

interface Counted {
  readonly list: readonly Sample[];
  readonly counts: readonly number[];
}

function worstError(cost: Terms, { list, counts }: Counted): string {
  const errors = list.map(({ work }, index) => Math.abs(predict(cost, work) / counts[index]! - 1));
  return `${(100 * Math.max(...errors)).toFixed(1)} %`;
}

/** Every kernel that some model would run on the machine; those of Arm's only from Arm's own library. */
function kernelsToMeasure(table: KernelTable, { features }: Machine): readonly Kernel[] {
  const own = features.filter((feature) => feature !== 'cmsis-nn');
  const best = [own, ...(cmsisNn === undefined ? [] : [features])].flatMap((some) =>
    table.kernels.map((kernel) => {
      const { family, output, input } = kernel;
      return selectKernel(table, family, output, some, { input, weights: weightType(kernel) });
    }),
  );
  return [...new Set(best)].filter(({ name }) => only.test(name));
}

function predict(cost: Terms, work: Sample['work']): number {
  return terms.reduce((sum, term) => sum + cost[term] * (work[term] ?? 0), 0);
}

/**
 * Least squares of relative errors; a term that comes out negative is left out, then all again.
 * `known`: where the terms of a call itself are taken from.
 */
function fitCost({ list, counts }: Counted, known: Terms | null): Terms {
  const isKnown = (term: Term): boolean => known !== null && (term === 'call' || term === 'shared');
  const knownPart = ({ work }: Sample): number =>
    known === null ? 0 : known.call * work.call + known.shared * work.shared;
  let used: Term[] = terms.filter(
    (term) => !isKnown(term) && list.some(({ work }) => (work[term] ?? 0) > 0),
  );
  for (;;) {
    const equations = list.map((sample, index) => ({
      factors: used.map((term) => (sample.work[term] ?? 0) / counts[index]!),
      value: 1 - knownPart(sample) / counts[index]!,
    }));
    const solution = leastSquares(equations);
    const kept = used.filter((_, index) => solution[index]! >= 0);
    if (kept.length === used.length) {
      const value = (term: Term): number => {
        if (known !== null && isKnown(term)) return known[term];
        const index = used.indexOf(term);
        return index < 0 ? 0 : Number(solution[index]!.toPrecision(4));
      };
      return Object.fromEntries(terms.map((term) => [term, value(term)])) as Terms;
    }
    used = kept;
  }
}

interface Equation {
  readonly factors: readonly number[];
  readonly value: number;
}

/** x of least Σ (factors·x − value)², by the normal equations and Gauss-Jordan elimination. */
function leastSquares(equations: readonly Equation[]): number[] {
  const size = equations[0]!.factors.length;
  const sum = (pick: (equation: Equation) => number): number =>
    equations.reduce((total, equation) => total + pick(equation), 0);
  const matrix = Array.from({ length: size }, (_, i) => [
    ...Array.from({ length: size }, (_, j) => sum(({ factors }) => factors[i]! * factors[j]!)),
    sum(({ factors, value }) => factors[i]! * value),
  ]);
  for (let pivot = 0; pivot < size; pivot++) {
    const best = matrix
      .slice(pivot)
      .reduce((a, b) => (Math.abs(b[pivot]!) > Math.abs(a[pivot]!) ? b : a));
    matrix.splice(matrix.indexOf(best), 1);
    matrix.splice(pivot, 0, best);
    for (const row of matrix) {
      if (row === best) continue;
      const factor = row[pivot]! / best[pivot]!;
      for (let j = pivot; j <= size; j++) row[j]! -= factor * best[j]!;
    }
  }
  return matrix.map((row, i) => row[size]! / row[i]!);
}

const command = 'node test/report/measure-cost.ts --write';
const { values: flags } = parseArgs({
  options: {
    write: { type: 'boolean' },
    only: { type: 'string', default: '' },
    'cmsis-nn': { type: 'string' },
  },
});
const only = new RegExp(flags.only);
/** Kernels whose cost is kept where they are not measured. */
const isKept = (name: string): boolean =>
  !only.test(name) || (cmsisNn === undefined && name.endsWith('_cmsis'));
const cmsisNn = flags['cmsis-nn'] === undefined ? undefined : openCmsisNn(flags['cmsis-nn']);
for (const machine of emulated) {
  const measured = measure(cmsisNn === undefined ? machine : { ...machine, cmsisNn });
  if (flags.write !== true) continue;
  const name = machine.name === 'cortex-m4' ? 'cortex-m4f' : machine.name;
  const path = packagePath('targets', 'cores', `${name}.json`);
  const core = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const old = core['cost'] as Target['core']['cost'];
  const known = Object.entries(old.kernels).filter(([name]) => isKept(name) || name in measured);
  core['cost'] = {
    measuredBy: command,
    cyclesPerInstruction: old.cyclesPerInstruction,
    kernels: { ...Object.fromEntries(known), ...measured },
  };
  writeFileSync(path, `${JSON.stringify(core, null, 2)}\n`);
  execFileSync(process.execPath, [formatter, 'format', '--write', path]);
}
