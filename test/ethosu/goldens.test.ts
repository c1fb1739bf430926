/** Golden streams give the expected bytes, byte for byte, and break no rule of the lint. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkGolden, checkPlace } from '../../toolchain/emulate/ethosu/check.ts';
import { type GoldenPlace, readGolden } from '../../toolchain/emulate/ethosu/golden.ts';
import { definedSpace, undefinedSpace, writeSpace } from '../../toolchain/emulate/ethosu/memory.ts';
import { simulate } from '../../toolchain/emulate/ethosu/simulate.ts';
import { acceleratorOf, acceleratorOfConfig } from '../../toolchain/ethosu/accelerators.ts';
import { lint } from '../../toolchain/ethosu/lint.ts';
import { readPayload } from '../../toolchain/ethosu/payload.ts';
import { wordsOf } from '../../toolchain/ethosu/stream.ts';
import { readTflite } from '../../toolchain/ethosu/tflite.ts';
import { encodePlain } from '../../toolchain/ethosu/weight-encode.ts';
import { orderWeights } from '../../toolchain/ethosu/weight-order.ts';
import { goldenFolder, goldenPlaces, sharedFixtures } from './fixtures.ts';

describe('our models, compiled by Vela', () => {
  const checked = goldenPlaces.flatMap((place) => checkPlace(place) ?? []);

  test.each(checked.map((of) => [`${of.set} ${of.model}`, of] as const))('%s', (_name, of) => {
    expect(of.differences).toEqual([]);
  });

  test('almost all of them have bytes to compare with', () => {
    expect(checked.length).toBe(91);
    // Vela 3.12 leaves the batch matmul of this model to a core.
    const unchecked = checked.filter(({ outcome }) => outcome === 'unchecked');
    expect(unchecked.map(({ model }) => model)).toEqual([
      'attention_core_2x16x16',
      'attention_core_2x16x16',
    ]);
  });

  test('our weight streams are no larger than those of Vela', () => {
    const streams = checked.flatMap(({ weightStreams }) => weightStreams);
    expect(streams.length).toBe(44);
    for (const { goldenBytes, ownBytes } of streams) {
      expect(ownBytes).toBeLessThanOrEqual(goldenBytes);
    }
  });
});

test.each(['u55-128', 'u55-256'])('weights packed at run time: Q·Kᵀ on %s', (name) => {
  const read = (file: string) => readFileSync(join(goldenFolder, 'runtime-weights', name, file));
  const meta = JSON.parse(read('meta.json').toString());
  const { T: tokens, dh: depth, zk, arena: at } = meta;
  const keys = new Int8Array(Uint8Array.from(read('k.bin')).buffer);
  const order = {
    outputs: tokens,
    height: 1,
    width: 1,
    inputs: depth,
    isDepthwise: false,
    isPartKernelFirst: false,
    blockDepth: meta.ofm_block_hwd[2],
    inputBits: 8,
    subKernelHeight: 8,
    subKernelWidth: 8,
    microDepth: 8,
  } as const;
  const packed = orderWeights(
    order,
    Array.from(keys, (key) => key - zk),
  );
  const arena = undefinedSpace('the arena', at.ofm + tokens * tokens);
  writeSpace(arena, at.ifm, read('q.bin'));
  const accelerator = acceleratorOf(`ethos-${name}`);
  const words = wordsOf(read('cms.bin'), name);
  const regions = [definedSpace('constants', read('flash.bin')), arena];
  // The golden stream has 9 bits a weight, whatever they are.
  for (const stream of [read('k_as_weights.mlw.bin'), encodePlain(packed)]) {
    writeSpace(arena, at.weights, padTo(stream, read('k_as_weights.mlw.bin').length));
    simulate(words, accelerator, regions);
    const scores = arena.bytes.subarray(at.ofm, at.ofm + tokens * tokens);
    expect(Buffer.from(scores).equals(read('expected_scores.bin'))).toBe(true);
  }
  expect(
    lint(words, accelerator, { regionBytes: regions.map(({ bytes }) => bytes.length) }),
  ).toEqual([]);
});

function padTo(bytes: Uint8Array, length: number): Uint8Array {
  const padded = new Uint8Array(length).fill(0xff);
  padded.set(bytes);
  return padded;
}

const keywords = sharedFixtures('hw-golden', 'kws_cnn_small_int8');
describe.skipIf(keywords === null)('the keyword spotter whose bytes come from silicon', () => {
  test.each(['model_u55_128', 'model_u55_256'])('%s', (model) => {
    const place = { prefix: join(keywords!, model), io: join(keywords!, 'none'), set: 'silicon' };
    const golden = readGolden(place)!;
    const of = (file: string) => readFileSync(join(keywords!, file));
    const { differences, outcome, weightStreams } = checkGolden({
      ...golden,
      inputs: golden.inputs.map((input) => ({ ...input, bytes: of('input.bin') })),
      outputs: golden.outputs.map((output) => ({ ...output, bytes: of('expected_output.bin') })),
    });
    expect(differences).toEqual([]);
    expect(outcome).toBe('passed');
    for (const { goldenBytes, ownBytes } of weightStreams) {
      expect(ownBytes).toBeLessThanOrEqual(goldenBytes);
    }
  });
});

const persons = sharedFixtures('tflm-person-detect');
describe.skipIf(persons === null)('person detection, with DMA and double-buffered weights', () => {
  test.each(['person', 'no_person'])('%s', (image) => {
    const place: GoldenPlace = {
      prefix: join(persons!, 'person_detect'),
      io: join(persons!, image),
      set: 'tflm',
    };
    const checked = checkPlace(place)!;
    expect(checked.differences).toEqual([]);
    expect(checked.outcome).toBe('passed');
    for (const { goldenBytes, ownBytes } of checked.weightStreams) {
      expect(ownBytes).toBeLessThanOrEqual(goldenBytes);
    }
  });
});

const seanet = sharedFixtures('seanet-int16');
describe.skipIf(seanet === null)('16-bit activations, against Google’s golden values', () => {
  const models = seanet === null ? [] : readdirSync(seanet).filter((name) => /_vela-/.test(name));
  test.each(models)('%s', (file) => {
    const values = (name: string) => {
      const text = readFileSync(
        join(seanet!, `${file.split('_vela-')[0]}_${name}_int16.csv`),
        'utf8',
      );
      const numbers = text.split(/[\s,]+/).filter((word) => word !== '');
      return new Uint8Array(Int16Array.from(numbers, Number).buffer);
    };
    const model = readTflite(readFileSync(join(seanet!, file)), file)!;
    expect(model.isWhole).toBe(true);
    const { words, config } = readPayload(model.payload, file);
    const accelerator = acceleratorOfConfig(config)!;
    const arena = undefinedSpace('the arena', model.arenaBytes);
    model.inputs.forEach(({ offset }, index) => {
      writeSpace(arena, offset!, values(`input${index}`));
    });
    const regions = [definedSpace('constants', model.constants), arena];
    simulate(words, accelerator, regions);
    const { offset, sizeBytes } = model.outputs[0]!;
    const output = arena.bytes.subarray(offset!, offset! + sizeBytes);
    expect(Buffer.from(output).equals(values('golden'))).toBe(true);
    const regionBytes = regions.map(({ bytes }) => bytes.length);
    expect(lint(words, accelerator, { regionBytes })).toEqual([]);
  });
});
