/** Which files of a checkout a firmware needs, by what they call of each other. */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { openCmsisNn } from '../../toolchain/build/cmsis-nn.ts';
import { temporaryFolder } from '../cli/lm2mcu.ts';
import { contract } from '../kernels/run.ts';

const temporary = temporaryFolder();
afterAll(temporary.remove);
const checkout = join(temporary.path, 'checkout');
const write = (path: string, text: string) => writeFileSync(join(checkout, path), text);

const softmax = 'Source/arm_softmax_s8.c';
const prototype = 'void arm_softmax_s8(const int8_t *input)\n';

beforeEach(() => {
  rmSync(checkout, { recursive: true, force: true });
  cpSync(contract.folder, checkout, { recursive: true });
  write(
    'Include/arm_nnsupportfunctions.h',
    '__STATIC_FORCEINLINE int32_t arm_inline(int32_t x) { return x; }\nvoid arm_inner(int32_t x);\n',
  );
});

test('what is called, and what that calls, wherever it is defined', () => {
  write(softmax, `${prototype}{ arm_inner(arm_inline(1)); arm_macro(2); }\n`);
  write('Source/other.c', 'int arm_unused(void) { return 1; }\n');
  write('Source/inner.c', 'void arm_inner(int32_t x)\n{ arm_softmax_s8(x); }\n');
  expect(openCmsisNn(checkout).sources.map((path) => basename(path))).toEqual([
    'arm_batch_matmul_s8.c',
    'arm_convolve_1x1_s8_fast.c',
    'arm_elementwise_add_s8.c',
    'arm_softmax_s8.c',
    'inner.c',
  ]);
});

test('a function that is declared and nowhere defined', () => {
  write(softmax, `${prototype}{ arm_inner(1); }\n`);
  expect(() => openCmsisNn(checkout)).toThrow(/lacks arm_inner$/);
});

test('the digest changes with every file that counts, and with no other', () => {
  const { digest } = openCmsisNn(checkout);
  write('Source/other.c', 'int arm_unused(void) { return 1; }\n');
  expect(openCmsisNn(checkout).digest).toBe(digest);
  write(softmax, `${prototype}{}\n`);
  expect(openCmsisNn(checkout).digest).not.toBe(digest);
});
