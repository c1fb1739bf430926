/**
 * Every engine that is at hand gives the interpreter's integers, with plain and with relaxed SIMD: the
 * Node of the tests, that of the host, those that LM2MCU_NODES names (paths, a colon between two), and
 * Chromium. With LM2MCU_ALL_TEXTS=1 also on all texts of the example, with either kind of weights.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openExecutor } from '../../toolchain/emulate/executor.ts';
import type { Example } from '../../toolchain/emulate/stored-model.ts';
import { weightKinds } from '../../toolchain/pipeline.ts';
import { type ConformanceModel, exampleModel, fixtureModels } from '../conformance/models.ts';
import { hasBrowser, openBrowser } from '../report/browser.ts';
import { answersOf } from './answers.js';
import { buildModule } from './build.ts';

const nodes = [
  ...new Set([
    ...[process.execPath, 'node'],
    ...(process.env['LM2MCU_NODES'] ?? '').split(':').filter((path) => path !== ''),
  ]),
];
if (!hasBrowser) console.warn('SKIPPED: no chromium');

/** 2,000 texts in every engine, and in the interpreter. */
const longTestMs = 3_600_000;
const example = process.env['LM2MCU_ALL_TEXTS'] === '1' ? exampleModel() : undefined;
const models: readonly ConformanceModel[] = [
  ...fixtureModels().slice(0, 1),
  ...(example === undefined ? [] : [example]),
];
const cases = models.flatMap((model) => weightKinds.map((weights) => ({ ...model, weights })));

type Answers = Awaited<ReturnType<typeof answersOf>>;

describe.each(cases)('$name, $weights', ({ request, examples, weights }) => {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-engines-'));
  let expected: readonly (readonly number[])[];

  beforeAll(async () => {
    const { compiled } = await buildModule({ ...request, weights }, folder);
    const reference = await openExecutor('interpreter', { graphBin: compiled.graphBin });
    const answers: number[][] = [];
    for (const one of examples) answers.push(Array.from((await reference.classify(one)).outputs));
    expected = answers;
  }, longTestMs);
  afterAll(() => rmSync(folder, { recursive: true }));

  const check = ({ simd, relaxed }: Answers, hasRelaxed: boolean): void => {
    expect(simd).toEqual(expected);
    expect(relaxed).toEqual(hasRelaxed ? expected : null);
  };

  test.each(nodes)(
    '%s',
    (node) => {
      const major = Number(execFileSync(node, ['-p', 'process.versions.node.split(".")[0]']));
      const script = join(import.meta.dirname, 'answers.js');
      const stdout = execFileSync(node, [script, join(folder, 'model.mjs')], {
        input: JSON.stringify(examples),
        maxBuffer: 2 ** 28,
      });
      check(JSON.parse(stdout.toString()), major >= 22);
    },
    longTestMs,
  );

  test.skipIf(!hasBrowser)(
    'Chromium',
    async () => {
      const browser = await openBrowser();
      try {
        const blank = join(folder, 'blank.html');
        writeFileSync(blank, '<!doctype html><link rel="icon" href="data:,">');
        const page = await browser.open(`file://${blank}`);
        check(await page.evaluate<Answers>(inBrowser(folder, examples)), true);
      } finally {
        await browser.close();
      }
    },
    longTestMs,
  );
});

/** An expression that imports the module and gives its answers. */
function inBrowser(folder: string, examples: readonly Example[]): string {
  const base64 = (file: string): string => readFileSync(join(folder, file)).toString('base64');
  return `(async () => {
    const { load } = await import('data:text/javascript;base64,${base64('model.mjs')}');
    const bytes = Uint8Array.from(atob('${base64('model.wasm')}'), (one) => one.charCodeAt(0));
    return (${answersOf})(load, { bytes }, ${JSON.stringify(examples)});
  })()`;
}
