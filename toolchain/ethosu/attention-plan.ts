/**
 * Attention on an NPU without a product of two activations: the core packs keys and values as weight
 * streams, and convolutions of 1 × 1 make scores and sums of them.
 *
 *   scores (rows, keys) = q · kᵀ as int8     weights (rows, keys) by the core     sums = weights · v as int32
 *
 * Weights are sign and magnitude of 8 bits: keys and values keep out −128. No chip has been seen to take
 * streams that are made at run time, and Arm's compiler never writes them; Arm's decoder takes them.
 */
import { roundUp } from '../integers.ts';
import { type Accelerator, type AcceleratorName, accelerators } from './accelerators.ts';
import { sram } from './cost.ts';
import { type LinearPlan, plainWeightBytes, planLinear } from './linear-plan.ts';
import { mostSliceLength } from './weight-format.ts';

export interface AttentionShape {
  readonly rows: number;
  /** The most tokens there can be. */
  readonly tokens: number;
  readonly heads: number;
  readonly width: number;
  readonly valueWidth: number;
}

export interface AttentionPlan extends AttentionShape {
  /** Tokens rounded up: scores behind the last key are made, and weigh nothing. */
  readonly keys: number;
  /** Of one head. */
  readonly scores: LinearPlan;
  readonly sums: LinearPlan;
  readonly scoreStreamBytes: number;
  readonly sumStreamBytes: number;
  /** Of the core: a stream, scores, sums, totals. */
  readonly scratchBytes: number;
  /** Of all heads, in cycles of the NPU. */
  readonly cycles: number;
}

const keyStep = 16;

/** Null: a stream would need more than one slice. */
export function planAttention(name: AcceleratorName, shape: AttentionShape): AttentionPlan | null {
  const accelerator = accelerators[name];
  const { rows, tokens, heads, width, valueWidth } = shape;
  const keys = roundUp(tokens, keyStep);
  const plan = (inputs: number, outputs: number, outputBytes: 1 | 4) =>
    planLinear(accelerator, { rows, inputs, outputs, outputBytes, hasTable: false }, sram, [false]);
  const scores = plan(width, keys, 1);
  const sums = plan(keys, valueWidth, 4);
  const [scoreStreamBytes, sumStreamBytes] = [scores, sums].map((of) =>
    plainStreamBytes(accelerator, of),
  );
  if (scoreStreamBytes == null || sumStreamBytes == null) return null;
  return {
    ...shape,
    keys,
    scores,
    sums,
    scoreStreamBytes,
    sumStreamBytes,
    scratchBytes:
      Math.max(scoreStreamBytes, sumStreamBytes) + rows * keys + 4 * rows * valueWidth + 4 * rows,
    cycles: heads * (scores.cycles.total + sums.cycles.total),
  };
}

/** Header of 36 bits, a byte a weight, 3 bits at the end; null: more than a slice. */
function plainStreamBytes(accelerator: Accelerator, plan: LinearPlan): number | null {
  const weights = plainWeightBytes(accelerator, plan);
  if (weights > mostSliceLength) return null;
  return Math.ceil((36 + 8 * weights + 3) / 128) * 16;
}
