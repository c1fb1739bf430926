/** Every kernel of kernels.json computes what the op table says, bit for bit, on every machine. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { wasmVariants } from '../../toolchain/emit/wasm-model.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { loadKernels } from '../../toolchain/schedule/kernels.ts';
import type { Case } from './cases/common.ts';
import { sampleCases } from './cases.ts';
import { type Answer, emulated, host, kernelsOf, missingPrograms, runCases } from './run.ts';
import { openWasmKernels } from './wasm.ts';

const table = loadKernels();
const CASES_PER_KERNEL = 250;
/** Of cores that run the very kernels of the Cortex-M4, compiled once more. */
const CASES_OF_TWINS = 80;
const twins = ['cortex-m7', 'cortex-m33'];

describe.each([host, ...emulated])('$name', (machine) => {
  const missing = missingPrograms(machine);
  const name = missing.length > 0 ? `needs ${missing.join(' and ')}` : 'computes evalInteger';
  test.skipIf(missing.length > 0)(name, () => {
    const count = twins.includes(machine.name) ? CASES_OF_TWINS : CASES_PER_KERNEL;
    const cases = kernelsOf(table, machine).flatMap((kernel, index) =>
      sampleCases(kernel, count, index + 1),
    );
    const answers = runCases(table, machine, cases);
    const failures = cases.map((one, index) => compare(one, answers[index]!)).filter(Boolean);
    expect(failures.slice(0, 5), `${failures.length} of ${cases.length} cases`).toEqual([]);
  });
});

describe.each(wasmVariants)('wasm, %s', (variant) => {
  const kernels = table.kernels.filter((kernel) => kernel.variant === `wasm-${variant}`);

  test('computes evalInteger', async () => {
    const run = await openWasmKernels(kernels, variant);
    const failures = kernels
      .flatMap((kernel, index) => sampleCases(kernel, CASES_PER_KERNEL, index + 1))
      .map((one) => compare(one, run(one)))
      .filter(Boolean);
    expect(failures.slice(0, 5), `${failures.length} cases`).toEqual([]);
  });
});

/** Null, or what is wrong. */
function compare({ kernel, title, after, scratch }: Case, answer: Answer): string | null {
  const isScratch = (i: number) => i >= scratch.offset && i < scratch.offset + scratch.size;
  const bad = answer.after.findIndex((byte, i) => byte !== after[i] && !isScratch(i));
  if (bad >= 0) {
    return `${kernel.name} ${title}: byte ${bad} is ${answer.after[bad]}, not ${after[bad]}`;
  }
  return answer.repeatable ? null : `${kernel.name} ${title}: a second call differs`;
}

test('kernels.json lists exactly the prototypes of kernels.h', () => {
  const header = readFileSync(packagePath('kernels', 'c', 'kernels.h'), 'utf8');
  const prototypes = [...header.matchAll(/^void (lm_\w+)\(/gm)].map((match) => match[1]);
  const inC = table.kernels.filter(({ file }) => file.endsWith('.c')).map(({ name }) => name);
  expect(inC.sort()).toEqual(prototypes.sort());
});
