/** `lm2mcu emulate`, and the commands that use its port. */
import { cpSync, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { hasCompiler, hasEmulator } from '../firmware/fake-firmware.ts';
import { lm2mcu, start, temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

async function json(...args: readonly string[]) {
  const { stdout, stderr, code } = await lm2mcu([...args, '--json'], folder.path);
  expect(code, stderr + stdout).toBe(0);
  return JSON.parse(stdout);
}

async function build(target: string, out: string): Promise<void> {
  await json('build', 'model', '--target', target, '--max-tokens', '24', '--out', out);
}

describe.skipIf(!hasCompiler || !hasEmulator)('emulate', () => {
  cpSync(packagePath('test', 'fixtures', 'hf', 'seqcls-gelu'), join(folder.path, 'model'), {
    recursive: true,
  });

  test('flash and run on its port; it ends with the signal, and QEMU with it', async () => {
    await build('mps2-an500-boot', 'out');
    const { child, ended } = start(['emulate', 'out', '--json'], folder.path);
    const line = await new Promise<string>((resolve) =>
      child.stdout.once('data', (text: string) => resolve(text)),
    );
    const { port, board, storage } = JSON.parse(line);
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
    expect(existsSync(port)).toBe(false);
    // What it wrote beside the build is not in its way.
    await build('mps2-an500-boot', 'out');
  });

  test('a board without a bootloader, and a file that is not its storage', async () => {
    await build('nrf52840-dk', 'nrf');
    const { code, stderr } = await lm2mcu(['emulate', 'nrf'], folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('nrf52840-dk has no bootloader to flash it by under QEMU');

    const wrong = ['emulate', 'out', '--storage', join('model', 'vocab.txt')];
    expect((await lm2mcu(wrong, folder.path)).stderr).toContain(
      'the file is not the storage of this board: it has another size',
    );
  });
});
