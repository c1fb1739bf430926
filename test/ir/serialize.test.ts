import { readFileSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { formatError, internalError, Lm2mcuError } from '../../toolchain/errors.ts';
import { importModel, modelCardSchema } from '../../toolchain/importers/index.ts';
import { graphBuilder } from '../../toolchain/ir/build.ts';
import { parseGraph, serializeGraph } from '../../toolchain/ir/serialize.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { fixturePath, fixtures, stagesOf, withoutNegativeZero } from './graphs.ts';

describe.each(fixtures)('%s', (fixture) => {
  test.each(Object.entries(stagesOf(fixture)))('%s graph comes back', (_name, graph) => {
    const extra = { note: null, list: [1, 'two', true], map: Uint8Array.of(1, 2, 3) };
    const bytes = serializeGraph(graph, extra);
    const back = parseGraph(bytes);
    expect(back).toEqual({ graph: withoutNegativeZero(graph), extra });
    expect(Object.keys(back.graph.tensors)).toEqual(Object.keys(graph.tensors));
    expect(serializeGraph(back.graph, back.extra)).toEqual(bytes);
    const tokens = { ids: [2, 7, 9, 30, 3], segmentStart: 3 };
    expect(interpret(back.graph, tokens)).toEqual(interpret(graph, tokens));
  });
});

const arrayTypes = [Float32Array, Float64Array, Int8Array, Uint8Array, Int16Array, Int32Array];
const { extra: anyExtra } = fc.letrec((tie) => ({
  extra: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.string({ unit: 'grapheme' }),
    fc
      .tuple(fc.constantFrom(...arrayTypes), fc.array(fc.integer({ min: 0, max: 99 })))
      .map(([type, values]) => type.from(values)),
    fc.array(tie('extra')),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$array', '$', 'toString')), tie('extra'), {
      noNullPrototype: true,
    }),
  ),
}));

const tiny = (() => {
  const builder = graphBuilder('tiny');
  const x = builder.input('x', 'int32', ['tokens', 1]);
  const start = builder.input('segmentStart', 'int32', [1, 1]);
  const word = builder.constant('word', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
  const words = builder.node('lookupRows', 'words', [x, word], { index: 'token' });
  return builder.finish([builder.node('embed', 'y', [words, word, start, word], {})]);
})();

test('whatever is plain data comes back', () => {
  fc.assert(
    fc.property(anyExtra, (extra) => {
      expect(parseGraph(serializeGraph(tiny, extra)).extra).toEqual(extra);
    }),
  );
});

test('the same graph gives the same bytes, whatever the order of keys', () => {
  const shuffled = Object.fromEntries(Object.entries(tiny).toReversed());
  expect(serializeGraph(shuffled as typeof tiny, { a: 1, b: 2 })).toEqual(
    serializeGraph(tiny, { b: 2, a: 1 }),
  );
});

test('what is no plain data is refused', () => {
  for (const extra of [Number.NaN, () => 0, 1n, new BigInt64Array(1), new Map()]) {
    expect(() => serializeGraph(tiny, extra)).toThrow(Lm2mcuError);
  }
});

test('the model card and the tokenizer fit in', () => {
  const { graph, tokenizer, card } = importModel(fixturePath('seqcls-gelu'));
  const bytes = serializeGraph(graph, { tokenizer, card });
  const schema = z.object({ tokenizer: z.unknown(), card: modelCardSchema });
  expect(parseGraph(bytes, schema).extra).toEqual({ tokenizer, card });
});

test('an extra of another form is a user error', () => {
  const bytes = serializeGraph(tiny, { card: 1 });
  expect(() => parseGraph(bytes, z.object({ card: z.string() }))).toThrow(/header\.extra\.card/);
});

/** The user's error that reading gives; another error, or none, is a bug. */
function userErrorOf(bytes: Uint8Array): Lm2mcuError {
  try {
    parseGraph(bytes);
  } catch (error) {
    if (error instanceof Lm2mcuError && error.kind === 'user') return error;
    throw error;
  }
  throw internalError('the damage was not seen');
}

const legalBytes = serializeGraph(stagesOf('seqcls-odd-f32')['legal']!, { card: 'a' });

test('any flipped bit and any cut is seen', () => {
  for (let end = 0; end < 400; end++) userErrorOf(legalBytes.subarray(0, end));
  fc.assert(
    fc.property(fc.nat(legalBytes.length - 1), fc.nat(7), (index, bit) => {
      const damaged = legalBytes.slice();
      damaged[index]! ^= 1 << bit;
      userErrorOf(damaged);
    }),
    { numRuns: 500 },
  );
});

/** A header with a right checksum, so that the checks behind it are reached. */
function withHeader(edit: (json: string) => string): Uint8Array {
  const view = new DataView(legalBytes.buffer);
  const length = view.getUint32(16, true);
  const json = new TextDecoder().decode(legalBytes.subarray(24, 24 + length));
  const header = new TextEncoder().encode(edit(json));
  const data = legalBytes.subarray(Math.ceil((24 + length) / 8) * 8);
  const start = Math.ceil((24 + header.length) / 8) * 8;
  const bytes = new Uint8Array(start + data.length);
  bytes.set(legalBytes.subarray(0, 24));
  bytes.set(header, 24);
  bytes.set(data, start);
  const out = new DataView(bytes.buffer);
  out.setUint32(16, header.length, true);
  out.setUint32(12, crc32(bytes.subarray(16)), true);
  return bytes;
}

/** The file with the first `from` in its header replaced. */
const edited = (from: string | RegExp, to: string) => withHeader((json) => json.replace(from, to));
const wrongVersion = legalBytes.slice();
wrongVersion[8] = 9;
const wrongByte = legalBytes.slice();
wrongByte[legalBytes.length - 1]! ^= 1;

const damagedFiles: Readonly<Record<string, Uint8Array>> = {
  'an empty file': new Uint8Array(0),
  'another file': new TextEncoder().encode('{"name":"tiny","version":"0.1.0"}'),
  'a file cut off': legalBytes.subarray(0, 1000),
  'another version': wrongVersion,
  'a changed byte': wrongByte,
  'no JSON': withHeader((json) => `${json}}`),
  'deep nesting': withHeader(() => `${'['.repeat(100_000)}${']'.repeat(100_000)}`),
  'no graph': withHeader(() => '{"extra":1}'),
  'a number': withHeader(() => '5'),
  'an array too long': edited(/"int8",\d+,/, '"int8",8000000,'),
  'an array unaligned': edited(/"int32",\d+,/, '"int32",4,'),
  'an unknown array type': edited('"int32",', '"int64",'),
  'another stage': edited('"legal"', '"float"'),
  'an unknown op': edited('"op":"linear"', '"op":"toString"'),
  'a missing tensor': edited('"output":"classifier"', '"output":"gone"'),
  'a tensor twice': edited('"name":"pooler.dense.bias"', '"name":"pooler.dense.weight"'),
  'no heads': edited(/"heads":\d+/, '"heads":0'),
  'a key more': edited('"role":', '"rule":1,"role":'),
};

test('every message reads as in graph-bin-errors.txt (BLESS=1 rewrites it)', () => {
  const text = Object.entries(damagedFiles)
    .map(([name, bytes]) => `# ${name}\n${formatError(userErrorOf(bytes).details)}\n`)
    .join('\n');
  const file = packagePath('test/ir/graph-bin-errors.txt');
  if (process.env['BLESS'] === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
});

test('damage behind a right checksum never crashes', () => {
  expect(parseGraph(withHeader((json) => json)).graph.stage).toBe('legal');
  fc.assert(
    fc.property(fc.nat(), fc.string({ maxLength: 3 }), fc.nat(3), (at, insert, removed) => {
      const bytes = withHeader((json) => {
        const index = at % json.length;
        return json.slice(0, index) + insert + json.slice(index + removed);
      });
      try {
        parseGraph(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Lm2mcuError);
        expect((error as Lm2mcuError).kind).toBe('user');
      }
    }),
    { numRuns: 1000 },
  );
});
