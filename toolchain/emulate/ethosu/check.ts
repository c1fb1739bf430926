/** Golden streams against the simulator and the lint: what `lm2mcu npu check` prints. */
import { basename } from 'node:path';
import { Lm2mcuError, userError } from '../../errors.ts';
import { type Accelerator, acceleratorOfConfig } from '../../ethosu/accelerators.ts';
import { type Finding, lint } from '../../ethosu/lint.ts';
import { wordsOf } from '../../ethosu/stream.ts';
import { encodeWeights } from '../../ethosu/weight-encode.ts';
import type { WeightStream } from './convolution.ts';
import {
  type DecodedWeights,
  type Golden,
  type GoldenPlace,
  type GoldenTensor,
  readGolden,
} from './golden.ts';
import { definedSpace, type Space, undefinedSpace, writeSpace } from './memory.ts';
import { simulate } from './simulate.ts';

export interface Checked {
  readonly model: string;
  readonly set: string;
  /** `unchecked`: everything that could be looked at is right, but there was nothing to compare with. */
  readonly outcome: 'passed' | 'failed' | 'unchecked';
  readonly differences: readonly string[];
  readonly findings: readonly Finding[];
  readonly operations: number;
  readonly macs: number;
  readonly weightStreams: readonly WeightSizes[];
  readonly simulationMs: number;
}

export interface WeightSizes {
  readonly word: number;
  readonly weights: number;
  readonly goldenBytes: number;
  readonly ownBytes: number;
}

/** Null: there is nothing to check. A file that cannot be read is a failure of its model. */
export function checkPlace(place: GoldenPlace): Checked | null {
  const { set } = place;
  const model = basename(place.prefix);
  const nothing = { operations: 0, macs: 0, weightStreams: [], findings: [], simulationMs: 0 };
  try {
    const golden = readGolden(place);
    return golden === null ? null : checkGolden(golden);
  } catch (error) {
    if (!(error instanceof Lm2mcuError) || error.kind !== 'user') throw error;
    const { message, where } = error.details;
    const difference = where === undefined ? message : `${message} (${where})`;
    return { model, set, outcome: 'failed', differences: [difference], ...nothing };
  }
}

export function checkGolden(golden: Golden): Checked {
  const { model, set } = golden;
  const accelerator = knownAccelerator(golden);
  const words = wordsOf(golden.stream, `${set}/${model}.cms.bin`);
  const regions = regionsOf(golden);
  const findings = lint(words, accelerator, {
    regionBytes: regions.map(({ bytes }) => bytes.length),
  });
  const start = performance.now();
  const { operations, macs, weightStreams } = simulate(words, accelerator, regions);
  const simulationMs = performance.now() - start;
  const compared = hasInputs(golden) ? golden.outputs.filter(({ bytes }) => bytes !== null) : [];
  const differences = [
    ...compared.flatMap((output) => differenceOf(output, regions[1]!)),
    ...golden.decoded.flatMap((reference) => decodedDifference(reference, weightStreams)),
    ...findings.map(({ rule, message, word }) => `${rule}: ${message} (word ${word})`),
  ];
  const outcome =
    differences.length > 0 ? 'failed' : compared.length === 0 ? 'unchecked' : 'passed';
  return {
    model,
    set,
    outcome,
    differences,
    findings,
    operations,
    macs,
    weightStreams: weightStreams.map(({ word, bytes, decoded }) => ({
      word,
      weights: decoded.length,
      goldenBytes: bytes.length,
      ownBytes: encodeWeights(decoded).length,
    })),
    simulationMs,
  };
}

function knownAccelerator({ config, set, model }: Golden): Accelerator {
  const accelerator = acceleratorOfConfig(config);
  if (accelerator !== null) return accelerator;
  throw userError({
    code: 'unknown-accelerator',
    message: `the config word 0x${config.toString(16)} is that of no known accelerator`,
    where: `${set}/${model}.json`,
    hint: 'Ethos-U55 and single-core Ethos-U65 are known.',
  });
}

/** Whether all that the stream reads is known; else it runs on noise, for the errors that it meets. */
function hasInputs({ inputs, isWhole }: Golden): boolean {
  return isWhole && inputs.every(({ bytes }) => bytes !== null);
}

/** Vela's `arena_cache_size` of the modes that have such a memory; descriptions do not give it. */
const fastScratchBytes = 384 * 1024;

/** Region 0 constants, 1 the arena, 2 the fast scratch memory. */
function regionsOf(golden: Golden): readonly Space[] {
  const { constants, arenaBytes, inputs } = golden;
  const scratch = undefinedSpace('the arena', arenaBytes);
  const arena = hasInputs(golden) ? scratch : definedSpace(scratch.name, scratch.bytes);
  for (const { name, offset, bytes } of inputs) {
    if (bytes === null) continue;
    if (offset + bytes.length > arenaBytes) {
      throw userError({
        code: 'bad-golden',
        message: `input ${name} ends at byte ${offset + bytes.length} of the arena`,
        availableBytes: arenaBytes,
        hint: 'The arena_offset in the description is wrong.',
      });
    }
    writeSpace(arena, offset, bytes);
  }
  const fast = undefinedSpace('the fast scratch memory', fastScratchBytes);
  return [definedSpace('the constants', constants), arena, fast];
}

function decodedDifference(
  { word, weights }: DecodedWeights,
  streams: readonly WeightStream[],
): readonly string[] {
  const decoded = streams.find((stream) => stream.word === word)?.decoded;
  if (decoded === undefined) return [`the op of word ${word} decodes no weights`];
  const isSame =
    decoded.length === weights.length && decoded.every((weight, i) => weight === weights[i]);
  return isSame ? [] : [`the weights of word ${word} decode to others than expected`];
}

function differenceOf({ name, offset, bytes }: GoldenTensor, arena: Space): readonly string[] {
  if (bytes === null) return [];
  if (offset + bytes.length > arena.bytes.length) return [`${name} ends behind the arena`];
  const different: number[] = [];
  bytes.forEach((byte, index) => {
    if (byte !== arena.bytes[offset + index]) different.push(index);
  });
  const [first] = different;
  if (first === undefined) return [];
  return [
    `${name}: ${different.length} of ${bytes.length} bytes differ, the first at ${first}: ${arena.bytes[offset + first]} instead of ${bytes[first]}`,
  ];
}
