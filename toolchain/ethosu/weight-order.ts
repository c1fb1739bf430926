/**
 * The order in which the hardware takes the weights of an op, from its block depth and traversal.
 * Places outside the tensor hold zeros that are part of the stream.
 *
 * Order as in the `reorder` of Vela's `mlw_encode.c`.
 */
import { roundUp } from '../integers.ts';
import { inputMicroDepth } from './accelerators.ts';

export interface WeightShape {
  readonly outputs: number;
  /** Of the kernel, without dilation. */
  readonly height: number;
  readonly width: number;
  /** Input channels; 1 of a depthwise op. */
  readonly inputs: number;
}

export interface WeightOrder extends WeightShape {
  readonly isDepthwise: boolean;
  readonly isPartKernelFirst: boolean;
  /** OFM_BLK_DEPTH of the op. */
  readonly blockDepth: number;
  readonly inputBits: 8 | 16;
  /** Of a sub-kernel, in taps: 8 less the dilation's share; 4 in decomposition 4x4. */
  readonly subKernelHeight: number;
  readonly subKernelWidth: number;
  /** Output channels of a micro block. */
  readonly microDepth: number;
}

/** Larger sub-kernels than these are not taken at once. */
export const subKernelLimit = 8;

/**
 * For each weight of the stream its index in `(outputs, height, width, inputs)`, −1 for the zeros
 * outside it.
 */
export function weightIndexes(order: WeightOrder): Int32Array {
  const indexes = new Int32Array(countWeights(order));
  let count = 0;
  walk(order, (output, ky, kx, input) => {
    const isInside =
      ky >= 0 && output < order.outputs && (order.isDepthwise || input < order.inputs);
    indexes[count++] = isInside
      ? ((output * order.height + ky) * order.width + kx) * order.inputs +
        (order.isDepthwise ? 0 : input)
      : -1;
  });
  return indexes;
}

/** Weights in `(outputs, height, width, inputs)` to those of the stream. */
export function orderWeights(order: WeightOrder, weights: ArrayLike<number>): Int16Array {
  return Int16Array.from(weightIndexes(order), (index) => (index < 0 ? 0 : weights[index]!));
}

/** The inverse; null if a place outside the tensor holds a weight. */
export function scatterWeights(order: WeightOrder, stream: Int16Array): Int16Array | null {
  const { outputs, height, width, inputs } = order;
  const weights = new Int16Array(outputs * height * width * inputs);
  const indexes = weightIndexes(order);
  for (let i = 0; i < indexes.length; i++) {
    const index = indexes[i]!;
    if (index >= 0) weights[index] = stream[i]!;
    else if (stream[i] !== 0) return null;
  }
  return weights;
}

/** Weights of the stream, padding included: computed, not counted, so that it is cheap to refuse. */
export function countWeights(order: WeightOrder): number {
  const { outputs, height, width, inputs, isDepthwise, isPartKernelFirst, blockDepth } = order;
  let taps = 0;
  for (let y = 0; y < height; y += order.subKernelHeight) {
    for (let x = 0; x < width; x += order.subKernelWidth) taps += subKernel(order, y, x).steps;
  }
  const inputBlock = inputBlockDepth(order);
  let channels = inputMicroDepth;
  if (!isDepthwise) {
    const whole = Math.floor(inputs / inputBlock) * inputBlock;
    const rest = inputs - whole;
    const last = isPartKernelFirst ? roundUp(rest, inputMicroDepth) : roundUp(rest, inputBlock);
    channels = whole + last;
  }
  const wholeBlocks = Math.floor(outputs / blockDepth);
  const outputSlots =
    wholeBlocks * roundUp(blockDepth, order.microDepth) +
    roundUp(outputs - wholeBlocks * blockDepth, order.microDepth);
  return taps * (isDepthwise ? 1 : channels) * outputSlots;
}

function walk(
  order: WeightOrder,
  emit: (output: number, ky: number, kx: number, input: number) => void,
): void {
  const { outputs, height, width, inputs, isDepthwise, isPartKernelFirst, blockDepth } = order;
  const inputBlock = inputBlockDepth(order);
  const depthStep = isDepthwise ? 1 : inputMicroDepth;
  for (let block = 0; block < outputs; block += blockDepth) {
    const depth = Math.min(blockDepth, outputs - block);
    for (let inputStart = 0; inputStart < (isDepthwise ? 1 : inputs); inputStart += inputBlock) {
      const inputDepth = isDepthwise
        ? inputMicroDepth
        : isPartKernelFirst
          ? Math.min(inputBlock, inputs - inputStart)
          : inputBlock;
      for (let y = 0; y < height; y += order.subKernelHeight) {
        for (let x = 0; x < width; x += order.subKernelWidth) {
          const sub = subKernel(order, y, x);
          const outerDepth = isPartKernelFirst ? inputDepth : 1;
          const innerDepth = isPartKernelFirst ? 1 : inputDepth;
          for (let outer = 0; outer < outerDepth; outer += inputMicroDepth) {
            for (let micro = 0; micro < depth; micro += order.microDepth) {
              for (let step = 0; step < sub.steps; step++) {
                const row = Math.floor(step / sub.width);
                const ky = row < sub.height ? y + row : -1;
                const kx = x + (step % sub.width);
                for (let inner = 0; inner < innerDepth; inner += inputMicroDepth) {
                  for (let z = 0; z < order.microDepth; z++) {
                    for (let i = 0; i < depthStep; i++) {
                      emit(block + micro + z, ky, kx, inputStart + outer + inner + i);
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}

function subKernel(order: WeightOrder, y: number, x: number) {
  const height = Math.min(order.height - y, order.subKernelHeight);
  const width = Math.min(order.width - x, order.subKernelWidth);
  const taps = height * width;
  if (order.isDepthwise) return { height, width, steps: roundUp(taps, 4) };
  if (!order.isPartKernelFirst) return { height, width, steps: taps };
  return { height, width, steps: roundUp(taps, order.inputBits === 8 ? 4 : 2) };
}

function inputBlockDepth({ isPartKernelFirst, inputBits }: WeightOrder): number {
  return isPartKernelFirst || inputBits === 16 ? 16 : 32;
}
