/**
 * The estimate against whole inferences under the emulator, which counts instructions exactly. It
 * fails when kernels change: `node test/report/measure-cost.ts --write` measures them again.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import { openQemuConsole } from '../../toolchain/emulate/qemu.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { buildReport } from '../../toolchain/report/build.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { emulated, missingPrograms } from '../kernels/run.ts';

const example = packagePath('examples', 'debian-sections');
const missing = missingPrograms(emulated[0]!);
const canRun = missing.length === 0 && existsSync(join(example, 'model'));
if (!canRun) console.warn(`SKIPPED: estimates are not checked without ${[...missing, example]}`);

/** As `estimatedFrom` of the report says. */
const allowedDeviation = 0.05;

const answerSchema = z.object({
  tokens: z.number(),
  instructions: z.object({ inference: z.number() }),
});
const texts = (): readonly string[] =>
  readFileSync(join(example, 'test-512.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .slice(0, 50)
    .map((line) => z.object({ text: z.string() }).parse(JSON.parse(line)).text);

test.skipIf(!canRun).each([
  ['mps2-an386', 64],
  ['mps2-an386', 128],
  ['mps2-an500', 64],
  ['mps2-an500', 128],
  ['mps2-an505', 64],
  ['mps3-an547', 64],
  ['mps3-an547', 128],
] as const)('%s, %i tokens', async (name, maxTokens) => {
  const target = loadTarget(name);
  const modelPath = join(example, 'model');
  const compiled = compile({ modelPath, target, maxTokens, calibration: null });
  const outDir = mkdtempSync(join(tmpdir(), 'lm2mcu-cost-'));
  try {
    const { sources, placement } = compiled;
    const firmware = await buildFirmware({
      ...{ target, sources, placement, outDir },
      optimisation: 'O2',
    });
    const { estimatedInstructions } = buildReport(compiled, firmware).compute;
    const qemu = await openQemuConsole({ target, elfPath: firmware.emulatorElfPath! });
    // Truncated to maxTokens, whatever its pieces are.
    const longest = texts().reduce((a, b) => (b.length > a.length ? b : a));
    const answer = await qemu.ask(longest.replace(/\s/g, ' ').slice(0, 16 * maxTokens));
    await qemu.close();
    const { tokens, instructions } = answerSchema.parse(JSON.parse(answer));
    expect(tokens).toBe(maxTokens);
    const deviation = estimatedInstructions / instructions.inference - 1;
    console.log(`${name}, ${tokens} tokens: estimate ${(100 * deviation).toFixed(2)} % off`);
    expect(Math.abs(deviation)).toBeLessThan(allowedDeviation);
  } finally {
    rmSync(outDir, { recursive: true });
  }
});
