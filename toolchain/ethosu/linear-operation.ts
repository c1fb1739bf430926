/** A linear layer, or some of its output channels, as an op of a stream with its constants. */
import { internalError } from '../errors.ts';
import type { LinearInteger } from '../ops/linear.ts';
import type { Accelerator } from './accelerators.ts';
import type { Brick, LinearPlan } from './linear-plan.ts';
import type { FeatureMap, StreamRange } from './operations.ts';
import { scaleOf, writeScales } from './scales.ts';
import { layOut } from './shram.ts';
import { encodeWeights } from './weight-encode.ts';
import { orderWeights, subKernelLimit, type WeightOrder } from './weight-order.ts';
import type { WrittenConvolution } from './write-operations.ts';

/** Rows of a matrix in memory. */
export interface RowPlace {
  readonly region: number;
  readonly base: number;
  /** From a row to the next. */
  readonly strideBytes: number;
  readonly isUnsigned?: true;
}

export interface LinearPlaces {
  readonly input: RowPlace;
  readonly output: RowPlace;
  readonly weights: StreamRange;
  readonly scales: StreamRange;
  /** Slot of the lookup table in SHRAM; null: none. */
  readonly table: number | null;
}

/** The bias of `integer` has the input's zero point in it: the op itself reads with zero point 0. */
export function linearOperation(
  accelerator: Accelerator,
  plan: LinearPlan,
  brick: Brick,
  integer: Pick<LinearInteger, 'zeroPoint' | 'min' | 'max'>,
  places: LinearPlaces,
): WrittenConvolution {
  const { block, inputs, outputBytes, isPartKernelFirst } = plan;
  const { table, weights, scales } = places;
  const shram = layOut(accelerator, {
    kind: 'conv',
    block,
    inputDepth: inputs,
    inputBytes: 1,
    kernel: { height: 1, width: 1 },
    stride: { y: 1, x: 1 },
    isPartKernelFirst,
    upscale: 'none',
    accumulator: 'int32',
    usesTable: table !== null,
    hasSecondInput: false,
    accumulatorRows: block.height,
  });
  if (shram === null) throw internalError('the block of a linear layer does not fit SHRAM', 'npu');
  const output = {
    ...places.output,
    base: places.output.base + brick.first * outputBytes,
  };
  return {
    kind: 'conv',
    ifm: rowsAsMap('IFM', plan, inputs, 1, places.input, 0),
    ofm: rowsAsMap('OFM', plan, brick.count, outputBytes, output, integer.zeroPoint),
    kernel: {
      ...{ height: 1, width: 1, strideY: 1, strideX: 1, dilationY: 1, dilationX: 1 },
      isPartKernelFirst,
      isDecomposed4x4: false,
    },
    padding: { top: 0, left: 0, bottom: 0, right: 0 },
    upscale: 'none',
    weights,
    scales,
    ofmScale: null,
    rounding: 'tfl',
    activation: {
      kind: table === null ? 'clip' : 'table',
      table: table ?? 0,
      clip: 'ofm',
      min: integer.min,
      max: integer.max,
    },
    block,
    shram,
    accumulator: 'int32',
    blockdep: 0,
  };
}

/** Row `y · width + x` of the matrix is place (y, x). */
function rowsAsMap(
  register: FeatureMap['register'],
  { height, width }: LinearPlan,
  depth: number,
  bytes: 1 | 2 | 4,
  { region, base, strideBytes, isUnsigned }: RowPlace,
  zeroPoint: number,
): FeatureMap {
  return {
    ...{ register, region, height, width, depth, zeroPoint },
    bases: [base, 0, 0, 0],
    ...{ width0: width, height0: height, height1: height },
    strideY: width * strideBytes,
    strideX: strideBytes,
    strideC: bytes,
    format: 'nhwc',
    type: { bytes, isSigned: isUnsigned !== true },
  };
}

/** Row-major (outputs, inputs) weights of a layer, and the bias that holds the input's zero point. */
export interface LinearConstants {
  readonly weights: ArrayLike<number>;
  readonly bias: ArrayLike<number>;
  readonly integer: Pick<LinearInteger, 'multipliers' | 'shifts'>;
}

/** How an op that makes `outputs` channels takes its weights. */
export function weightOrderOf(
  { microBlock }: Accelerator,
  { inputs, block, isPartKernelFirst }: LinearPlan,
  outputs: number,
): WeightOrder {
  return {
    ...{ outputs, height: 1, width: 1, inputs },
    ...{ isDepthwise: false, isPartKernelFirst, blockDepth: block.depth },
    inputBits: 8,
    ...{ subKernelHeight: subKernelLimit, subKernelWidth: subKernelLimit },
    microDepth: microBlock.depth,
  };
}

/** The weight and scale streams of a brick. */
export function brickStreams(
  accelerator: Accelerator,
  plan: LinearPlan,
  { first, count }: Brick,
  { weights, bias, integer }: LinearConstants,
): { readonly weights: Uint8Array; readonly scales: Uint8Array } {
  const { inputs } = plan;
  const order = weightOrderOf(accelerator, plan, count);
  const own = Int16Array.from(
    { length: count * inputs },
    (_, index) => weights[first * inputs + index]!,
  );
  const channels = Array.from({ length: count }, (_, index) => {
    const channel = first + index;
    const multiplier = integer.multipliers[channel]!;
    return { bias: bias[channel]!, ...scaleOf({ multiplier, shift: integer.shifts[channel]! }) };
  });
  return { weights: encodeWeights(orderWeights(order, own)), scales: writeScales(channels) };
}
