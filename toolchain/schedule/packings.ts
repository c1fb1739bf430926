/**
 * How kernels want the (outputs, inputs) weights of a linear laid out.
 *
 * An int4 weight takes half a byte. The C kernels choose which two share one; for WASM SIMD
 * `nibble-pairs` suits as it is: 16 bytes are two vectors of int8 weights of two outputs, by
 * `(bytes << 4) >> 4` and `(bytes − low) >> 4`.
 */
import { internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import type { TypedArrayOf } from '../ir/dtypes.ts';

/** One a byte, whatever their dtype, row by row. */
export type Weights = TypedArrayOf<'int8'>;

export interface Packing {
  /** Of the weights. */
  readonly dtype: 'int8' | 'int4';
  pack(weights: Weights, outputs: number, inputs: number): Weights;
}

export const packings = {
  'row-major': { dtype: 'int8', pack: (weights) => weights },
  pairs: { dtype: 'int8', pack: packPairs },
  triples: { dtype: 'int8', pack: packTriples },
  'bands-64x32': { dtype: 'int8', pack: packBands },
  quads: { dtype: 'int8', pack: packQuads },
  nibbles: { dtype: 'int4', pack: packNibbles },
  'nibble-pairs': { dtype: 'int4', pack: packNibblePairs },
  'offset-nibble-pairs': { dtype: 'int4', pack: packOffsetNibblePairs },
  'nibble-bands-64x32': { dtype: 'int4', pack: packNibbleBands },
} as const satisfies Record<string, Packing>;

export type PackingName = keyof typeof packings;

/** A weight, 0 behind the last output and the last input. */
function readerOf(weights: Weights, outputs: number, inputs: number) {
  return (output: number, input: number): number =>
    output < outputs && input < inputs ? weights[output * inputs + input]! : 0;
}

/** Inputs that the loops over `pairs` may add up. */
export const longestPairs = 8192;
/** The multiple of inputs that the loops over pairs take at once (c/dsp/pairs.h). */
const pairsBlock = 32;

/**
 * The weights of two outputs a halfword, low + 256 · high, in the order of SXTB16: of four inputs 0
 * and 2, then 1 and 3 (c/dsp/linear.c). Two such pairs of outputs lie side by side, four inputs of one
 * and then of the other; outputs behind the last are 0. Rows that are too long stay rows.
 */
function packPairs(weights: Weights, outputs: number, inputs: number): Weights {
  if (inputs > longestPairs) return weights;
  const padded = Math.ceil(inputs / pairsBlock) * pairsBlock;
  const packed = new Int8Array(Math.ceil(outputs / 4) * 4 * padded);
  const at = readerOf(weights, outputs, inputs);
  let to = 0;
  for (let output = 0; output < outputs; output += 4) {
    for (let quad = 0; quad < padded; quad += 4) {
      for (const pair of [output, output + 2]) {
        for (const input of [quad, quad + 2, quad + 1, quad + 3]) {
          const low = at(pair, input);
          const high = at(pair + 1, input) - (low < 0 ? 1 : 0);
          if (high < -128) throw internalError('a weight of -128 cannot be packed', 'pairs');
          packed[to++] = low;
          packed[to++] = high;
        }
      }
    }
  }
  return packed;
}

/** The multiple of inputs that the loop over triples takes at once (c/dsp/linear_triples.c). */
const triplesBlock = 16;

/**
 * Of four outputs a, b, c and d three halfwords, a + 256 · b, b + 256 · c and c + 256 · d: half as many
 * bytes again as the weights. Of four inputs 0 and 2, then 1 and 3, each two in a word, as SMLAD takes
 * them (c/dsp/linear_triples.c).
 */
function packTriples(weights: Weights, outputs: number, inputs: number): Weights {
  const padded = roundUp(inputs, triplesBlock);
  const halves = new Int16Array((roundUp(outputs, 4) / 4) * 3 * padded);
  const at = readerOf(weights, outputs, inputs);
  let to = 0;
  for (let output = 0; output < outputs; output += 4) {
    for (let quad = 0; quad < padded; quad += 4) {
      for (const input of [quad, quad + 1]) {
        for (const low of [output, output + 1, output + 2]) {
          for (const one of [input, input + 2]) {
            const half = at(low, one) + 256 * at(low + 1, one);
            if (half < -32_768) throw internalError('a weight of -128 cannot be packed', 'triples');
            halves[to++] = half;
          }
        }
      }
    }
  }
  return bytesOfHalves(halves);
}

/** The lower byte first. */
function bytesOfHalves(halves: Int16Array): Weights {
  return Int8Array.from({ length: 2 * halves.length }, (_, index) =>
    index % 2 === 0 ? halves[index >> 1]! : halves[index >> 1]! >> 8,
  );
}

/** Outputs of a band and inputs of a group (c/mve/linear.c). */
const bandOutputs = 64;
const groupInputs = 32;

/**
 * Bands of outputs, in them groups of inputs, in them an output after the other: (bands, groups,
 * outputs of the band, 32). The last output's twin and inputs behind the last are 0.
 */
function packBands(weights: Weights, outputs: number, inputs: number): Weights {
  const padded = roundUp(inputs, groupInputs);
  const packed = new Int8Array(roundUp(outputs, 2) * padded);
  let to = 0;
  for (let band = 0; band < outputs; band += bandOutputs) {
    const end = Math.min(band + bandOutputs, outputs);
    for (let group = 0; group < inputs; group += groupInputs) {
      for (let output = band; output < end; output++) {
        const row = output * inputs;
        packed.set(weights.subarray(row + group, row + Math.min(group + groupInputs, inputs)), to);
        to += groupInputs;
      }
      to += (end % 2) * groupInputs;
    }
  }
  return packed;
}

/** Row by row, two inputs a byte, the first in the low half; rows are padded to whole bytes. */
export function packNibbles(weights: Weights, outputs: number, inputs: number): Weights {
  const rowBytes = Math.ceil(inputs / 2);
  const packed = new Int8Array(outputs * rowBytes);
  const at = readerOf(weights, outputs, inputs);
  for (let index = 0; index < packed.length; index++) {
    const [output, input] = [Math.floor(index / rowBytes), 2 * (index % rowBytes)];
    packed[index] = (at(output, input) & 15) | (at(output, input + 1) << 4);
  }
  return packed;
}

/** A byte for two outputs of an input: low + 16 · high. */
function joinNibbles(low: number, high: number): number {
  const byte = low + 16 * high;
  if (byte < -128) throw internalError('a weight of -8 cannot be packed', 'nibble-pairs');
  return byte;
}

/** The bytes of two outputs, input by input: (outputs / 2, inputs) (c/mve/linear_wide_w4.c). */
function packNibblePairs(weights: Weights, outputs: number, inputs: number): Weights {
  const packed = new Int8Array(Math.ceil(outputs / 2) * inputs);
  const at = readerOf(weights, outputs, inputs);
  for (let index = 0; index < packed.length; index++) {
    const [output, input] = [2 * Math.floor(index / inputs), index % inputs];
    packed[index] = joinNibbles(at(output, input), at(output + 1, input));
  }
  return packed;
}

/**
 * As `nibble-pairs`, inputs filled up to a block, and low + 8 in place of low: an AND then gives what
 * SXTB16 would not (c/dsp/linear_w4.c).
 */
function packOffsetNibblePairs(weights: Weights, outputs: number, inputs: number): Weights {
  const padded = roundUp(inputs, pairsBlock);
  const packed = new Int8Array(Math.ceil(outputs / 2) * padded);
  const at = readerOf(weights, outputs, inputs);
  for (let index = 0; index < packed.length; index++) {
    const [output, input] = [2 * Math.floor(index / padded), index % padded];
    packed[index] = at(output, input) + 8 + 16 * at(output + 1, input);
  }
  return packed;
}

/** Bands and groups as of `bands-64x32`, in them pairs of outputs: (bands, groups, pairs, 32). */
function packNibbleBands(weights: Weights, outputs: number, inputs: number): Weights {
  const groups = Math.ceil(inputs / groupInputs);
  const packed = new Int8Array(Math.ceil(outputs / 2) * groups * groupInputs);
  const at = readerOf(weights, outputs, inputs);
  let to = 0;
  for (let band = 0; band < outputs; band += bandOutputs) {
    const end = Math.min(band + bandOutputs, outputs);
    for (let group = 0; group < groups * groupInputs; group += groupInputs) {
      for (let output = band; output < end; output += 2) {
        for (let input = group; input < group + groupInputs; input++) {
          packed[to++] = joinNibbles(at(output, input), at(output + 1, input));
        }
      }
    }
  }
  return packed;
}

/** Outputs of a group and inputs of a quad (assemblyscript/linear.ts). */
const groupOutputs = 4;
const quadInputs = 4;

/**
 * Groups of four outputs, in them quads of inputs, in them an output after the other: (groups, quads,
 * 4, 4). Outputs up to a multiple of eight, and inputs behind the last, are 0.
 */
function packQuads(weights: Weights, outputs: number, inputs: number): Weights {
  const quads = Math.ceil(inputs / quadInputs);
  const packed = new Int8Array(roundUp(outputs, 8) * quads * quadInputs);
  for (let output = 0; output < outputs; output++) {
    const group = Math.floor(output / groupOutputs) * quads;
    for (let input = 0; input < inputs; input++) {
      const quad = (group + Math.floor(input / quadInputs)) * groupOutputs;
      const to = (quad + (output % groupOutputs)) * quadInputs + (input % quadInputs);
      packed[to] = weights[output * inputs + input]!;
    }
  }
  return packed;
}
