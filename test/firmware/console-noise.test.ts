/**
 * The console with any bytes on its line, compiled for the host with sanitizers: every answer is a
 * line of JSON, there are as many as lines were ended, and the next line is read as if nothing had
 * been.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { portableSources } from '../../toolchain/emulate/executor.ts';
import { buildHostProgram } from '../../toolchain/emulate/host-c.ts';
import { parseStoredModel } from '../../toolchain/emulate/stored-model.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { fixtureModels } from '../conformance/models.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-console-'));
afterAll(() => rmSync(folder, { recursive: true }));

let program: string;
beforeAll(async () => {
  const target = loadTarget('mps2-an386');
  const { graphBin } = compile({ ...fixtureModels()[0]!.request, target });
  const sources = portableSources(parseStoredModel(graphBin), graphBin);
  program = await buildHostProgram({ sources, sanitize: true }, folder);
});

function talk(input: Buffer): readonly string[] {
  const { status, stdout, stderr } = spawnSync(program, { input, maxBuffer: 1 << 26 });
  expect(status, stderr.toString()).toBe(0);
  return stdout.toString('utf8').trimEnd().split('\n');
}

const byte = fc.integer({ min: 0, max: 255 });
const piece = fc.oneof(
  fc.array(byte, { maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom(
      '?',
      '#ids',
      '#ids 1 2',
      '#ids 1 | ',
      '#text ',
      '!boot',
      '\t',
      'é',
      '深',
      '\u{1f600}',
    )
    .map((text) => Buffer.from(text)),
  fc.constantFrom('\n', '\r', '\r\n', '\n\r').map((text) => Buffer.from(text)),
  fc
    .tuple(byte, fc.integer({ min: 0, max: 9000 }))
    .map(([fill, count]) => Buffer.alloc(count, fill)),
);
const noise = fc.array(piece, { maxLength: 25 }).map((pieces) => Buffer.concat(pieces));

/** CR, LF and CR LF end a line. */
function lineEnds(input: Buffer): number {
  return input.toString('latin1').match(/\r\n|\r|\n/g)?.length ?? 0;
}

function bitsOf(line: string): unknown {
  const { nanoseconds: _, ...bits } = JSON.parse(line);
  return bits;
}

describe('noise on the line', () => {
  test('every line is answered with one line of JSON, and the next is read as ever', () => {
    const [, expected] = talk(Buffer.from('the lamp\n'));
    fc.assert(
      fc.property(noise, (before) => {
        const input = Buffer.concat([before, Buffer.from('\nthe lamp\n')]);
        const [ready, ...answers] = talk(input);
        expect(JSON.parse(ready!)).toHaveProperty('ready');
        expect(answers).toHaveLength(lineEnds(input));
        for (const answer of answers) expect(() => JSON.parse(answer)).not.toThrow();
        expect(bitsOf(answers.at(-1)!)).toEqual(bitsOf(expected!));
      }),
      { numRuns: 300, seed: 3 },
    );
  });

  test('!boot is a command only as a whole line, and an error without a bootloader', () => {
    const [, command, more, less, escaped] = talk(
      Buffer.from('!boot\n!boot now\n!boo\n#text !boot\n'),
    );
    expect(JSON.parse(command!)).toEqual({
      error: { code: 'no-bootloader', message: 'this firmware was not started by a bootloader' },
    });
    for (const answer of [more, less, escaped])
      expect(JSON.parse(answer!)).toHaveProperty('logits');
  });
});
