/** `lm2mcu npu check` and `lm2mcu inspect` of streams, as programs use them. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { lm2mcu, temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
const set = 'vela-5.1.0/ethos-u55-128';
const fixtures = packagePath('test', 'fixtures', 'ethosu');

beforeAll(() => {
  mkdirSync(join(folder.path, set), { recursive: true });
  mkdirSync(join(folder.path, 'io'));
  for (const name of ['fc_64x32.in0.bin', 'fc_64x32.ref0.bin']) {
    cpSync(join(fixtures, 'io', name), join(folder.path, 'io', name));
  }
  for (const ending of ['json', 'cms.bin', 'flash.bin']) {
    const name = join(set, `fc_64x32.${ending}`);
    cpSync(join(fixtures, name), join(folder.path, name));
  }
});
afterAll(folder.remove);

test('a golden stream passes, and then one that gives another byte does not', async () => {
  const passed = await lm2mcu(['npu', 'check', '.', '--json'], folder.path);
  expect(passed.code).toBe(0);
  expect(JSON.parse(passed.stdout)).toMatchObject({
    passed: 1,
    total: 1,
    sets: [{ set, passed: 1, total: 1 }],
    weights: { streams: 1, goldenBytes: 1824 },
    macs: 2048,
  });

  const reference = join(folder.path, 'io', 'fc_64x32.ref0.bin');
  const bytes = readFileSync(reference);
  bytes[5]! ^= 1;
  writeFileSync(reference, bytes);
  const failed = await lm2mcu(['npu', 'check', '.'], folder.path);
  expect(failed.code).toBe(1);
  expect(failed.stdout).toContain(
    `failed      ${set} fc_64x32: fc: 1 of 32 bytes differ, the first at 5`,
  );
  expect(failed.stdout.trimEnd().split('\n').at(-1)).toBe('passed      0 / 1');
});

test('a stream as JSON', async () => {
  const path = join(fixtures, set, 'softmax_1x16.payload.bin');
  const { stdout, code } = await lm2mcu(['inspect', path, '--json'], folder.path);
  expect(code).toBe(0);
  const { accelerator, words, commands } = JSON.parse(stdout);
  expect([accelerator, words]).toEqual(['ethos-u55-128', 502]);
  expect(commands[0]).toEqual({
    word: 0,
    name: 'IFM_REGION',
    param: 1,
    payload: null,
    fields: { region: 1 },
  });
});
