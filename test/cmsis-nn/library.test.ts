/** `--kernels cmsis-nn --emit library`: C for a project that has Arm's library. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { emitLibrary } from '../../toolchain/emit/library.ts';
import { openExecutor } from '../../toolchain/emulate/executor.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { fixturePath } from '../ir/graphs.ts';
import { contract } from '../kernels/run.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-cmsis-nn-'));
afterAll(() => rmSync(folder, { recursive: true }));

const compiled = compile({
  modelPath: fixturePath('seqcls-odd-f32'),
  target: loadTarget('mps2-an386'),
  maxTokens: 33,
  calibration: null,
  emit: 'library',
  kernels: 'cmsis-nn',
});
const files = emitLibrary(compiled);
for (const { path, content } of files) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

function isMissing(command: string): boolean {
  const missing = spawnSync(command, ['--version']).error !== undefined;
  if (missing) console.warn(`SKIPPED: ${command} is not installed`);
  return missing;
}

test('it has no file of Arm’s, and calls it', () => {
  expect(files.filter(({ path }) => path.includes('arm_'))).toEqual([]);
  const model = files.find(({ path }) => path === 'src/kernels/select.h')!.content;
  expect(model).toContain('lm_linear_s8_s8_cmsis');
  expect(model).toContain('lm_normalized_attention_s8_s8_cmsis');
  expect(model).toContain('lm_add_s8_s8_cmsis');
});

const warnings = '-Wall -Wextra -Wconversion -Wpedantic -Werror -std=c99 -O2'.split(' ');

const compilers: readonly { readonly command: string; readonly flags: readonly string[] }[] = [
  { command: 'gcc', flags: [] },
  { command: 'clang-19', flags: [] },
  ...['cortex-m0plus', 'cortex-m4', 'cortex-m55'].map((cpu) => ({
    command: 'arm-none-eabi-gcc',
    flags: [`-mcpu=${cpu}`, '-mthumb', `-mfloat-abi=${cpu === 'cortex-m0plus' ? 'soft' : 'hard'}`],
  })),
];

test.each(compilers)('$command $flags has nothing to say', ({ command, flags }) => {
  if (isMissing(command)) return;
  const sources = files.map(({ path }) => path).filter((path) => /^src\/.*\.c$/.test(path));
  for (const source of sources) {
    const includes = ['-Isrc', '-isystem', contract.includeFolder];
    const args = [...warnings, ...flags, ...includes, '-c', source, '-o', 'object.o'];
    const { status, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
    expect([source, status, stderr]).toEqual([source, 0, '']);
  }
});

test('CMake builds it with the library, and its example answers as the interpreter', async () => {
  if (isMissing('cmake')) return;
  const cmake = (...args: string[]) => spawnSync('cmake', args, { cwd: folder, encoding: 'utf8' });
  const without = cmake('-S', '.', '-B', 'without');
  expect(without.status).toBe(1);
  expect(without.stderr).toContain('-DCMSIS_NN_PATH=<folder>');
  expect(cmake('-S', '.', '-B', 'build', `-DCMSIS_NN_PATH=${contract.folder}`).status).toBe(0);
  expect(cmake('--build', 'build').status).toBe(0);
  const texts = ['hello world', '', 'a b c', 'naïve text, with words'];
  const output = execFileSync(join(folder, 'build', 'classify'), {
    input: texts.map((text) => `${text}\n`).join(''),
    encoding: 'utf8',
  });
  const interpreter = await openExecutor('interpreter', compiled);
  const expected: string[] = [];
  for (const text of texts) expected.push((await interpreter.classify({ text })).outputs.join(','));
  expect(
    output
      .trim()
      .split('\n')
      .map((line) => line.split(' ').at(-1)),
  ).toEqual(expected);
});
