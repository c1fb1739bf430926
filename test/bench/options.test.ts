/** Options of the benchmark, its goals, and the models that it makes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { importModel } from '../../toolchain/importers/index.ts';
import { macsOf } from '../../toolchain/ops/macs.ts';
import type { Measured } from './measure.ts';
import { modelPath } from './models.ts';
import { cores, parseOptions } from './options.ts';
import { goals, goalsOf, peers, peersOf } from './peers.ts';
import { reaches } from './table.ts';

test('lists, in any case and with spaces', () => {
  const options = parseOptions([
    '--cores',
    'm4, M55',
    '--tokens',
    '2,512',
    '--plans',
    'fits:137472',
  ]);
  expect(options).toMatchObject({ cores: ['M4', 'M55'], tokens: [2, 512], layers: false });
  expect(options.plans).toEqual([{ goal: 'fits', arenaBytes: 137_472 }]);
  expect(parseOptions([]).cores).toEqual(cores);
});

test.each([
  [['--cores', 'm5'], '--cores: there is no "M5"; use some of M4, M7, M33, M55'],
  [['--models', 'base'], '--models: there is no "base"; use some of tiny, mini'],
  [['--tokens', '1'], '--tokens: "1" is no whole number from 2 to 512'],
  [['--tokens', '64,'], '--tokens: "" is no whole number from 2 to 512'],
  [['--tokens', '1e2'], '--tokens: "1e2" is no whole number from 2 to 512'],
  [['--plans', 'best'], '--plans: there is no "best"; use some of fits, fastest, smallest'],
  [['--plans', 'fits:'], '--plans: "fits:" is no plan; write fits:137472 for 137,472 B'],
  [['--plans', 'fastest:9'], '--plans: "fastest:9" is no plan; write fits:137472 for 137,472 B'],
  [['--fast'], "Unknown option '--fast'"],
  [['mini'], "Unexpected argument 'mini'"],
] as const)('%j is refused', (args, message) => {
  expect(() => parseOptions(args)).toThrow(message);
});

test('goals and peers are of networks that can be measured', () => {
  for (const { tokens, core = 'M4', model } of goals.goals) {
    expect(goalsOf({ model, core, tokens })).not.toEqual([]);
    expect(() => parseOptions(['--tokens', String(tokens)])).not.toThrow();
  }
  expect(peersOf({ model: 'tiny', core: 'M33', tokens: 64 })).toEqual([]);
  expect(peersOf({ model: 'tiny', core: 'M55', tokens: 64 })).toHaveLength(6);
  expect(peers.figures.every(({ m4, m7 }) => (m4 === null) === (m7 === null))).toBe(true);
});

test('a goal is reached by one plan in all its figures', () => {
  const goal = { model: 'tiny', core: 'M4', tokens: 512, millions: 215, arenaBytes: 1000 } as const;
  const measured: Measured = {
    ...{ plan: '', instructions: 215e6, estimatedInstructions: 0, arenaBytes: 1000 },
    ...{ ramBytes: 2000, macs: 1, macsFactor: 1, layers: null },
  };
  const fits = { goal: 'fits', arenaBytes: null } as const;
  expect(reaches(goal, fits, measured)).toBe(true);
  expect(reaches(goal, fits, { ...measured, arenaBytes: 1001 })).toBe(false);
  expect(reaches(goal, fits, { ...measured, instructions: 215e6 + 1 })).toBe(false);
  expect(reaches({ ...goal, plan: 'smallest' }, fits, measured)).toBe(false);
  expect(reaches({ ...goal, macsFactor: 0.9 }, fits, measured)).toBe(false);
});

test('the random BERT-mini is BERT-mini', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-test-'));
  try {
    const { graph } = importModel(modelPath('mini', folder), {});
    // Layers · (4·S·D² + 2·S·D·F + 2·S²·D), pooler and head beside it.
    const encoder = 4 * (4 * 512 * 256 ** 2 + 2 * 512 * 256 * 1024 + 2 * 512 ** 2 * 256);
    expect(macsOf(graph, 512)).toBe(encoder + 256 ** 2 + 2 * 256);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
