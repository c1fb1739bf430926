/** Attention on the NPU as `kernels/c/npu_attention.c` runs it, with the simulator for its jobs. */
import type { AttentionImage } from '../emit/npu-image.ts';
import { type AcceleratorName, accelerators } from '../ethosu/accelerators.ts';
import type { AttentionPlan } from '../ethosu/attention-plan.ts';
import { weightOrderOf } from '../ethosu/linear-operation.ts';
import type { LinearPlan } from '../ethosu/linear-plan.ts';
import { encodePlain } from '../ethosu/weight-encode.ts';
import { orderWeights } from '../ethosu/weight-order.ts';
import type { Matrix } from '../ir/graph.ts';
import type { AttentionAttrs, AttentionInteger } from '../ops/attention.ts';
import { clamp, divideRequant, requantize } from '../ops/fixed-point.ts';
import { definedSpace, type Space } from './ethosu/memory.ts';
import { simulate } from './ethosu/simulate.ts';

export interface NpuAttentionRun {
  readonly accelerator: AcceleratorName;
  readonly constants: Uint8Array;
  readonly image: AttentionImage;
  readonly plan: AttentionPlan;
  readonly attrs: AttentionAttrs;
  readonly integer: AttentionInteger;
  /** The rows of queries as the jobs see them, also behind the last. */
  readonly queries: Uint8Array;
  readonly rowStart: number;
}

export function attendOnNpu(run: NpuAttentionRun, k: Matrix, v: Matrix, out: Matrix): void {
  const { plan, integer, image, attrs, rowStart } = run;
  const { rows, keys, width, valueWidth, heads } = plan;
  const tokens = k.rows;
  const scores = new Uint8Array(rows * keys);
  const sums = new Int32Array(rows * valueWidth);
  for (let head = 0; head < heads; head++) {
    const keyStream = packRows(run.accelerator, plan.scores, (key, column) =>
      key < tokens ? k.data[k.offset + key * k.stride + head * width + column]! : 0,
    );
    multiply(run, image.jobs[head]!.words, run.queries, keyStream, bytesOf(scores));
    const totals = Array.from({ length: out.rows }, (_, row) => {
      const seen = attrs.causal ? Math.min(tokens, rowStart + row + 1) : tokens;
      const expTable = integer.expTables.subarray(head * 256, (head + 1) * 256);
      return weigh(expTable, scores.subarray(row * keys, (row + 1) * keys), seen);
    });
    const valueStream = packRows(run.accelerator, plan.sums, (column, key) =>
      key < tokens ? v.data[v.offset + key * v.stride + head * valueWidth + column]! : 0,
    );
    multiply(run, image.jobs[heads]!.words, bytesOf(scores), valueStream, bytesOf(sums));
    for (let row = 0; row < out.rows; row++) {
      const mix = divideRequant(integer.mix, totals[row]!);
      const to = out.offset + row * out.stride + head * valueWidth;
      for (let column = 0; column < valueWidth; column++) {
        const sum = sums[row * valueWidth + column]!;
        const value = requantize(sum, mix.multiplier, mix.shift) + integer.zeroPoint;
        out.data[to + column] = clamp(value, -128, 127);
      }
    }
  }
}

/** The weight stream of (outputs, inputs). */
export function packRows(
  accelerator: AcceleratorName,
  plan: LinearPlan,
  weight: (output: number, input: number) => number,
): Uint8Array {
  const { outputs, inputs } = plan;
  const weights = Int16Array.from({ length: outputs * inputs }, (_, index) =>
    weight(Math.floor(index / inputs), index % inputs),
  );
  const order = weightOrderOf(accelerators[accelerator], plan, outputs);
  return encodePlain(orderWeights(order, weights));
}

/** Scores + 128 to weights 0 … 127, in place, 0 behind the keys that are seen; their sum. */
function weigh(expTable: Uint8Array, scores: Uint8Array, seen: number): number {
  const largest = scores.subarray(0, seen).reduce((a, b) => Math.max(a, b), 0);
  let total = 0;
  for (let key = 0; key < scores.length; key++) {
    const weight = key < seen ? expTable[largest - scores[key]!]! : 0;
    scores[key] = weight;
    total += weight;
  }
  return total;
}

function multiply(
  { accelerator, constants }: NpuAttentionRun,
  words: Uint32Array,
  input: Uint8Array,
  weights: Uint8Array,
  output: Uint8Array,
): void {
  const spaces: readonly Space[] = [
    definedSpace('the constants', constants),
    definedSpace('the rows', input),
    definedSpace('the packed weights', weights),
    definedSpace('the products', output),
  ];
  simulate(words, accelerators[accelerator], spaces);
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
