/** Weight streams that the core packs at run time: the C gives the bytes of the encoder without search. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packRows } from '../../toolchain/emulate/npu-attention.ts';
import { type AcceleratorName, accelerators } from '../../toolchain/ethosu/accelerators.ts';
import { planAttention } from '../../toolchain/ethosu/attention-plan.ts';
import { fixedSequence } from '../../toolchain/integers.ts';
import { packagePath } from '../../toolchain/package-root.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lm2mcu-pack-'));
  const args = [
    ...['-std=c99', '-Wall', '-Wextra', '-Wconversion', '-Werror', '-O1', '-g'],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    ...[`-I${packagePath('kernels', 'c')}`, `-I${packagePath('firmware-templates')}`],
    packagePath('test', 'ethosu', 'pack', 'driver.c'),
    ...['npu_attention.c', 'npu_rows.c'].map((file) => packagePath('kernels', 'c', file)),
    ...['-o', join(folder, 'driver')],
  ];
  const { status, stderr } = spawnSync('gcc', args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Heads {
  readonly accelerator: AcceleratorName;
  /** Rows that there are, and the most that there can be. */
  readonly tokens: number;
  readonly mostTokens: number;
  readonly width: number;
  readonly gap: number;
  readonly areTurned: boolean;
  readonly seed: number;
}

const heads: fc.Arbitrary<Heads> = fc
  .record({
    accelerator: fc.constantFrom(...(Object.keys(accelerators) as AcceleratorName[])),
    tokens: fc.integer({ min: 1, max: 70 }),
    more: fc.nat(40),
    width: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(32, 64)),
    gap: fc.nat(9),
    areTurned: fc.boolean(),
    seed: fc.nat(2 ** 30),
  })
  .map(({ more, ...rest }) => ({ ...rest, mostTokens: rest.tokens + more }));

test('keys and values of any shape', () => {
  fc.assert(
    fc.property(fc.array(heads, { minLength: 5, maxLength: 20 }), (cases) => {
      const made = cases.map(caseOf);
      const input = Buffer.concat(made.map(({ bytes }) => bytes));
      const { status, stdout, stderr } = spawnSync(join(folder, 'driver'), { input });
      expect(stderr.toString()).toBe('');
      expect(status).toBe(0);
      expect(stdout.equals(Buffer.concat(made.map(({ stream }) => stream)))).toBe(true);
    }),
    { numRuns: Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 10), seed: 9 },
  );
});

/** What the driver reads, and what it shall write. */
function caseOf({ accelerator, tokens, mostTokens, width, gap, areTurned, seed }: Heads) {
  const shape = { rows: 16, tokens: mostTokens, heads: 1, width, valueWidth: width };
  const plan = planAttention(accelerator, shape)!;
  const of = areTurned ? plan.sums : plan.scores;
  const streamBytes = areTurned ? plan.sumStreamBytes : plan.scoreStreamBytes;
  const random = fixedSequence(seed);
  const stride = width + gap;
  const x = Int8Array.from({ length: (tokens - 1) * stride + width }, () =>
    Math.max(-127, Math.floor(random() * 256) - 128),
  );
  const valueAt = (row: number, column: number) => (row < tokens ? x[row * stride + column]! : 0);
  const stream = packRows(accelerator, of, (output, input) =>
    areTurned ? valueAt(input, output) : valueAt(output, input),
  );
  expect(stream.length).toBe(streamBytes);
  const fields = Int32Array.of(
    ...[of.outputs, of.inputs, of.block.depth, accelerators[accelerator].microBlock.depth],
    ...[streamBytes, tokens, width, stride, areTurned ? 1 : 0],
  );
  return {
    bytes: Buffer.concat([new Uint8Array(fields.buffer), new Uint8Array(x.buffer)]),
    stream,
  };
}
