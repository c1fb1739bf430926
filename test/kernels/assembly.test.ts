/**
 * Operands that inline assembly changes. A compiler may give an input the register of such an operand
 * when both begin with one value, unless the operand is early-clobber: `+&r`.
 */
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';

const sources = globSync('**/*.[ch]', { cwd: packagePath('kernels', 'c') });

test.each(sources)('%s: operands that change are early-clobber', (file) => {
  const source = readFileSync(packagePath('kernels', 'c', file), 'utf8');
  expect(source.match(/"\+[^&"]+"\s*\(.*/g) ?? []).toEqual([]);
});
