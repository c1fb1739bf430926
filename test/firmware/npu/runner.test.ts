/**
 * The register-level runner (npu/ethos-u.c), on the host against a model of the NPU's registers, and
 * the one that calls Arm's driver (npu/driver.c), against a stand-in for it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { packagePath } from '../../../toolchain/package-root.ts';

const hasGcc = spawnSync('gcc', ['--version']).status === 0;
if (!hasGcc) console.error('SKIPPED: tests that need gcc, which is not installed');

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-npu-runner-'));
afterAll(() => rmSync(folder, { recursive: true }));

const strict = ['-std=c11', '-Wall', '-Wextra', '-Wconversion', '-Werror'];
const sanitized = ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** `fake`: the folder with what it runs against. */
function build(fake: string, backend: string): string {
  const here = packagePath('test', 'firmware', 'npu', fake);
  const templates = packagePath('firmware-templates');
  const program = join(folder, fake);
  writeFileSync(join(folder, 'board.h'), '#define BOARD_CLOCK_HZ 25000000u\n');
  execFileSync('gcc', [
    ...[...strict, ...sanitized],
    ...[`-I${here}`, `-I${folder}`, `-I${templates}`],
    ...[join(here, 'harness.c'), join(templates, 'npu', backend), '-o', program],
  ]);
  return program;
}

describe.skipIf(!hasGcc)('the runner', () => {
  const program = hasGcc ? build('fake-npu', 'ethos-u.c') : '';
  const talk = (...troubles: readonly string[]) =>
    execFileSync(program, troubles, { encoding: 'utf8' }).trim().split('\n');
  /** Without the writes of registers. */
  const outcomes = (...troubles: readonly string[]) =>
    talk(...troubles).filter((line) => !/^[0-9a-f]{2} = /.test(line));

  test('resets once, and then runs job after job', () => {
    const setUp = ['0c = 00000001', ...['40', '44', '48', '4c'].map((at) => `${at} = 0f1f0000`)];
    const job = [
      ...['10 = 30000030', '14 = 00000000', '20 = 00000008', '1c = 00000002'],
      ...['80 = 30000040', '84 = 00000000', '88 = 30000080', '8c = 00000000'],
      ...['90 = 30000100', '94 = 00000000', '3c = 00000003', '08 = 00000001', '08 = 00000002'],
    ];
    expect(talk('first', 'second')).toEqual([
      ...setUp,
      ...job,
      'first: done',
      ...job,
      'second: done',
    ]);
  });

  test.each([
    ['bus-read', 'the NPU met a bus error reading an input, status 00001004, word 1'],
    ['bus-write', 'the NPU met a bus error writing an output, status 00008004, word 1'],
    ['bus-dma', 'the NPU met a bus error moving memory, status 00009004, word 1'],
    ['parse', 'the NPU cannot read the command stream, status 00000010, word 1'],
    ['weights', 'the NPU cannot decode the weights, status 00000080, word 1'],
    ['ecc', "the NPU's own memory is faulty, status 00000100, word 1"],
    ['no-end', 'the NPU stopped before the end of the job, status 00000000, word 1'],
    ['timeout', 'the NPU did not finish the job in 10 s, status 00000001, word 0'],
  ])('%s: a fault resets the NPU, and the next job runs', (trouble, message) => {
    expect(outcomes(trouble, 'next')).toEqual([`${trouble}: ${message}`, 'next: done']);
  });

  test.each([
    ['macs', 'the job was compiled for an NPU with another number of MACs, or another product'],
    ['product', 'the job was compiled for an NPU with another number of MACs, or another product'],
    ['newer', "the job was compiled for a newer architecture than the NPU's"],
    ['older-major', "the job was compiled for a newer architecture than the NPU's"],
    ['magic', 'the payload does not begin with COP1'],
    ['empty', 'the payload does not begin with COP1'],
    ['tag', 'the payload has an unknown tag'],
    ['no-config', 'the command stream comes before the config'],
    ['cut', 'the command stream is cut off'],
    ['cut-config', 'the payload ends within its config'],
    ['no-stream', 'the payload has no command stream'],
    ['unaligned-stream', 'the command stream is not aligned to 16 bytes'],
    ['unaligned-payload', 'the payload is not aligned to 16 bytes'],
    ['unaligned-region', 'a region is not aligned to 16 bytes'],
    ['nine', 'the job has more than 8 regions'],
    ['stuck-reset', 'the NPU does not come out of its reset'],
    ['level', 'the NPU does not work at the level secure and privileged'],
  ])('%s: the job is refused before the NPU runs', (trouble, message) => {
    const lines = talk(trouble);
    expect(lines.at(-1)).toBe(`${trouble}: ${message}, status 00000000, word 0`);
    expect(lines.filter((line) => /^(08|20) = |^violation/.test(line))).toEqual([]);
  });

  test('a refused job leaves the NPU as it was', () => {
    expect(outcomes('first', 'macs', 'next')).toEqual([
      'first: done',
      'macs: the job was compiled for an NPU with another number of MACs, or another product, status 00000000, word 0',
      'next: done',
    ]);
  });
});

describe.skipIf(!hasGcc)("on Arm's driver", () => {
  const program = hasGcc ? build('fake-driver', 'driver.c') : '';
  const talk = (what: string) => execFileSync(program, [what], { encoding: 'utf8' }).split('\n');

  test('a job becomes one call, and the driver is given back', () => {
    const call = [
      'invoke reserved 1, payload +0 of 16, user none',
      'region 0: +16 of 32',
      'region 1: +48 of 16',
    ];
    expect(talk('0')).toEqual([...call, 'done, reserved 0', '']);
    expect(talk('-1')).toEqual([
      ...call,
      "failed: Arm's driver refused the job or failed, reserved 0",
      '',
    ]);
  });

  test('without an NPU, and with too many regions, there is no call', () => {
    expect(talk('none')).toEqual(["failed: Arm's driver knows no NPU, reserved 0", '']);
    expect(talk('nine')).toEqual(['failed: the job has more than 8 regions, reserved 0', '']);
  });
});
