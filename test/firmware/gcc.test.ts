/** The compiler's processes: nothing runs any more when a failure is told. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { runCompiler } from '../../toolchain/build/gcc.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-gcc-'));
const path = process.env['PATH'];
const slow = ['-c', 'sleep 0.3; echo end >> log; exit 1'];
const failing = ['-c', 'echo fail >> log; exit 1'];
const next = ['-c', 'echo next >> log'];

beforeEach(() => {
  writeFileSync(join(folder, 'arm-none-eabi-gcc'), '#!/bin/sh\nexec /bin/sh "$@"\n');
  chmodSync(join(folder, 'arm-none-eabi-gcc'), 0o755);
  process.env['PATH'] = `${folder}:${path}`;
});
afterEach(() => {
  process.env['PATH'] = path;
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a failure begins no other, waits for what runs, and is the one that is told', async () => {
  await expect(runCompiler(folder, [slow, failing, next, next])).rejects.toMatchObject({
    details: { where: failing[1] },
  });
  expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('fail\nend\n');
});

test('a folder that is gone is no missing compiler', async () => {
  const gone = join(folder, 'gone');
  expect(existsSync(gone)).toBe(false);
  await expect(runCompiler(gone, [next])).rejects.toMatchObject({
    kind: 'environment',
    details: { code: 'missing-folder', where: gone },
  });
});

test('a missing compiler', async () => {
  process.env['PATH'] = join(folder, 'gone');
  await expect(runCompiler(folder, [next])).rejects.toMatchObject({
    kind: 'environment',
    details: { code: 'missing-compiler' },
  });
});
