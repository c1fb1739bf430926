/**
 * Measures the `cost` data of targets/cores: instructions of every kernel family at the shapes of
 * tiny BERTs, on each emulated core, and the linear model that fits them best.
 *
 *   node test/report/measure-cost.ts            prints the models and how far off they are
 *   node test/report/measure-cost.ts --write    writes them into targets/cores
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as z from 'zod';
import { dtypes } from '../../toolchain/ir/dtypes.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import {
  type Kernel,
  type KernelTable,
  loadKernels,
  selectKernel,
} from '../../toolchain/schedule/kernels.ts';
import {
  addLayerNormCaseOf,
  attentionCase,
  type Case,
  embedLayerNormCaseOf,
  linearCase,
  meanRowsCaseOf,
  sampleCases,
} from '../kernels/cases.ts';
import { seedRandom } from '../kernels/random.ts';
import { emulated, type Machine, runCases } from '../kernels/run.ts';

const formatter = packagePath('node_modules/@biomejs/biome/bin/biome');

const terms = ['call', 'row', 'element', 'mac', 'score', 'table'] as const;
type Term = (typeof terms)[number];
type Cost = Readonly<Record<Term | 'rowsAtOnce', number>>;

interface Sample {
  readonly one: Case;
  /** What the call does, by term; rows are paid rows. */
  readonly work: Readonly<Record<Term, number>>;
}

/** Rows that the kernels of a family take in one pass over the weights, by variant. */
const rowsAtOnce: Readonly<Record<string, Readonly<Record<Kernel['variant'], number>>>> = {
  linear: { portable: 1, dsp: 2, mve: 3 },
  attention: { portable: 1, dsp: 4, mve: 3 },
};

const samples: Readonly<Record<string, (kernel: Kernel, rowsAtOnce: number) => Sample[]>> = {
  linear: (kernel, block) =>
    // Whole blocks: what a block lacks may cost less than a row of it.
    [block, 2 * block, 6 * block].flatMap((rows) =>
      linearWidths.flatMap(([inputs, outputs]) =>
        (kernel.output === 'int8' ? [false, true] : [false]).map((table) => {
          const paid = Math.ceil(rows / block) * block;
          const shape = { inputs, outputs, rows, xStride: inputs, yStride: outputs, table };
          // Models use the whole range; the kernels skip the clamp then.
          const range = dtypes[kernel.output];
          const elements = paid * outputs;
          return {
            one: linearCase(kernel, { ...shape, range, data: 'random', anyShift: false }),
            work: {
              ...{ call: 1, row: paid, element: elements, mac: elements * inputs },
              ...{ score: 0, table: table ? elements : 0 },
            },
          };
        }),
      ),
    ),
  attention: (kernel, block) =>
    [block, 2 * block, 6 * block].flatMap((rows) =>
      [32, 64, 128].flatMap((tokens) =>
        [
          [1, 64],
          [2, 64],
          [2, 32],
          [4, 32],
        ].map(([heads = 0, width = 0]) => {
          const paid = Math.ceil(rows / block) * block;
          const shape = { heads, headWidth: width, valueWidth: width, tokens, rows, rowStart: 0 };
          const rest = { causal: false, inPlace: false, gap: 0, anyShift: false } as const;
          return {
            one: attentionCase(kernel, { ...shape, ...rest, data: 'random' }),
            work: {
              ...{ call: 1, row: paid, element: paid * heads * width },
              ...{ mac: 2 * paid * tokens * heads * width, score: paid * heads * tokens },
              table: 0,
            },
          };
        }),
      ),
    ),
  attend_inputs: (kernel) =>
    sampleCases(kernel, 60, 1).map((one) => {
      const { heads, width, tokens, rows } = attendShape.parse(JSON.parse(one.title));
      const scores = rows * heads * tokens;
      return {
        one,
        work: {
          ...{ call: 1, row: rows, element: rows * heads * width },
          ...{ mac: 2 * scores * width, score: scores, table: 0 },
        },
      };
    }),
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
  embed_layernorm: (kernel) =>
    byRows((width, rows) => embedLayerNormCaseOf(kernel, width, rows, dtypes[kernel.output])),
  mean_rows: (kernel) =>
    [16, 64, 128].map((rows) => ({
      one: meanRowsCaseOf(kernel, 128, rows),
      work: { call: 1, row: 0, element: rows * 128, mac: 0, score: 0, table: 0 },
    })),
};

const attendShape = z.object({ heads: z.int(), width: z.int(), tokens: z.int(), rows: z.int() });

/** Inputs and outputs of the linears of BERT-tiny, -mini and TinyBERT's widths. */
const linearWidths = [
  [64, 64],
  [128, 64],
  [128, 128],
  [128, 512],
  [512, 128],
  [312, 312],
] as const;

function byRows(make: (width: number, rows: number) => Case): Sample[] {
  return [1, 4, 16].flatMap((rows) =>
    [64, 128, 312].map((width) => ({
      one: make(width, rows),
      work: { call: 1, row: rows, element: rows * width, mac: 0, score: 0, table: 0 },
    })),
  );
}

function measure(machine: Machine): Record<string, Cost> {
  const table = loadKernels();
  seedRandom(1);
  const all = bestKernels(table, machine).map((kernel) => {
    const block = rowsAtOnce[kernel.family]?.[kernel.variant] ?? 1;
    return { kernel, block, list: samples[kernel.family]!(kernel, block) };
  });
  const cases = all.flatMap(({ list }) => list.map(({ one }) => one));
  const answers = runCases(table, machine, cases).map(({ instructions }) => instructions);
  const costs: Record<string, Cost> = {};
  for (const { kernel, block, list } of all) {
    const counts = answers.splice(0, list.length);
    const cost = fitCost(list, counts);
    const errors = list.map(({ work }, index) =>
      Math.abs(predict(cost, work) / counts[index]! - 1),
    );
    const worst = `worst ${(100 * Math.max(...errors)).toFixed(1)} %`;
    console.log(machine.name, kernel.name, JSON.stringify(cost), worst);
    costs[kernel.name] = { ...cost, rowsAtOnce: block };
  }
  return costs;
}

/** Every kernel that some model would run on the machine. */
function bestKernels(table: KernelTable, { features }: Machine): readonly Kernel[] {
  const best = table.kernels.map(({ family, output, input }) =>
    selectKernel(table, family, output, features, input),
  );
  return [...new Set(best)];
}

function predict(cost: Readonly<Record<Term, number>>, work: Sample['work']): number {
  return terms.reduce((sum, term) => sum + cost[term] * work[term], 0);
}

/** Least squares of relative errors; a term that comes out negative is left out, then all again. */
function fitCost(list: readonly Sample[], counts: readonly number[]): Record<Term, number> {
  let used: Term[] = terms.filter((term) => list.some(({ work }) => work[term] > 0));
  for (;;) {
    const rows = list.map(({ work }, index) => used.map((term) => work[term] / counts[index]!));
    const solution = leastSquares(rows);
    const kept = used.filter((_, index) => solution[index]! >= 0);
    if (kept.length === used.length) {
      const value = (term: Term): number => {
        const index = used.indexOf(term);
        return index < 0 ? 0 : Number(solution[index]!.toPrecision(4));
      };
      return Object.fromEntries(terms.map((term) => [term, value(term)])) as Record<Term, number>;
    }
    used = kept;
  }
}

/** x of least Σ (row·x − 1)², by the normal equations and Gauss-Jordan elimination. */
function leastSquares(rows: readonly (readonly number[])[]): number[] {
  const size = rows[0]!.length;
  const matrix = Array.from({ length: size }, (_, i) => [
    ...Array.from({ length: size }, (_, j) =>
      rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0),
    ),
    rows.reduce((sum, row) => sum + row[i]!, 0),
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
for (const machine of emulated) {
  const kernels = measure(machine);
  if (!process.argv.includes('--write')) continue;
  const name = machine.name === 'cortex-m4' ? 'cortex-m4f' : machine.name;
  const path = packagePath('targets', 'cores', `${name}.json`);
  const core = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const old = core['cost'] as { readonly cyclesPerInstruction?: number } | undefined;
  core['cost'] = {
    measuredBy: command,
    cyclesPerInstruction: old?.cyclesPerInstruction ?? 1,
    kernels,
  };
  writeFileSync(path, `${JSON.stringify(core, null, 2)}\n`);
  execFileSync(process.execPath, [formatter, 'format', '--write', path]);
}
