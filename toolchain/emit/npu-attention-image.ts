/** The streams of an attention whose weights the core packs: scores for each head, sums for all. */
import type { Accelerator } from '../ethosu/accelerators.ts';
import type { AttentionPlan } from '../ethosu/attention-plan.ts';
import { linearOperation } from '../ethosu/linear-operation.ts';
import { scaleOf, writeScales } from '../ethosu/scales.ts';
import type { WrittenOperation } from '../ethosu/write-operations.ts';
import type { AttentionInteger } from '../ops/attention.ts';
import type { ConstantWriter } from './constant-writer.ts';

/** Regions of its jobs, after the constants. */
const regions = { input: 1, weights: 2, output: 3 } as const;

export interface AttentionStream {
  readonly operations: readonly WrittenOperation[];
  /** Of the regions from 1 on. */
  readonly regionBytes: readonly number[];
}

/** `queryStride`: from a row of queries to the next. */
export function attentionStreams(
  accelerator: Accelerator,
  plan: AttentionPlan,
  integer: AttentionInteger,
  queryStride: number,
  constants: ConstantWriter,
): readonly AttentionStream[] {
  const { heads, rows, keys, width, valueWidth, scores, sums } = plan;
  const weights = (length: number) => ({ region: regions.weights, base: 0, length });
  const ofHeads = Array.from({ length: heads }, (_, head): AttentionStream => {
    const scale = scaleOf({
      multiplier: integer.scoreMultipliers[head]!,
      shift: integer.scoreShifts[head]!,
    });
    const records = Array.from({ length: keys }, () => ({ bias: 0, ...scale }));
    const operation = linearOperation(accelerator, scores, { first: 0, count: keys }, scoreResult, {
      input: { region: regions.input, base: head * width, strideBytes: queryStride },
      output: { region: regions.output, base: 0, strideBytes: keys, isUnsigned: true },
      weights: weights(plan.scoreStreamBytes),
      scales: constants.range(writeScales(records)),
      table: null,
    });
    const queryBytes = (rows - 1) * queryStride + heads * width;
    return {
      operations: [operation],
      regionBytes: [queryBytes, plan.scoreStreamBytes, rows * keys],
    };
  });
  const unscaled = Array.from({ length: valueWidth }, () => ({ bias: 0, scale: 1, shift: 0 }));
  const ofSums = linearOperation(accelerator, sums, { first: 0, count: valueWidth }, sumResult, {
    input: { region: regions.input, base: 0, strideBytes: keys },
    output: { region: regions.output, base: 0, strideBytes: 4 * valueWidth },
    weights: weights(plan.sumStreamBytes),
    scales: constants.range(writeScales(unscaled)),
    table: null,
  });
  const sumBytes = [rows * keys, plan.sumStreamBytes, 4 * rows * valueWidth];
  return [...ofHeads, { operations: [ofSums], regionBytes: sumBytes }];
}

/** Scores + 128: the core looks up weights by them. */
const scoreResult = { zeroPoint: 128, min: 0, max: 255 } as const;
/** Results of 32 bits have neither. */
const sumResult = { zeroPoint: 0, min: 0, max: 0 } as const;
