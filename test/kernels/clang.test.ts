/** Every kernel compiles with clang for its core too: it takes other inline assembly than gcc. */
import { execFileSync, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { type Kernel, loadKernels } from '../../toolchain/schedule/kernels.ts';

const compiler = 'clang-19';
const cores: Readonly<Partial<Record<Kernel['variant'], string>>> = {
  portable: 'cortex-m4',
  dsp: 'cortex-m4',
  mve: 'cortex-m55',
};
const files = new Map(
  loadKernels().kernels.flatMap(({ file, variant }) => {
    const core = cores[variant];
    return core === undefined ? [] : [[file, core] as const];
  }),
);

const isMissing = spawnSync(compiler, ['--version']).error !== undefined;
if (isMissing) console.warn(`SKIPPED: ${compiler} is not installed`);

test.skipIf(isMissing).each([...files])('%s for a %s', (file, core) => {
  const flags = ['--target=arm-none-eabi', `-mcpu=${core}`, '-mfloat-abi=hard', '-std=c11', '-O2'];
  const warnings = ['-Wall', '-Wextra', '-Werror'];
  const headers = ['-isystem', '/usr/lib/arm-none-eabi/include'];
  const source = packagePath('kernels', file);
  const args = [...flags, ...warnings, ...headers, '-c', source, '-o', '/dev/null'];
  expect(execFileSync(compiler, args, { encoding: 'utf8' })).toBe('');
});
