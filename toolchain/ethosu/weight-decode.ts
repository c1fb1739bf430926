/** Weight streams to weights, in the hardware's order; `weight-encode.ts` is the way back. */
import { userError } from '../errors.ts';
import { type BitReader, readBits } from './bits.ts';
import {
  leastPaletteBits,
  mostAhead,
  mostIndex,
  mostWdiv,
  mostZdiv,
  type Palette,
  runUnaryBits,
  symbolsPerChunk,
  uncompressedBits,
  uncompressedSymbols,
  wdivUncompressed,
  weightOf,
  widths,
  zdivEnd,
  zdivNoRuns,
} from './weight-format.ts';

export interface DecodeLimits {
  /** More weights than these are an error, found before memory is taken for them. */
  readonly mostWeights: number;
  /** What is decoded, for messages. */
  readonly where: string;
}

export interface SliceHeader {
  readonly length: number;
  /** Null without zero runs. */
  readonly zdiv: number | null;
  readonly wdiv: number;
  readonly isTruncated: boolean;
  readonly isUncompressed: boolean;
  readonly hasNewPalette: boolean;
  readonly palette: Palette;
}

export function decodeWeights(bytes: Uint8Array, { mostWeights, where }: DecodeLimits): Int16Array {
  const source = checkedBits(bytes, where);
  const weights = growingWeights(mostWeights, source);
  let palette: Palette | null = null;
  for (;;) {
    const zdiv = source.take(widths.zdiv, 'slice header');
    if (zdiv === zdivEnd) {
      source.align();
      palette = null;
      if (source.isAtEnd()) return weights.done();
      continue;
    }
    const header = readHeader(source, zdiv, palette);
    palette = header.palette;
    const { values, runs } = readBody(source, header);
    appendSlice(weights, header, values, runs);
  }
}

interface CheckedBits {
  take(width: number, what: string): number;
  align(): void;
  isAtEnd(): boolean;
  fail(message: string): Error;
}

function checkedBits(bytes: Uint8Array, where: string): CheckedBits {
  const bits: BitReader = readBits(bytes);
  const fail = (message: string) =>
    userError({
      code: 'bad-weight-stream',
      message,
      where: `${where}, word ${bits.position >> 5} (bit ${bits.position} of ${bits.bitCount})`,
      hint: 'Get the stream again; if it came from lm2mcu, report it.',
    });
  return {
    take(width, what) {
      const value = bits.take(width);
      if (value === null) throw fail(`the weight stream ends in a ${what}`);
      return value;
    },
    align() {
      bits.position = (bits.position + 7) & ~7;
    },
    isAtEnd: () => bits.position >= bits.bitCount,
    fail,
  };
}

function readHeader(source: CheckedBits, zdiv: number, before: Palette | null): SliceHeader {
  if (zdiv > mostZdiv && zdiv !== zdivNoRuns) throw source.fail(`ZDIV ${zdiv} has no meaning`);
  const zeroRuns = zdiv !== zdivNoRuns;
  const take = (width: number) => source.take(width, 'slice header');
  const length = take(widths.sliceLength) + 1;
  const wdiv = take(widths.wdiv);
  const isUncompressed = wdiv === wdivUncompressed;
  if (wdiv > mostWdiv && !isUncompressed) throw source.fail(`WDIV ${wdiv} has no meaning`);
  const isTruncated = take(widths.trunc) === 1;
  const hasNewPalette = take(widths.newPalette) === 1;
  if (!hasNewPalette) {
    if (before === null) throw source.fail('the first slice has no palette');
    if (before.zeroRuns !== zeroRuns) {
      throw source.fail('zero runs begin or end without a new palette');
    }
  }
  const palette = hasNewPalette ? readPalette(take, zeroRuns) : before!;
  const divisor = isUncompressed ? uncompressedBits(palette) : wdiv;
  return {
    length,
    zdiv: zeroRuns ? zdiv : null,
    wdiv: divisor,
    isTruncated,
    isUncompressed,
    hasNewPalette,
    palette,
  };
}

function readPalette(take: (width: number) => number, zeroRuns: boolean): Palette {
  const directOffset = take(widths.directOffset);
  const size = take(widths.paletteSize);
  const bits = take(widths.paletteBits) + leastPaletteBits;
  const codes = Array.from({ length: size === 0 ? 0 : size + 1 }, () => take(bits));
  return { codes, bits, directOffset, zeroRuns };
}

/**
 * The chunks of a slice. In each, in this order: unary bits of weights, unary bits of runs, the
 * second unary bits of weights, and the remainders of the chunk before.
 */
function readBody(source: CheckedBits, header: SliceHeader) {
  const { length, zdiv, wdiv, isTruncated, isUncompressed, hasNewPalette } = header;
  const runCount = zdiv === null ? 0 : length + (hasNewPalette ? 1 : 0);
  const values = new Int32Array(length);
  const runs = new Int32Array(runCount);
  const chunkSymbols = isUncompressed ? uncompressedSymbols(wdiv) : symbolsPerChunk;
  const quotients = new Int32Array(symbolsPerChunk);
  const runQuotients = new Int32Array(symbolsPerChunk);
  let weightCarry = 0;
  let runCarry = 0;
  /** Symbols seen; those of the last chunk may go beyond the slice. */
  let weightsSeen = 0;
  let runsSeen = 0;
  let weightsDone = 0;
  let runsDone = 0;
  let symbols = 0;
  let runSymbols = 0;
  for (;;) {
    const ahead = zdiv === null ? 0 : weightsSeen - runsSeen;
    const hasWeights = ahead < mostAhead && weightsSeen < length;
    const hasRuns = zdiv !== null && ahead >= 0 && runsSeen < runCount;
    const unary = hasWeights && !isUncompressed ? source.take(12, 'slice') : 0;
    const runUnary = hasRuns ? source.take(runUnaryBits(zdiv), 'slice') : 0;
    const second = source.take(countOnes(unary), 'slice');

    for (let i = 0; i < symbols && weightsDone < length; i++, weightsDone++) {
      const value = (quotients[i]! << wdiv) + source.take(wdiv, 'slice');
      if (value > mostIndex) throw source.fail(`weight index ${value} is above ${mostIndex}`);
      values[weightsDone] = value;
    }
    for (let i = 0; i < runSymbols && runsDone < runCount; i++, runsDone++) {
      runs[runsDone] = runQuotients[i]! * 2 ** zdiv! + source.take(zdiv!, 'slice');
    }
    if (!hasWeights && !hasRuns) return { values, runs };

    symbols = 0;
    if (hasWeights) {
      let seconds = second;
      for (let bit = 0; bit < chunkSymbols; bit++) {
        let step = 0;
        if (((unary >> bit) & 1) === 1) {
          step = 1 + (seconds & 1);
          seconds >>= 1;
        }
        weightCarry += step;
        if (step < 2 || isTruncated) {
          quotients[symbols++] = weightCarry;
          weightCarry = 0;
        }
      }
      weightsSeen += symbols;
    }
    runSymbols = 0;
    if (hasRuns) {
      for (let bit = 0; bit < runUnaryBits(zdiv); bit++) {
        if (((runUnary >> bit) & 1) === 1) {
          runCarry++;
        } else {
          runQuotients[runSymbols++] = runCarry;
          runCarry = 0;
        }
      }
      runsSeen += runSymbols;
    }
  }
}

function countOnes(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function appendSlice(
  weights: GrowingWeights,
  { palette: { codes, directOffset }, hasNewPalette, zdiv }: SliceHeader,
  values: Int32Array,
  runs: Int32Array,
): void {
  let run = 0;
  if (hasNewPalette && zdiv !== null) weights.addZeros(runs[run++]!);
  for (const value of values) {
    const code = value < codes.length ? codes[value]! : value - codes.length + directOffset;
    weights.add(weightOf(code));
    if (zdiv !== null) weights.addZeros(runs[run++]!);
  }
}

interface GrowingWeights {
  add(weight: number): void;
  addZeros(count: number): void;
  done(): Int16Array;
}

function growingWeights(most: number, source: CheckedBits): GrowingWeights {
  let buffer = new Int16Array(1024);
  let count = 0;
  const makeRoom = (more: number) => {
    if (count + more > most) {
      throw source.fail(
        `the stream has more than the ${most.toLocaleString('en-US')} weights of its op`,
      );
    }
    if (count + more <= buffer.length) return;
    const larger = new Int16Array(Math.max(2 * buffer.length, count + more));
    larger.set(buffer);
    buffer = larger;
  };
  return {
    add(weight) {
      makeRoom(1);
      buffer[count++] = weight;
    },
    addZeros(zeros) {
      makeRoom(zeros);
      count += zeros;
    },
    done: () => buffer.slice(0, count),
  };
}
