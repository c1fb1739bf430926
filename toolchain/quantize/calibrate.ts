/** Runs the float graph over the user's own texts and keeps what each tensor's values look like. */
import { interpret, type Tokens } from '../emulate/interpreter.ts';
import { type Lm2mcuError, userError } from '../errors.ts';
import type { Graph, Matrix, Node } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { everyRow } from '../passes/every-row.ts';

/** Values of one tensor: the range seen and a histogram over [−limit, limit). */
export interface Observed {
  readonly min: number;
  readonly max: number;
  readonly limit: number;
  readonly counts: Float64Array;
}

export interface Calibration {
  readonly examples: number;
  readonly tensors: ReadonlyMap<string, Observed>;
  /** By node output: the largest value of each thing the op's `observe` reports. */
  readonly internals: ReadonlyMap<string, readonly number[]>;
}

const binCount = 4096;

export function calibrate(
  graph: Graph<'float'>,
  examples: readonly Tokens[],
  progress?: (done: number, total: number) => void,
): Calibration {
  const tensors = new Map<string, Histogram>();
  const internals = new Map<string, number[]>();
  // What a decoder makes of its last token it makes of every token some time.
  const whole = everyRow(graph);
  for (const [index, tokens] of examples.entries()) {
    const context = { tokens: tokens.ids.length, rowStart: 0 };
    interpret(whole, tokens, (node, inputs, out) => {
      let histogram = tensors.get(node.output);
      if (histogram === undefined) {
        histogram = { min: 0, max: 0, limit: 1 / 16, counts: new Float64Array(binCount) };
        tensors.set(node.output, histogram);
      }
      if (!addValues(histogram, out)) throw notFinite(node, index);
      const seen = opOf(node.op).observe?.(inputs, node.attrs, context);
      if (seen === undefined) return;
      const largest = internals.get(node.output) ?? seen.map(() => 0);
      internals.set(
        node.output,
        largest.map((value, item) => Math.max(value, seen[item]!)),
      );
    });
    progress?.(index + 1, examples.length);
  }
  return { examples: examples.length, tensors, internals };
}

interface Histogram {
  min: number;
  max: number;
  limit: number;
  readonly counts: Float64Array;
}

/** False where a value is not finite. */
function addValues(histogram: Histogram, { data }: Matrix): boolean {
  for (let index = 0; index < data.length; index++) {
    const value = data[index]!;
    if (!Number.isFinite(value)) return false;
    if (value < histogram.min) histogram.min = value;
    if (value > histogram.max) histogram.max = value;
    while (Math.abs(value) >= histogram.limit) doubleLimit(histogram);
    const bin = Math.floor(((value / histogram.limit + 1) * binCount) / 2);
    histogram.counts[Math.min(bin, binCount - 1)]! += 1;
  }
  return true;
}

function notFinite({ name }: Node, example: number): Lm2mcuError {
  return userError({
    code: 'not-finite',
    message: `the float model computes infinity or NaN on calibration text ${example + 1}`,
    where: name,
    hint: 'The weights have diverged: take a checkpoint whose outputs are finite in PyTorch too.',
  });
}

/** Twice the range in the same number of bins: neighbours are joined around the middle. */
function doubleLimit(histogram: Histogram): void {
  const { counts } = histogram;
  const joined = new Float64Array(binCount);
  for (let bin = 0; bin < binCount; bin++) {
    joined[binCount / 4 + (bin >> 1)]! += counts[bin]!;
  }
  counts.set(joined);
  histogram.limit *= 2;
}

/**
 * The range [min, max] that `levels` evenly spaced values represent with the least squared error:
 * a few ranges around the one seen, each narrowed a little more, are tried on the histogram.
 * Values outside are clipped, which costs their distance.
 */
export function bestRange(
  observed: Observed,
  levels: number,
  symmetric: boolean,
  useful: readonly [number, number],
): readonly [min: number, max: number] {
  const low = Math.min(0, Math.max(observed.min, useful[0]));
  const high = Math.max(0, Math.min(observed.max, useful[1]));
  const seen: readonly [number, number] = symmetric
    ? [-Math.max(-low, high), Math.max(-low, high)]
    : [low, high];
  let best = seen;
  let leastError = Number.POSITIVE_INFINITY;
  for (let lowStep = 0; lowStep <= 20; lowStep++) {
    for (let highStep = 0; highStep <= 20; highStep++) {
      if (symmetric && highStep !== lowStep) continue;
      const range = [seen[0] * (1 - lowStep * 0.04), seen[1] * (1 - highStep * 0.04)] as const;
      const error = squaredError(observed, range, levels, useful);
      if (error < leastError) {
        leastError = error;
        best = range;
      }
    }
  }
  return best;
}

function squaredError(
  { limit, counts }: Observed,
  [min, max]: readonly [number, number],
  levels: number,
  [usefulMin, usefulMax]: readonly [number, number],
): number {
  const step = (max - min) / levels;
  const rounding = (step * step) / 12;
  let error = 0;
  for (let bin = 0; bin < binCount; bin++) {
    const count = counts[bin]!;
    if (count === 0) continue;
    const center = (((bin + 0.5) * 2) / binCount - 1) * limit;
    const value = Math.min(Math.max(center, usefulMin), usefulMax);
    const clipped = value < min ? min - value : value > max ? value - max : 0;
    error += count * (clipped * clipped + rounding);
  }
  return error;
}
