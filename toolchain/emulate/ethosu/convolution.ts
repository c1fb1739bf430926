/** Convolutions, depthwise ones, and pools: everything with a kernel that moves over the input. */
import type { Accelerator } from '../../ethosu/accelerators.ts';
import type { Convolution, KernelOperation, Pool } from '../../ethosu/operations.ts';
import { type ChannelScale, readScales } from '../../ethosu/scales.ts';
import { streamError } from '../../ethosu/stream.ts';
import { decodeWeights } from '../../ethosu/weight-decode.ts';
import {
  countWeights,
  scatterWeights,
  subKernelLimit,
  type WeightOrder,
} from '../../ethosu/weight-order.ts';
import { meanScale, scaled } from './arithmetic.ts';
import { elementsOf, readTensor } from './feature-map.ts';
import { type Memory, readRange } from './memory.ts';
import type { Finish } from './output.ts';

export interface WeightStream {
  /** Of its op. */
  readonly word: number;
  readonly bytes: Uint8Array;
  readonly decoded: Int16Array;
}

export interface Convolved {
  readonly values: Int32Array;
  readonly stream: WeightStream;
}

export function convolve(
  memory: Memory,
  accelerator: Accelerator,
  operation: Convolution,
  finish: Finish,
): Convolved {
  const { kind, ifm, ofm, kernel, word, ofmScale, rounding, accumulator } = operation;
  const order = weightOrderOf(accelerator, operation);
  const what = `weight stream of the ${kind} at word ${word}`;
  const bytes = readRange(memory, operation.weights, 'the weight stream', word);
  if (order.outputs * order.height * order.width * order.inputs > mostWeightsOfOp) {
    throw streamError(
      word,
      `the op has more than ${mostWeightsOfOp.toLocaleString('en-US')} weights`,
    );
  }
  const mostWeights = countWeights(order);
  const decoded = decodeWeights(bytes, { mostWeights, where: what });
  if (decoded.length !== mostWeights) {
    throw streamError(
      word,
      `the weight stream has ${decoded.length} weights, the op takes ${mostWeights} at its block depth and traversal`,
    );
  }
  const weights = scatterWeights(order, decoded);
  if (weights === null)
    throw streamError(word, 'the weight stream is in another order than the op’s');
  const scales = readScales(
    readRange(memory, operation.scales, 'the scale stream', word),
    ofm.depth,
    `scale stream of the ${kind} at word ${word}`,
  );
  const input = readTensor(memory, ifm, word);
  const patches = patchesOf(operation, order.height, order.width);
  const sums = new Float64Array(ofm.depth);
  const values = new Int32Array(elementsOf(ofm, word));
  const isDepthwise = kind === 'depthwise';
  if (isDepthwise && ifm.depth !== ofm.depth) {
    throw streamError(word, `a depthwise op from ${ifm.depth} to ${ofm.depth} channels`);
  }
  const add = isDepthwise ? addDepthwise : ifm.type.bytes === 1 ? addProducts8 : addProducts;
  const limit = accumulator === 'int32' ? 2 ** 31 : 2 ** 39;
  for (let y = 0, index = 0; y < ofm.height; y++) {
    for (let x = 0; x < ofm.width; x++) {
      const patch = patches(input, y * kernel.strideY, x * kernel.strideX);
      add(patch, weights, sums);
      for (let c = 0; c < ofm.depth; c++) {
        const scale = scales[c] as ChannelScale;
        const sum = sums[c]! + scale.bias;
        if (sum >= limit || sum < -limit) {
          throw streamError(word, `a sum of ${sum} does not fit the ${accumulator} accumulator`);
        }
        values[index++] = finish(scaled(sum, ofmScale ?? scale, rounding));
      }
    }
  }
  return { values, stream: { word, bytes, decoded } };
}

const mostWeightsOfOp = 2 ** 24;

function weightOrderOf(
  { microBlock }: Accelerator,
  { kind, ifm, ofm, kernel, block }: Convolution,
): WeightOrder {
  const limit = kernel.isDecomposed4x4 ? subKernelLimit / 2 : subKernelLimit;
  return {
    outputs: ofm.depth,
    height: Math.ceil(kernel.height / kernel.dilationY),
    width: Math.ceil(kernel.width / kernel.dilationX),
    inputs: kind === 'depthwise' ? 1 : ifm.depth,
    isDepthwise: kind === 'depthwise',
    isPartKernelFirst: kind === 'conv' && kernel.isPartKernelFirst,
    blockDepth: block.depth,
    inputBits: ifm.type.bytes === 1 ? 8 : 16,
    subKernelHeight: limit / kernel.dilationY,
    subKernelWidth: limit / kernel.dilationX,
    microDepth: microBlock.depth,
  };
}

/** What the kernel sees at a place of the output: `(taps, channels)`, zero outside the input. */
function patchesOf(
  { ifm, kernel, padding, upscale }: KernelOperation,
  tapsY: number,
  tapsX: number,
): (input: Int32Array, top: number, left: number) => Int32Array {
  const patch = new Int32Array(tapsY * tapsX * ifm.depth);
  const find = finder(upscale);
  return (input, top, left) => {
    let at = 0;
    for (let ky = 0; ky < tapsY; ky++) {
      const y = find(top + ky * kernel.dilationY - padding.top, ifm.height);
      for (let kx = 0; kx < tapsX; kx++, at += ifm.depth) {
        const x = find(left + kx * kernel.dilationX - padding.left, ifm.width);
        if (y < 0 || x < 0) {
          patch.fill(0, at, at + ifm.depth);
        } else {
          const from = (y * ifm.width + x) * ifm.depth;
          for (let c = 0; c < ifm.depth; c++) patch[at + c] = input[from + c]!;
        }
      }
    }
    return patch;
  };
}

/** The input's row or column at a place of the upscaled input; −1 where there is none. */
function finder(upscale: KernelOperation['upscale']): (place: number, size: number) => number {
  switch (upscale) {
    case 'none':
      return (place, size) => (place < size ? place : -1);
    case 'nearest':
      return (place, size) => (place < 2 * size ? place >> 1 : -1);
    case 'zeros':
      return (place, size) => (place < 2 * size && (place & 1) === 0 ? place >> 1 : -1);
  }
}

/** `sums[c] = Σ_k patch[k]·weights[c, k]`; 8-bit products of fewer than 2^15 places fit int32. */
function addProducts8(patch: Int32Array, weights: Int16Array, sums: Float64Array): void {
  const depth = patch.length;
  if (depth > 2 ** 15) {
    addProducts(patch, weights, sums);
    return;
  }
  let c = 0;
  for (; c + 4 <= sums.length; c += 4) {
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    let at = c * depth;
    for (let k = 0; k < depth; k++, at++) {
      const value = patch[k]!;
      sum0 = (sum0 + value * weights[at]!) | 0;
      sum1 = (sum1 + value * weights[at + depth]!) | 0;
      sum2 = (sum2 + value * weights[at + 2 * depth]!) | 0;
      sum3 = (sum3 + value * weights[at + 3 * depth]!) | 0;
    }
    sums[c] = sum0;
    sums[c + 1] = sum1;
    sums[c + 2] = sum2;
    sums[c + 3] = sum3;
  }
  for (; c < sums.length; c++) {
    let sum = 0;
    for (let k = 0; k < depth; k++) sum = (sum + patch[k]! * weights[c * depth + k]!) | 0;
    sums[c] = sum;
  }
}

function addProducts(patch: Int32Array, weights: Int16Array, sums: Float64Array): void {
  const depth = patch.length;
  for (let c = 0; c < sums.length; c++) {
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += patch[k]! * weights[c * depth + k]!;
    sums[c] = sum;
  }
}

/** Channel by channel: weights are `(channels, taps)`. */
function addDepthwise(patch: Int32Array, weights: Int16Array, sums: Float64Array): void {
  const channels = sums.length;
  const taps = patch.length / channels;
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap++)
      sum += patch[tap * channels + c]! * weights[c * taps + tap]!;
    sums[c] = sum;
  }
}

export function pool(memory: Memory, operation: Pool, finish: Finish): Int32Array {
  const { mode, ifm, ofm, kernel, ofmScale, rounding, word } = operation;
  const input = readTensor(memory, ifm, word);
  const values = new Int32Array(elementsOf(ofm, word));
  if (mode === 'reduce-sum') {
    if (ofm.depth !== 1) throw streamError(word, `a sum over channels with ${ofm.depth} of them`);
  } else if (ifm.depth !== ofm.depth) {
    throw streamError(word, `a pool from ${ifm.depth} to ${ofm.depth} channels`);
  }
  const scaledSum = (sum: number, count: number) => {
    if (mode === 'average' && isPadded(operation)) return scaled(sum, meanScale(count), 'tfl');
    return ofmScale === null ? sum : scaled(sum, ofmScale, rounding);
  };
  const find = finder(operation.upscale);
  const { padding } = operation;
  for (let y = 0, index = 0; y < ofm.height; y++) {
    for (let x = 0; x < ofm.width; x++) {
      for (let c = 0; c < ofm.depth; c++) {
        let sum = 0;
        let largest = Number.NEGATIVE_INFINITY;
        let count = 0;
        for (let ky = 0; ky < kernel.height; ky += kernel.dilationY) {
          const iy = find(y * kernel.strideY + ky - padding.top, ifm.height);
          if (iy < 0) continue;
          for (let kx = 0; kx < kernel.width; kx += kernel.dilationX) {
            const ix = find(x * kernel.strideX + kx - padding.left, ifm.width);
            if (ix < 0) continue;
            count++;
            const from = (iy * ifm.width + ix) * ifm.depth;
            if (mode === 'reduce-sum') {
              for (let i = 0; i < ifm.depth; i++) sum += input[from + i]!;
            } else {
              const value = input[from + c]!;
              sum += value;
              if (value > largest) largest = value;
            }
          }
        }
        if (count === 0) throw streamError(word, `a pool of padding only at ${y}, ${x}`);
        values[index++] = finish(mode === 'max' ? largest : scaledSum(sum, count));
      }
    }
  }
  return values;
}

/** Then the hardware divides by the number of values itself, ties away from zero. */
function isPadded({ padding: { top, left, bottom, right } }: Pool): boolean {
  return top + left + bottom + right > 0;
}
