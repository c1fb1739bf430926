/**
 * Measures the `cost` data of targets/cores and targets/engines: instructions of every kernel family at
 * the shapes of tiny BERTs, on each emulated core, and nanoseconds in this process's WebAssembly, and
 * the linear model that fits them best.
 *
 *   node test/report/measure-cost.ts            prints the models and how far off they are
 *   node test/report/measure-cost.ts --write    writes them into targets/cores and engines
 *   … --only 'lookup|rotary'                    of kernels whose name matches; others stay as they are
 *   … --cmsis-nn <folder>                       also those that call CMSIS-NN, of which it is a checkout
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openCmsisNn } from '../../toolchain/build/cmsis-nn.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import {
  type Kernel,
  type KernelTable,
  loadKernels,
  selectKernel,
  weightType,
} from '../../toolchain/schedule/kernels.ts';
import { loadEngine, type Target } from '../../toolchain/targets.ts';
import type { Case } from '../kernels/cases/common.ts';
import { seedRandom } from '../kernels/random.ts';
import { emulated, runCases } from '../kernels/run.ts';
import { openWasmTimer } from '../kernels/wasm.ts';
import {
  rowCountsOf,
  type Sample,
  samples,
  singleRows,
  type Term,
  type Terms,
  terms,
  type Way,
  ways,
} from './cost-samples.ts';

const formatter = packagePath('node_modules/@biomejs/biome/bin/biome');

type Cost = Target['core']['cost']['kernels'][string][number];

interface Measurement {
  readonly kernel: Kernel;
  readonly way: Way;
  /** Calls of passes of one row, of two, and so on. */
  readonly lists: readonly (readonly Sample[])[];
}

/** What kernels are measured on. */
interface Machine {
  readonly name: string;
  readonly features: readonly string[];
  /** What each call takes. */
  count(kernels: readonly Kernel[], cases: readonly Case[]): Promise<number[]>;
}

async function measure(table: KernelTable, machine: Machine): Promise<Record<string, Cost[]>> {
  seedRandom(1);
  const kernels = kernelsToMeasure(table, machine);
  const measurements = kernels.flatMap((kernel) => {
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
  const answers = await machine.count(kernels, cases);
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
  const own = features.filter((feature) => !['cmsis-nn', 'spare-flash'].includes(feature));
  const foreign = cmsisNn === undefined ? [] : [[...own, 'cmsis-nn']];
  const best = [own, [...own, 'spare-flash'], ...foreign].flatMap((some) =>
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
  const isKnown = (term: Term): boolean =>
    known !== null && (term === 'call' || term === 'shared' || term === 'whole');
  const knownPart = ({ work }: Sample): number =>
    known === null
      ? 0
      : known.call * work.call + known.shared * work.shared + known.whole * (work.whole ?? 0);
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
const table = loadKernels();
for (const machine of emulated) {
  const runner = cmsisNn === undefined ? machine : { ...machine, cmsisNn };
  const measured = await measure(table, {
    ...runner,
    count: async (_, cases) =>
      runCases(table, runner, cases).map(({ instructions }) => instructions),
  });
  const name = machine.name === 'cortex-m4' ? 'cortex-m4f' : machine.name;
  writeCost(['cores', `${name}.json`], measured);
}
const engine = loadEngine('wasm');
const inAssemblyScript = table.kernels.filter(({ file }) => file.endsWith('.ts'));
const measured = await measure(
  { ...table, kernels: inAssemblyScript },
  {
    name: engine.name,
    features: engine.core.features,
    async count(kernels, cases) {
      const nanoseconds = await openWasmTimer(kernels, 'simd');
      return cases.map(nanoseconds);
    },
  },
);
writeCost(['engines', 'wasm.json'], measured);

function writeCost(file: readonly string[], measured: Record<string, Cost[]>): void {
  if (flags.write !== true) return;
  const path = packagePath('targets', ...file);
  const core = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const { kernels, ...old } = core['cost'] as Target['core']['cost'];
  const known = Object.entries(kernels).filter(([name]) => isKept(name) || name in measured);
  core['cost'] = { ...old, kernels: { ...Object.fromEntries(known), ...measured } };
  writeFileSync(path, `${JSON.stringify(core, null, 2)}\n`);
  execFileSync(process.execPath, [formatter, 'format', '--write', path]);
}
