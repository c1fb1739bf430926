/**
 * The weight stream ("mlw"): what its decoder and its encoder share.
 *
 * A stream is a list of slices, each a header and a body, and ends with ZDIV = 7. Weights are
 * −255 … 255, as sign and magnitude in one code: `|w|·2 + (w < 0)`. What is written is an index: into
 * the palette, or behind it directly a code. Indexes are Golomb-Rice coded, in chunks of 12 unary
 * bits whose remainders come a chunk later; in zero-run mode the lengths of runs of zeros are
 * interleaved with them.
 *
 *   ZDIV 3 · SLICELEN−1 15 · WDIV 3 · WTRUNC 1 · NEWPAL 1
 *   if NEWPAL: DIROFS 5 · PALSIZE 5 (size − 1, 0 none) · PALBITS−2 3 · the palette's codes
 *
 * The format is that of Vela's `mlw_decode.c`.
 */

export const widths = {
  zdiv: 3,
  sliceLength: 15,
  wdiv: 3,
  trunc: 1,
  newPalette: 1,
  directOffset: 5,
  paletteSize: 5,
  paletteBits: 3,
} as const;

export const zdivEnd = 7;
export const zdivNoRuns = 6;
export const mostZdiv = 3;
export const wdivUncompressed = 7;
export const mostWdiv = 5;
export const mostSliceLength = 2 ** widths.sliceLength - 1;
export const mostPalette = 32;
export const leastPaletteBits = 2;
export const mostDirectOffset = 31;
/** Indexes are 9 bits. */
export const mostIndex = 511;
/** The longest quotient that Arm's own encoder writes. */
export const mostQuotient = 31;
export const mostWeight = 255;
/** Weights and zero runs take turns: neither is more than so many symbols ahead. */
export const mostAhead = 8;
/** A stream is padded to it with ones. */
export const streamAlignment = 16;

export const symbolsPerChunk = 12;

export interface Palette {
  /** Sign-magnitude codes; 0 or 2 … 32 of them. */
  readonly codes: readonly number[];
  /** Of a code; without codes, of an index in an uncompressed slice. */
  readonly bits: number;
  /** Index `codes.length` means this code. */
  readonly directOffset: number;
  /** Zeros are not coded as weights: a run of them follows every weight and precedes the first. */
  readonly zeroRuns: boolean;
}

/** How the weights of a slice are coded; `bits` of an uncompressed one are the palette's matter. */
export interface WeightCoding {
  readonly kind: 'golomb' | 'truncated' | 'uncompressed';
  readonly divisor: number;
}

export function codeOf(weight: number): number {
  return weight < 0 ? (-weight << 1) | 1 : weight << 1;
}

export function weightOf(code: number): number {
  return (code & 1) === 1 ? -(code >> 1) : code >> 1;
}

export function uncompressedBits({ codes, bits }: Palette): number {
  return codes.length === 0 ? bits : bitWidth(codes.length - 1);
}

/** Bits that a value needs. */
export function bitWidth(value: number): number {
  return 32 - Math.clz32(value);
}

/** Symbols of a chunk without unary bits. */
export function uncompressedSymbols(bits: number): number {
  return bits > 5 ? 8 : symbolsPerChunk;
}

/** Unary bits of a chunk of zero runs. */
export function runUnaryBits(zdiv: number): number {
  return zdiv < 3 ? 12 : 8;
}
