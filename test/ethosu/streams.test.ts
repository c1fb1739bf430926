/** Commands to words and back, the payload around them, the text of a stream. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { acceleratorOf, accelerators } from '../../toolchain/ethosu/accelerators.ts';
import { disassemble, formatStream } from '../../toolchain/ethosu/disassemble.ts';
import { architectureId, readPayload, writePayload } from '../../toolchain/ethosu/payload.ts';
import {
  type Command,
  type CommandName,
  commandTable,
  type OperationName,
  type RegisterName,
  rowOf,
} from '../../toolchain/ethosu/registers.ts';
import {
  bytesOf,
  readStream,
  startStream,
  wordsOf,
  writeStream,
} from '../../toolchain/ethosu/stream.ts';
import { readTflite } from '../../toolchain/ethosu/tflite.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { goldenFolder, goldens, streamOf } from './fixtures.ts';

const names = Object.keys(commandTable) as CommandName[];
const anyCommand: fc.Arbitrary<Command> = fc
  .tuple(fc.constantFrom(...names), fc.nat(0xffff), fc.nat(0xffffffff))
  .map(([name, param, payload]) => ({
    name,
    param,
    payload: rowOf(name).kind === 'payload' ? payload : null,
  }));

test('written commands are read as they were', () => {
  fc.assert(
    fc.property(fc.array(anyCommand), (commands) => {
      const words = writeStream(commands);
      const read = readStream(words);
      expect(read.map(({ word: _word, ...command }) => command)).toEqual(commands);
      expect(writeStream(read)).toEqual(words);
      expect(disassemble(words).map(({ name, param }) => [name, param])).toEqual(
        commands.map(({ name, param }) => [name, param]),
      );
    }),
    { seed: 1 },
  );
});

test('every golden stream is written again as it is, by the table and by the writer', () => {
  for (const { stream, set, model } of goldens) {
    const words = wordsOf(stream, model);
    const commands = readStream(words);
    expect(writeStream(commands)).toEqual(words);
    // The writer leaves out what is held already; Vela does so too, but for the DMA's registers.
    if (commands.some(({ name }) => name === 'NPU_OP_DMA_START')) continue;
    const writer = startStream();
    for (const { name, param, payload } of commands) {
      if (name === 'NPU_OP_STOP') break;
      if (rowOf(name).kind === 'operation') writer.run(name as OperationName, param);
      else if (payload === null) writer.set(name as RegisterName, param);
      else if (rowOf(name).payload === 'number') writer.set(name as RegisterName, payload, param);
      else writer.set(name as RegisterName, payload + param * 2 ** 32);
    }
    expect(writer.finish(), `${set} ${model}`).toEqual(words);
  }
});

test('another disassembler reads the same commands', () => {
  let compared = 0;
  for (const { stream, set, model } of goldens) {
    const path = join(goldenFolder, set, `${model}.json`);
    const { commands } = JSON.parse(readFileSync(path, 'utf8')).npu_ops[0];
    if (commands === undefined) continue;
    const own = readStream(wordsOf(stream, model));
    expect(own.map(({ word, name, param, payload }) => [word, name, param, payload])).toEqual(
      commands,
    );
    compared++;
  }
  expect(compared).toBe(18);
});

test('payloads', () => {
  const path = join(goldenFolder, 'vela-5.1.0', 'ethos-u55-128', 'softmax_1x16.payload.bin');
  const golden = readFileSync(path);
  const words = streamOf('vela-5.1.0/ethos-u55-128', 'softmax_1x16');
  const payload = readPayload(golden, path);
  expect(payload.words).toEqual(words);
  const own = writePayload(acceleratorOf('ethos-u55-128'), words);
  // The id word: Vela writes a patch number of its own into bits that the driver does not read.
  expect(Buffer.from(own.subarray(0, 12)).equals(golden.subarray(0, 12))).toBe(true);
  expect(Buffer.from(own.subarray(16)).equals(golden.subarray(16))).toBe(true);
  for (const accelerator of Object.values(accelerators)) {
    for (const length of [0, 1, 74, 0x1_0000, 0x2_0001]) {
      const zeros = new Uint32Array(length);
      const read = readPayload(writePayload(accelerator, zeros), 'own');
      expect(read).toMatchObject({ id: architectureId, words: zeros });
      expect(read.streamWord % 4).toBe(0);
    }
  }
});

test('a TFLite file of Vela’s has the same payload, constants and offsets', () => {
  const place = join(goldenFolder, 'vela-5.1.0', 'ethos-u55-128');
  for (const model of ['softmax_1x16', 'fc_64x32']) {
    const read = readTflite(readFileSync(join(place, `${model}_vela.tflite`)), model)!;
    const golden = goldens.find(
      (of) => of.set.endsWith('5.1.0/ethos-u55-128') && of.model === model,
    )!;
    expect(bytesOf(readPayload(read.payload, model).words)).toEqual(Uint8Array.from(golden.stream));
    expect(Buffer.from(read.constants).equals(golden.constants)).toBe(true);
    expect(read.arenaBytes).toBe(golden.arenaBytes);
    expect(read.inputs.map(({ offset }) => offset)).toEqual(
      golden.inputs.map(({ offset }) => offset),
    );
    expect(read.outputs.map(({ name }) => name)).toEqual(golden.outputs.map(({ name }) => name));
  }
});

test('the text of a stream', () => {
  const golden = packagePath('test', 'ethosu', 'stream.txt');
  const text = ['fc_64x32', 'logistic']
    .map((model) => formatStream(streamOf('vela-5.1.0/ethos-u55-128', model)))
    .join('\n\n');
  if (process.env['BLESS'] === '1') writeFileSync(golden, `${text}\n`);
  const expected = existsSync(golden) ? readFileSync(golden, 'utf8') : '';
  expect(`${text}\n`, 'BLESS=1 rewrites test/ethosu/stream.txt').toBe(expected);
});
