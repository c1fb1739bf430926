/** `--kernels cmsis-nn` from the command line on, with the stand-in for Arm's library. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lm2mcu, temporaryFolder } from '../cli/lm2mcu.ts';
import { hasCompiler, hasEmulator } from '../firmware/fake-firmware.ts';
import { fixturePath } from '../ir/graphs.ts';
import { contract } from '../kernels/run.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

async function json(args: readonly string[]) {
  const { stdout, stderr, code } = await lm2mcu([...args, '--json'], folder.path);
  expect(code, stderr + stdout).toBe(0);
  return JSON.parse(stdout);
}

describe.skipIf(!hasCompiler || !hasEmulator)('firmware', () => {
  const build = (out: string) =>
    json([
      ...['build', fixturePath('seqcls-gelu'), '--target', 'mps2-an386', '--max-tokens', '24'],
      ...['--kernels', 'cmsis-nn', '--cmsis-nn', contract.folder, '--out', out],
    ]);
  beforeAll(async () => {
    await build('out');
  }, 120_000);

  test('the emulator, the interpreter and host C give the same answer', async () => {
    const answers = await Promise.all(
      ['emulator', 'interpreter', 'host'].map((on) =>
        json(['run', 'out', '--text', 'a lamp and a door', '--on', on]),
      ),
    );
    for (const { logits } of answers) expect(logits).toEqual(answers[0].logits);
  });

  test('the manifest knows the library by its hash, and the report its kernels', () => {
    const read = (name: string) => JSON.parse(readFileSync(join(folder.path, 'out', name), 'utf8'));
    const { options, inputs } = read('manifest.json');
    expect(options.kernels).toBe('cmsis-nn');
    expect(inputs.cmsisNn).toBe(contract.digest);
    const kernels = read('report.json').layers.map(({ kernel }: { kernel: string }) => kernel);
    expect(kernels).toContain('lm_normalized_attention_s8_s8_cmsis');
    expect(kernels).toContain('lm_linear_s8_s8_cmsis');
  });

  test('two builds are the same bytes, and no path of this host is in them', async () => {
    await build('again');
    const image = (out: string) => readFileSync(join(folder.path, out, 'firmware.elf'));
    expect(image('again').equals(image('out'))).toBe(true);
    expect(image('out').includes(contract.folder)).toBe(false);
  }, 120_000);
});
