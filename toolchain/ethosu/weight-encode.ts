/**
 * Weights in the hardware's order to a weight stream; `weight-decode.ts` is the way back.
 *
 * The search is deterministic: sections with a palette each by joining blocks (`weight-palette.ts`),
 * then for each section the cheapest slices with and without zero runs (`weight-slices.ts`).
 */
import { internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { type BitWriter, writeBits } from './bits.ts';
import {
  codeOf,
  leastPaletteBits,
  mostAhead,
  mostWeight,
  type Palette,
  runUnaryBits,
  streamAlignment,
  symbolsPerChunk,
  uncompressedBits,
  uncompressedSymbols,
  wdivUncompressed,
  widths,
  zdivEnd,
  zdivNoRuns,
} from './weight-format.ts';
import { canRunsPay, choosePalette, findSections, join, type Section } from './weight-palette.ts';
import { findSlices, type Slice, type Sliced } from './weight-slices.ts';

export function encodeWeights(weights: Int16Array): Uint8Array {
  checkRange(weights);
  const sections = findSections(weights);
  const divided = encodeSections(weights, sections);
  if (sections.length < 2) return divided;
  const whole = encodeSections(weights, [sections.reduce(join)]);
  return whole.length < divided.length ? whole : divided;
}

function checkRange(weights: Int16Array): void {
  const bad = weights.findIndex((weight) => Math.abs(weight) > mostWeight);
  if (bad >= 0) throw internalError(`weight ${bad} is ${weights[bad]}, beyond 9 bits`, 'weights');
}

function encodeSections(weights: Int16Array, sections: readonly Section[]): Uint8Array {
  const out = writeBits();
  for (const section of sections) {
    const ways = canRunsPay(section.histogram) ? [false, true] : [false];
    const coded = ways.map((zeroRuns) => codeSection(weights, section, zeroRuns));
    const best = coded.reduce((a, b) => (b.bits < a.bits ? b : a));
    for (const slice of best.sliced.slices) writeSlice(out, best, slice);
  }
  out.put(zdivEnd, widths.zdiv);
  return padded(out.bytes());
}

function padded(bytes: Uint8Array): Uint8Array {
  const stream = new Uint8Array(roundUp(bytes.length, streamAlignment));
  stream.fill(0xff);
  stream.set(bytes);
  return stream;
}

interface CodedSection {
  readonly palette: Palette;
  readonly indexes: Int32Array;
  readonly runs: Int32Array | null;
  readonly sliced: Sliced;
  readonly bits: number;
}

function codeSection(
  weights: Int16Array,
  { start, end, histogram }: Section,
  zeroRuns: boolean,
): CodedSection {
  const { palette } = choosePalette(histogram, zeroRuns);
  const indexOf = indexTable(palette);
  const indexes: number[] = [];
  const runs: number[] = [0];
  for (let i = start; i < end; i++) {
    const code = codeOf(weights[i]!);
    const isOnly = i === end - 1 && indexes.length === 0;
    if (zeroRuns && code === 0 && !isOnly) {
      runs[runs.length - 1]!++;
    } else {
      indexes.push(indexOf[code]!);
      runs.push(0);
    }
  }
  const values = Int32Array.from(indexes);
  const lengths = zeroRuns ? Int32Array.from(runs) : null;
  const sliced = findSlices(values, lengths, uncompressedBits(palette));
  const bits = sliced.bits + palette.codes.length * palette.bits;
  return { palette, indexes: values, runs: lengths, sliced, bits };
}

/** Index of each code; the palette's own come first. */
function indexTable({ codes, directOffset }: Palette): Int32Array {
  const table = Int32Array.from({ length: 512 }, (_, code) => code + codes.length - directOffset);
  for (let index = codes.length - 1; index >= 0; index--) table[codes[index]!] = index;
  return table;
}

function writeSlice(out: BitWriter, section: CodedSection, slice: Slice): void {
  const { palette } = section;
  const { start, end, coding, zdiv } = slice;
  const isFirst = start === 0;
  out.put(zdiv ?? zdivNoRuns, widths.zdiv);
  out.put(end - start - 1, widths.sliceLength);
  out.put(coding.kind === 'uncompressed' ? wdivUncompressed : coding.divisor, widths.wdiv);
  out.put(coding.kind === 'truncated' ? 1 : 0, widths.trunc);
  out.put(isFirst ? 1 : 0, widths.newPalette);
  if (isFirst) {
    out.put(palette.directOffset, widths.directOffset);
    out.put(Math.max(0, palette.codes.length - 1), widths.paletteSize);
    out.put(palette.bits - leastPaletteBits, widths.paletteBits);
    for (const code of palette.codes) out.put(code, palette.bits);
  }
  const values = section.indexes.subarray(start, end);
  // The run before a slice's first weight belongs to the slice before it.
  const runs = section.runs?.subarray(isFirst ? 0 : start + 1, end + 1) ?? new Int32Array(0);
  writeBody(out, slice, values, runs, uncompressedBits(palette));
}

/** The chunks of a slice, in the order that `readBody` of the decoder describes. */
function writeBody(
  out: BitWriter,
  { coding, zdiv }: Slice,
  values: Int32Array,
  runs: Int32Array,
  plainBits: number,
): void {
  const isPlain = coding.kind === 'uncompressed';
  const divisor = isPlain ? plainBits : coding.divisor;
  const chunkSymbols = isPlain ? uncompressedSymbols(plainBits) : symbolsPerChunk;
  let weightsSeen = 0;
  let runsSeen = 0;
  let weightsDone = 0;
  let runsDone = 0;
  let symbols = 0;
  let runSymbols = 0;
  /** What is left of the quotient of the next symbol. */
  let quotient = (values[0] ?? 0) >> divisor;
  let runQuotient = Math.floor((runs[0] ?? 0) / 2 ** (zdiv ?? 0));
  for (;;) {
    const ahead = zdiv === null ? 0 : weightsSeen - runsSeen;
    const hasWeights = ahead < mostAhead && weightsSeen < values.length;
    const hasRuns = zdiv !== null && ahead >= 0 && runsSeen < runs.length;
    let second = 0;
    let secondBits = 0;
    let newSymbols = 0;
    if (hasWeights && isPlain) newSymbols = chunkSymbols;
    if (hasWeights && !isPlain) {
      let unary = 0;
      for (let bit = 0; bit < symbolsPerChunk; bit++) {
        if (quotient > 0) {
          unary |= 1 << bit;
          if (quotient > 1) second |= 1 << secondBits;
          secondBits++;
        }
        if (quotient < 2 || coding.kind === 'truncated') {
          newSymbols++;
          quotient = (values[weightsSeen + newSymbols] ?? 0) >> divisor;
        } else {
          quotient -= 2;
        }
      }
      out.put(unary, symbolsPerChunk);
    }
    let newRunSymbols = 0;
    if (hasRuns) {
      const width = runUnaryBits(zdiv);
      let unary = 0;
      for (let bit = 0; bit < width; bit++) {
        if (runQuotient > 0) {
          unary |= 1 << bit;
          runQuotient--;
        } else {
          newRunSymbols++;
          runQuotient = Math.floor((runs[runsSeen + newRunSymbols] ?? 0) / 2 ** zdiv);
        }
      }
      out.put(unary, width);
    }
    out.put(second, secondBits);
    for (let i = 0; i < symbols && weightsDone < values.length; i++, weightsDone++) {
      out.put(values[weightsDone]! & (2 ** divisor - 1), divisor);
    }
    for (let i = 0; i < runSymbols && runsDone < runs.length; i++, runsDone++) {
      out.put(runs[runsDone]! % 2 ** zdiv!, zdiv!);
    }
    if (!hasWeights && !hasRuns) return;
    weightsSeen += newSymbols;
    runsSeen += newRunSymbols;
    symbols = newSymbols;
    runSymbols = newRunSymbols;
  }
}

/**
 * A stream without search, `bits` for each weight (8 if none is beyond ±127, else 9): what a core
 * can write at run time. One slice holds at most 32,767 weights.
 */
export function encodePlain(weights: Int16Array): Uint8Array {
  checkRange(weights);
  const bits = weights.every((weight) => Math.abs(weight) < 128) ? 8 : 9;
  const palette: Palette = { codes: [], bits, directOffset: 0, zeroRuns: false };
  const indexes = Int32Array.from(weights, codeOf);
  const out = writeBits();
  const section = { palette, indexes, runs: null, sliced: { slices: [], bits: 0 }, bits: 0 };
  const coding = { kind: 'uncompressed', divisor: 0 } as const;
  for (let start = 0; start < indexes.length; start += plainSlice) {
    const end = Math.min(start + plainSlice, indexes.length);
    writeSlice(out, section, { start, end, coding, zdiv: null });
  }
  out.put(zdivEnd, widths.zdiv);
  return padded(out.bytes());
}

const plainSlice = 2 ** widths.sliceLength - 1;
