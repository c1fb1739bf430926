import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Executor,
  idsLine,
  onConsole,
  openExecutor,
  textLine,
} from '../../toolchain/emulate/executor.ts';
import { parseStoredModel } from '../../toolchain/emulate/stored-model.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { fixturePath } from '../ir/graphs.ts';

const compiled = compile({
  modelPath: fixturePath('seqcls-gelu'),
  target: loadTarget('mps2-an386'),
  maxTokens: 16,
  calibration: null,
});

describe('lines of the console', () => {
  test.each([
    [{ text: 'plain text' }, 'plain text'],
    [{ text: 'one\ttwo\r\nthree' }, 'one two  three'],
    [{ text: 'a', textPair: 'b\tc' }, 'a\tb c'],
    [{ text: 'a', textPair: '' }, 'a\t'],
    [{ text: '?' }, '#text ?'],
    [{ text: '#ids 1' }, '#text #ids 1'],
    [{ text: '?', textPair: '?' }, '#text ?\t?'],
  ])('%j', (example, line) => expect(textLine(example)).toBe(line));

  test.each([
    [{ ids: [1, 2, 3], segmentStart: 3 }, '#ids 1 2 3'],
    [{ ids: [1, 2, 3], segmentStart: 2 }, '#ids 1 2 | 3'],
    [{ ids: [1, 2], segmentStart: 0 }, '#ids | 1 2'],
  ])('%j', (tokens, line) => expect(idsLine(tokens)).toBe(line));
});

test('a job of the NPU that failed is named with how far it came', async () => {
  const model = parseStoredModel(compiled.graphBin);
  const line =
    '{"error":{"code":"npu","message":"the NPU cannot decode the weights","npu":{"status":"0x00000080","word":71}}}';
  const board = onConsole('board', model, { ask: async () => line, close: async () => {} });
  await expect(board.classify({ text: 'a' })).rejects.toMatchObject({
    kind: 'internal',
    details: {
      code: 'npu-failed',
      message: 'a job of the NPU failed: the NPU cannot decode the weights',
      where: 'word 71 of the command stream, status 0x00000080',
      hint: 'Check that the firmware was built for this board; if it was, this is a bug in lm2mcu: please report it.',
    },
  });
});

describe.each(['interpreter', 'program', 'host'] as const)('%s', (on) => {
  let executor: Executor;
  beforeAll(async () => {
    executor = await openExecutor(on, compiled);
  });
  afterAll(() => executor.close());

  test.each([
    [{ ids: new Array(17).fill(1), segmentStart: 17 }, 'too-long'],
    [{ ids: [], segmentStart: 0 }, 'bad-token'],
    [{ ids: [1, 100_000], segmentStart: 2 }, 'bad-token'],
    [{ ids: [1, -1], segmentStart: 2 }, 'bad-token'],
    [{ ids: [1, 1.5], segmentStart: 2 }, 'bad-token'],
    [{ ids: [1, 2], segmentStart: 3 }, 'bad-token'],
  ])('refuses %j', async (tokens, code) => {
    const answer = executor.runTokens(tokens);
    await expect(answer).rejects.toMatchObject({ kind: 'user', details: { code } });
  });

  test('answers calls at once in their order', async () => {
    const texts = ['one', 'two words', 'three more words'];
    const together = await Promise.all(texts.map((text) => executor.classify({ text })));
    for (const [index, text] of texts.entries()) {
      const { instructions: _, ...alone } = await executor.classify({ text });
      expect(together[index]).toMatchObject(alone);
    }
  });

  test('says how many tokens there were', async () => {
    expect(await executor.classify({ text: '' })).toMatchObject({ tokens: 2, truncated: false });
    const long = 'hello '.repeat(100);
    expect(await executor.classify({ text: long })).toMatchObject({ tokens: 16, truncated: true });
  });
});

describe('a text that the console has no room for', () => {
  let host: Executor;
  let interpreter: Executor;
  beforeAll(async () => {
    host = await openExecutor('host', compiled);
    interpreter = await openExecutor('interpreter', compiled);
  });
  afterAll(() => host.close());

  test.each([
    { text: 'some words, again and again. '.repeat(5000) },
    { text: 'short', textPair: 'a long one '.repeat(9000) },
    { text: 'two of '.repeat(9000), textPair: 'them 深度学习 '.repeat(9000) },
  ])('is cut where the model cuts it', async (example) => {
    const { instructions: _, ...expected } = await interpreter.classify(example);
    expect(await host.classify(example)).toMatchObject(expected);
    expect(expected.truncated).toBe(true);
  });

  test('is refused where its end counts', async () => {
    const answer = host.classify({ text: `${' '.repeat(99_999)}end` });
    await expect(answer).rejects.toMatchObject({
      kind: 'user',
      details: {
        code: 'line-too-long',
        message: 'the line does not fit in the memory free for text',
        hint: 'Give a shorter text: what goes beyond the model’s tokens is cut off anyway.',
      },
    });
    expect(await host.classify({ text: 'next' })).toMatchObject({ truncated: false });
  });
});

describe('what cannot be opened', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-executor-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('a folder without graph.bin', async () => {
    await expect(openExecutor('interpreter', folder)).rejects.toMatchObject({
      kind: 'user',
      details: { code: 'not-built', where: 'graph.bin' },
    });
  });

  test('an emulator without an image', async () => {
    writeFileSync(join(folder, 'graph.bin'), compiled.graphBin);
    await expect(openExecutor('emulator', folder)).rejects.toMatchObject({
      kind: 'user',
      details: { code: 'no-firmware', where: 'firmware.elf' },
    });
    const executor = await openExecutor('interpreter', folder);
    expect(await executor.classify({ text: '' })).toMatchObject({ tokens: 2 });
  });

  test('a host without compiler', async () => {
    const { PATH } = process.env;
    process.env['PATH'] = '/nowhere';
    try {
      await expect(openExecutor('host', compiled)).rejects.toMatchObject({
        kind: 'environment',
        details: { code: 'missing-host-compiler', message: 'gcc is not installed' },
      });
    } finally {
      process.env['PATH'] = PATH;
    }
  });
});
