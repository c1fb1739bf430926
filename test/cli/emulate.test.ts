/** `lm2mcu emulate`, and the commands that use its port. */
import { cpSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { hasCompiler, hasEmulator } from '../firmware/fake-firmware.ts';
import { lm2mcu, start, temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

/** Nothing here waits for a clock, but a busy host takes its time. */
const timeout = 600_000;

async function json(...args: readonly string[]) {
  const { stdout, stderr, code } = await lm2mcu([...args, '--json'], folder.path);
  expect(code, stderr + stdout).toBe(0);
  return JSON.parse(stdout);
}

async function build(target: string, out: string): Promise<void> {
  await json('build', 'model', '--target', target, '--max-tokens', '24', '--out', out);
}

/** Once it says which port it is. */
async function emulate(out = 'out') {
  const { child, ended } = start(['emulate', out, '--json'], folder.path);
  onTestFinished(() => void child.kill('SIGKILL'));
  const line = await Promise.race([
    new Promise<string>((resolve) => child.stdout.once('data', resolve)),
    ended.then(({ stderr }) => Promise.reject(new Error(stderr))),
  ]);
  const { port, board, storage } = JSON.parse(line);
  return { child, ended, line, port, board, storage };
}

const lock = join(folder.path, 'out.storage.lock');
const waitUntil = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 50));
};

describe.skipIf(!hasCompiler || !hasEmulator)('emulate', { timeout }, () => {
  beforeAll(async () => {
    cpSync(packagePath('test', 'fixtures', 'hf', 'seqcls-gelu'), join(folder.path, 'model'), {
      recursive: true,
    });
    await build('mps2-an500-boot', 'out');
  }, timeout);

  test('flash and run on its port; it ends with the signal, and QEMU with it', async () => {
    const { child, ended, line, port, board, storage } = await emulate();
    expect([board, storage]).toEqual(['mps2-an500-boot', 'out.storage']);

    const text = ['--text', 'the lamp', '--pair', 'a door'];
    await json('flash', 'out', '--port', port);
    const answer = await json('run', 'out', '--on', port, ...text);
    expect(answer.logits).toEqual(
      (await json('run', 'out', '--on', 'interpreter', ...text)).logits,
    );
    expect(statSync(join(folder.path, 'out.storage')).size).toBe(1 << 24);

    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ signal: 'SIGTERM', stdout: line });
    expect([existsSync(port), existsSync(lock)]).toEqual([false, false]);
    // What it wrote beside the build is not in its way.
    await build('mps2-an500-boot', 'out');
  });

  test('one at a time; what is killed takes QEMU with it, and leaves no lock that counts', async () => {
    const first = await emulate();
    const { code, stderr } = await lm2mcu(['emulate', 'out'], folder.path);
    expect(code).toBe(2);
    const owner = readFileSync(lock, 'utf8').trim();
    expect(stderr).toBe(
      [
        `error: another emulated board, process ${owner}, uses this storage`,
        '  where: out.storage',
        `  hint: Use that one or end it, or give this board a file of its own: --storage <file>. If process ${owner} is something else, remove out.storage.lock.`,
        '',
      ].join('\n'),
    );

    first.child.kill('SIGKILL');
    await first.ended;
    await waitUntil(() => !existsSync(first.port));
    expect(existsSync(lock)).toBe(true);
    const second = await emulate();
    expect(readFileSync(lock, 'utf8').trim()).not.toBe(owner);
    second.child.kill('SIGTERM');
    await second.ended;
  });

  test('a board without a bootloader runs its twin, here with an NPU', async () => {
    await build('corstone-300', 'npu');
    const { child, ended, port, board, storage } = await emulate('npu');
    expect({ board, storage }).toEqual({ board: 'corstone-300', storage: null });
    const text = ['--text', 'an answer', '--json'];
    const { on, logits } = await json('run', 'npu', '--on', port, ...text);
    expect(on).toBe('board');
    expect(logits).toEqual((await json('run', 'npu', '--on', 'interpreter', ...text)).logits);
    expect(readFileSync(join(folder.path, 'npu', 'sources', 'lm2mcu_model.c'), 'utf8')).toContain(
      'lm_npu_run(',
    );
    child.kill('SIGTERM');
    await ended;
  });

  test('a file that is not its storage', async () => {
    const wrong = ['emulate', 'out', '--storage', join('model', 'vocab.txt')];
    expect((await lm2mcu(wrong, folder.path)).stderr).toContain(
      'the file is not the storage of this board: it has another size',
    );
  });
});
