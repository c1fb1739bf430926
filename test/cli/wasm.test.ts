/** `--target wasm` on the command line: the files, the answers, and what is said of a wrong folder. */
import { appendFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { lm2mcu, temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
const at = (...parts: string[]): string => join(folder.path, ...parts);
const json = async (...args: string[]) => {
  const { stdout, code } = await lm2mcu([...args, '--json'], folder.path);
  return { code, ...JSON.parse(stdout) };
};

beforeAll(async () => {
  cpSync(packagePath('test', 'fixtures', 'hf', 'seqcls-gelu'), at('model'), { recursive: true });
  writeFileSync(at('data.jsonl'), '{"text": "the lamp", "label": "light"}\n{"text": "a b c"}\n');
  const target = ['--target', 'wasm', '--weights', 'w7', '--max-tokens', '24'];
  const { code, files, report } = await json('build', 'model', ...target, '--out', 'out');
  expect(code).toBe(0);
  expect(files).toEqual([
    ...['graph.bin', 'model.d.ts', 'model.mjs', 'model.wasm', 'report.html', 'report.json'],
    ...['sources/relaxed.ts', 'sources/simd.ts', 'manifest.json'],
  ]);
  const { fileBytes, codeBytes, dataBytes } = report.module;
  expect(fileBytes).toBe(readFileSync(at('out', 'model.wasm')).length);
  expect(codeBytes + dataBytes).toBe(fileBytes);
  expect(report.regions).toMatchObject([{ name: 'memory', kind: 'linear' }]);
}, 120_000);
afterAll(folder.remove);

test('run takes the module, and gives what the interpreter gives', async () => {
  const { on, ...answer } = await json('run', 'out', '--text', 'the lamp');
  expect(on).toBe('wasm');
  expect(await json('run', 'out', '--text', 'the lamp', '--on', 'interpreter')).toEqual({
    ...answer,
    on: 'interpreter',
  });
});

test('eval takes it, too', async () => {
  const evaluated = await json('eval', 'out', '--data', 'data.jsonl', '--model', 'model');
  expect(evaluated).toMatchObject({ code: 0, on: 'wasm', examples: 2 });
});

test('it is not for a board, and not for another build', async () => {
  const flashed = await json('flash', 'out', '--port', '/dev/null');
  expect(flashed).toMatchObject({ code: 1, error: { code: 'not-a-board' } });
  appendFileSync(at('out', 'model.wasm'), 'x');
  const changed = await json('run', 'out', '--text', 'x');
  expect(changed).toMatchObject({ code: 1, error: { code: 'changed-build' } });
});
