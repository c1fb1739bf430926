import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { interpret, type Tokens } from '../../toolchain/emulate/interpreter.ts';
import { runProgram } from '../../toolchain/emulate/program.ts';
import { kernelsFor, loadKernels } from '../../toolchain/schedule/kernels.ts';
import type { Buffer, Program } from '../../toolchain/schedule/program.ts';
import { schedule } from '../../toolchain/schedule/schedule.ts';
import { kernelScratch } from '../../toolchain/schedule/scratch.ts';
import { storedAs } from '../ir/stored-weights.ts';
import {
  type EncoderShape,
  encoderShapes,
  legalEncoder,
  type PlanShape,
  planShapes,
  randomTokens,
} from './encoders.ts';

const kernels = loadKernels();
/** No value of either is plausible, and they differ in every bit. */
const poisons = [0x5a, 0xa5];
const runs = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 100);

function programOf(shape: EncoderShape, plan: PlanShape): Program {
  const { maxTokens } = shape;
  const features = [...plan.features, ...(plan.kernels === 'native' ? [] : [plan.kernels])];
  return schedule(legalEncoder(shape, plan), {
    maxTokens,
    tileRows: plan.tileRows,
    recomputeInputs: plan.recomputeInputs,
    scratchBytes: kernelScratch(kernelsFor(features, kernels), maxTokens),
  });
}

/** The lengths at which the poisoned program gives other bits than its graph. */
function wrongLengths(program: Program, shape: EncoderShape): readonly number[] {
  const lengths = Array.from({ length: shape.maxTokens }, (_, index) => index + 1);
  return lengths.filter((length) => {
    const tokens = randomTokens(shape, length);
    const expected = interpret(program.graph, tokens)[0]!.data;
    return poisons.some((poison) => !isEqual(expected, poisoned(program, tokens, poison)));
  });
}

function poisoned(program: Program, tokens: Tokens, poison: number): ArrayLike<number> {
  try {
    return runProgram(program, tokens, { poison })[0]!.data;
  } catch (error) {
    if (error instanceof RangeError) return []; // a poisoned token has no row
    throw error;
  }
}

function isEqual(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.from(a).every((value, index) => value === b[index]);
}

const gaps: number[] = [];
afterAll(() => {
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const percent = (gap: number) => `${(100 * gap).toFixed(2)} %`;
  console.info(
    `arena above its lower bound: ${percent(mean)} in the mean, ${percent(Math.max(...gaps))} at worst, ${gaps.length} programs`,
  );
});

test('a program on its arena gives the bits of its graph, at every length', () => {
  fc.assert(
    fc.property(encoderShapes, planShapes, (shape, plan) => {
      const program = programOf(shape, plan);
      expect(wrongLengths(program, shape)).toEqual([]);
      checkPlaces(program);
      gaps.push(program.arenaBytes / leastBytes(program) - 1);
    }),
    { numRuns: runs, seed: 1 },
  );
  expect(Math.max(...gaps)).toBeLessThan(0.05);
});

/** What lives at once, or the inputs and the text behind them. */
function leastBytes({ lowerBoundBytes, buffers, maxTokens }: Program): number {
  const inputs = Object.values(buffers).filter(({ kind }) => kind === 'input');
  const inputBytes = inputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return Math.max(lowerBoundBytes, inputBytes + 8 * maxTokens);
}

function checkPlaces(program: Program): void {
  const buffers = Object.values(program.buffers);
  for (const [index, buffer] of buffers.entries()) {
    if (buffer.sharesWith === null) expect(buffer.offset % 8).toBe(0);
    expect(buffer.offset + buffer.sizeBytes).toBeLessThanOrEqual(program.arenaBytes);
    for (const other of buffers.slice(0, index)) {
      if (meetInTime(buffer, other) && !isInPlace(buffer, other)) {
        expect(meetInSpace(buffer, other), `${buffer.name} and ${other.name}`).toBe(false);
      }
    }
  }
  const inputsEnd = buffers
    .filter(({ kind }) => kind === 'input')
    .map(({ offset, sizeBytes }) => offset + sizeBytes);
  expect(program.textOffset).toBeGreaterThanOrEqual(Math.max(...inputsEnd));
  expect(program.textOffset % 4).toBe(0);
  expect(program.arenaBytes - program.textOffset).toBeGreaterThanOrEqual(8 * program.maxTokens);
}

function meetInTime(a: Buffer, b: Buffer): boolean {
  return a.firstCall <= b.lastCall && b.firstCall <= a.lastCall;
}

function meetInSpace(a: Buffer, b: Buffer): boolean {
  return a.offset < b.offset + b.sizeBytes && b.offset < a.offset + a.sizeBytes;
}

/** One overwrites the other row by row: the poisoned run shows that it may. */
function isInPlace(a: Buffer, b: Buffer): boolean {
  const rootOf = (buffer: Buffer): string => buffer.sharesWith ?? buffer.name;
  return rootOf(a) === rootOf(b);
}

/** Proof that the property above would see a plan that is wrong. */
const shape: EncoderShape = {
  layers: 2,
  heads: 2,
  headWidth: 6,
  ffn: 29,
  activation: 'gelu',
  head: 'pooled',
  outputs: 5,
  vocabulary: 40,
  wordTable: null,
  positionTable: null,
  maxTokens: 11,
  seed: 7,
  storages: [storedAs.float32],
};
const plan: PlanShape = {
  tileRows: 4,
  absorbed: [0, 0, 0],
  grouping: [1, 1, 1],
  features: [],
  absorbs: false,
  kernels: 'native',
  recomputeInputs: false,
};
const sound = programOf(shape, plan);
const computed = Object.values(sound.buffers).filter(({ kind }) => kind !== 'scratch');
/** Not the result, which is read after the run, nor the segment start, which is read before it. */
const read = computed.filter(({ kind, name }) => kind !== 'output' && name !== 'segmentStart');

function withBuffer(buffer: Buffer, change: Partial<Buffer>): Program {
  return { ...sound, buffers: { ...sound.buffers, [buffer.name]: { ...buffer, ...change } } };
}

test('the program that is about to be broken is sound', () => {
  expect(wrongLengths(sound, shape)).toEqual([]);
});

test.each(read)('$name is found out when its life ends a call early', (buffer) => {
  const { firstCall, lastCall } = buffer;
  const lives = Object.values(sound.buffers).filter(
    (other) => isInPlace(buffer, other) || other.name === buffer.name,
  );
  const buffers = { ...sound.buffers };
  for (const one of lives) buffers[one.name] = { ...one, firstCall, lastCall: lastCall - 1 };
  expect(wrongLengths({ ...sound, buffers }, shape)).not.toEqual([]);
});

test.each(computed)('$name is found out when it lies on another that lives', (buffer) => {
  const other = Object.values(sound.buffers).find(
    (one) =>
      one.kind !== 'scratch' &&
      meetInTime(buffer, one) &&
      !isInPlace(buffer, one) &&
      one.offset !== buffer.offset,
  )!;
  const offset = Math.min(other.offset, sound.arenaBytes - buffer.sizeBytes);
  expect(wrongLengths(withBuffer(buffer, { offset: offset - (offset % 8) }), shape)).not.toEqual(
    [],
  );
});
