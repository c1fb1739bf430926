/**
 * Damaged streams, payloads, weight streams and TFLite files: whatever the damage, they are taken or
 * refused with a message that says where, soon and without taking memory for what is not there.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { definedSpace } from '../../toolchain/emulate/ethosu/memory.ts';
import { simulate } from '../../toolchain/emulate/ethosu/simulate.ts';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { acceleratorOfConfig } from '../../toolchain/ethosu/accelerators.ts';
import { formatStream } from '../../toolchain/ethosu/disassemble.ts';
import { lint } from '../../toolchain/ethosu/lint.ts';
import { readPayload } from '../../toolchain/ethosu/payload.ts';
import { bytesOf, wordsOf } from '../../toolchain/ethosu/stream.ts';
import { readTflite } from '../../toolchain/ethosu/tflite.ts';
import { decodeWeights } from '../../toolchain/ethosu/weight-decode.ts';
import { encodeWeights } from '../../toolchain/ethosu/weight-encode.ts';
import { fixedSequence } from '../../toolchain/integers.ts';
import { goldenFolder, goldens } from './fixtures.ts';

const runs = 10 * Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 60);
/** Far above what any of these takes, far below a hang. */
const mostMs = 3000;
const mostGrowthBytes = 1e9;

interface Random {
  next(): number;
  below(limit: number): number;
}

function randomOf(seed: number): Random {
  const next = fixedSequence(seed);
  // Neighbouring seeds begin alike.
  for (let i = 0; i < 4; i++) next();
  return { next, below: (limit) => Math.floor(next() * limit) };
}

function damage(bytes: Uint8Array, { below }: Random): Uint8Array {
  const damaged = Uint8Array.from(bytes);
  switch (below(5)) {
    case 0:
      return damaged.subarray(0, below(bytes.length + 1));
    case 1:
      // A whole number of words less.
      return damaged.subarray(0, 4 * below((bytes.length >> 2) + 1));
    case 2: {
      const at = below(bytes.length);
      return damaged.fill(below(2) === 0 ? 0xff : 0, at, at + 1 + below(16));
    }
    case 3: {
      const from = below(bytes.length);
      damaged.copyWithin(below(bytes.length), from, from + 1 + below(32));
      return damaged;
    }
    default:
      for (let left = below(3); left >= 0; left--) damaged[below(bytes.length)]! ^= 1 << below(8);
      return damaged;
  }
}

/** Runs every case, and counts what came of them by the code of the error. */
function outcomesOf(count: number, seed: number, run: (random: Random) => void) {
  const outcomes: Record<string, number> = {};
  const start = memoryBytes();
  for (let index = 0; index < count; index++) {
    const name = `case ${index} of seed ${seed}`;
    const startMs = performance.now();
    const outcome = outcomeOf(name, () => run(randomOf(seed * 1_000_003 + index)));
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs > mostMs) throw new Error(`${name} took ${elapsedMs} ms`);
    if (memoryBytes() - start > mostGrowthBytes) throw new Error(`${name} took too much memory`);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  return outcomes;
}

function memoryBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function outcomeOf(name: string, run: () => void): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Lm2mcuError) || error.kind !== 'user') {
      throw new Error(`${name}: ${error}`, { cause: error });
    }
    const { where, hint, code } = error.details;
    const says = where !== undefined && /\b(word|byte) \d+|\bbit \d+/.test(where);
    if (!says || hint === undefined) {
      throw new Error(`${name}: a poor message: ${formatError(error.details)}`);
    }
    return code;
  }
}

const golden = (random: Random) => goldens[random.below(goldens.length)]!;

test('damaged command streams', () => {
  const outcomes = outcomesOf(runs, 1, (random) => {
    const { stream, constants, arenaBytes, config } = golden(random);
    const words = wordsOf(damage(stream, random), 'damaged');
    const accelerator = acceleratorOfConfig(config)!;
    formatStream(words);
    lint(words, accelerator, { regionBytes: [constants.length, arenaBytes] });
    const regions = [
      definedSpace('constants', constants),
      definedSpace('arena', new Uint8Array(arenaBytes)),
    ];
    simulate(words, accelerator, regions, { mostWork: 2 ** 22 });
  });
  expect(outcomes['accepted']).toBeGreaterThan(0);
  expect(outcomes['bad-command-stream']).toBeGreaterThan(runs / 10);
});

test('damaged constants: weights and scales in their place', () => {
  const withWeights = goldens.filter(({ model }) => /^(fc|conv|dwconv)/.test(model));
  const outcomes = outcomesOf(runs / 2, 2, (random) => {
    const { stream, constants, arenaBytes, config } =
      withWeights[random.below(withWeights.length)]!;
    const regions = [
      definedSpace('constants', damage(constants, random)),
      definedSpace('arena', new Uint8Array(arenaBytes)),
    ];
    simulate(wordsOf(stream, 'golden'), acceleratorOfConfig(config)!, regions);
  });
  expect(outcomes['accepted']).toBeGreaterThan(0);
  expect(outcomes['bad-weight-stream']).toBeGreaterThan(0);
  expect(outcomes['bad-command-stream']).toBeGreaterThan(0);
});

test('damaged weight streams', () => {
  const outcomes = outcomesOf(runs, 3, (random) => {
    const weights = Int16Array.from({ length: 1 + random.below(600) }, () =>
      random.below(3) === 0 ? random.below(255) - 127 : 0,
    );
    const stream = damage(encodeWeights(weights), random);
    const decoded = decodeWeights(stream, { mostWeights: weights.length, where: 'own' });
    expect(decoded.length).toBeLessThanOrEqual(weights.length);
  });
  expect(outcomes['accepted']).toBeGreaterThan(0);
  expect(outcomes['bad-weight-stream']).toBeGreaterThan(runs / 10);
});

test('noise as a weight stream', () => {
  const outcomes = outcomesOf(runs, 4, (random) => {
    const noise = Uint8Array.from({ length: random.below(400) }, () => random.below(256));
    decodeWeights(noise, { mostWeights: 2 ** 16, where: 'noise' });
  });
  expect(outcomes['bad-weight-stream']).toBeGreaterThan(runs / 2);
});

const place = join(goldenFolder, 'vela-5.1.0', 'ethos-u55-128');

test('damaged payloads', () => {
  const payload = readFileSync(join(place, 'softmax_1x16.payload.bin'));
  const outcomes = outcomesOf(runs, 5, (random) => {
    const { words } = readPayload(damage(payload, random), 'damaged');
    formatStream(wordsOf(bytesOf(words), 'own'));
  });
  expect(outcomes['accepted']).toBeGreaterThan(0);
  expect(outcomes['bad-payload']).toBeGreaterThan(0);
  expect(outcomes['bad-command-stream']).toBeGreaterThan(0);
});

test('damaged TFLite files', () => {
  const file = readFileSync(join(place, 'fc_64x32_vela.tflite'));
  const outcomes = outcomesOf(runs, 6, (random) => {
    readTflite(damage(file, random), 'damaged');
  });
  expect(outcomes['accepted']).toBeGreaterThan(0);
  expect(outcomes['bad-tflite']).toBeGreaterThan(runs / 10);
});
