/**
 * The estimate of every layer against its instructions under the emulator, for plans that are fast
 * and plans that are small. It fails when kernels change:
 * `node test/report/measure-cost.ts --write` measures them again.
 */
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { emulated, missingPrograms } from '../kernels/run.ts';
import { byKind, layerErrors } from './layers.ts';
import { measure } from './measure.ts';
import { boards } from './options.ts';

const modelPath = packagePath('examples', 'debian-sections', 'model');
const missing = missingPrograms(emulated[0]!);
const canRun = missing.length === 0 && existsSync(modelPath);
if (!canRun) console.warn(`SKIPPED: layers are not measured without ${[...missing, modelPath]}`);

/** As `estimatedFrom` of the report says. */
const allowedDeviation = 0.1;
/** Of the run: a layer that takes less decides no plan, and calls of few instructions are measured badly. */
const smallestShare = 0.002;

test.skipIf(!canRun).each([
  ['M4', 64, 'fits'],
  ['M4', 48, 'smallest'],
  ['M7', 96, 'fits'],
  ['M33', 40, 'fits'],
  ['M55', 64, 'fits'],
  ['M55', 48, 'smallest'],
] as const)('%s, %i tokens, --plan %s', async (core, tokens, goal) => {
  const board = boards[core];
  const plan = { goal, arenaBytes: null };
  const outcome = await measure({ modelPath, board, tokens, plan, layers: true });
  if (outcome.kind !== 'measured' || outcome.layers === null) throw new Error('nothing measured');
  const { layers, instructions } = outcome;

  const total = layers.reduce((sum, one) => sum + one.instructions, 0);
  expect(Math.abs(total / instructions - 1), 'the layers are all of the run').toBeLessThan(0.001);
  const kinds = byKind(layers);
  expect(kinds.reduce((sum, kind) => sum + kind.instructions, 0)).toBe(total);
  expect(kinds.reduce((sum, kind) => sum + kind.macs, 0)).toBe(outcome.macs);

  const { units, ticks } = loadTarget(board).counter;
  const resolution = units / ticks;
  for (const layer of layerErrors(layers)) {
    if (layer.instructions < smallestShare * instructions) continue;
    const deviation = Math.abs(layer.estimatedInstructions - layer.instructions);
    const allowed = allowedDeviation * layer.instructions + resolution;
    expect(deviation, JSON.stringify(layer)).toBeLessThanOrEqual(allowed);
  }
});
