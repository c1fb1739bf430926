/**
 * Which palette, and where a new one pays: the part of the encoder's search that goes by histograms.
 *
 * A stream is cut into blocks; neighbours that are cheaper together are joined, the best pair first.
 * What a histogram costs is exact but for the lengths of zero runs, which are taken as geometric.
 */
import {
  bitWidth,
  codeOf,
  leastPaletteBits,
  mostDirectOffset,
  mostIndex,
  mostPalette,
  mostQuotient,
  mostWdiv,
  mostZdiv,
  type Palette,
  uncompressedBits,
  widths,
} from './weight-format.ts';

export interface Section {
  readonly start: number;
  readonly end: number;
  /** Weights of each code. */
  readonly histogram: Uint32Array;
}

const codeCount = 512;
const leastBlockLength = 256;
/** The joining takes time in the square of it. */
const mostBlocks = 4096;

export function findSections(weights: Int16Array): readonly Section[] {
  const sections = cutIntoBlocks(weights);
  const bits = sections.map(({ histogram }) => sectionBits(histogram));
  const joined = sections.slice(1).map((after, i) => join(sections[i]!, after));
  const joinedBits = joined.map(({ histogram }) => sectionBits(histogram));
  for (;;) {
    let best = -1;
    let bestGain = 0;
    for (let i = 0; i < joined.length; i++) {
      const gain = bits[i]! + bits[i + 1]! - joinedBits[i]!;
      if (gain > bestGain) {
        best = i;
        bestGain = gain;
      }
    }
    if (best < 0) return sections;
    sections.splice(best, 2, joined[best]!);
    bits.splice(best, 2, joinedBits[best]!);
    joined.splice(best, 1);
    joinedBits.splice(best, 1);
    for (const i of [best - 1, best]) {
      const [before, after] = [sections[i], sections[i + 1]];
      if (before === undefined || after === undefined) continue;
      joined[i] = join(before, after);
      joinedBits[i] = sectionBits(joined[i]!.histogram);
    }
  }
}

function cutIntoBlocks(weights: Int16Array): Section[] {
  const blocks: Section[] = [];
  const blockLength = Math.max(leastBlockLength, Math.ceil(weights.length / mostBlocks));
  for (let start = 0; start < weights.length; start += blockLength) {
    const end = Math.min(start + blockLength, weights.length);
    const histogram = new Uint32Array(codeCount);
    for (let i = start; i < end; i++) histogram[codeOf(weights[i]!)]!++;
    blocks.push({ start, end, histogram });
  }
  return blocks;
}

export function join(before: Section, after: Section): Section {
  return {
    start: before.start,
    end: after.end,
    histogram: before.histogram.map((count, code) => count + after.histogram[code]!),
  };
}

const headerBits =
  widths.zdiv +
  widths.sliceLength +
  widths.wdiv +
  widths.trunc +
  widths.newPalette +
  widths.directOffset +
  widths.paletteSize +
  widths.paletteBits;
/** Half a chunk of unary bits. */
const meanPaddingBits = 6;
/** Sizes that the joining of sections tries; the chosen sections try every one. */
const fewSizes = [0, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const allSizes = [0, ...Array.from({ length: mostPalette - 1 }, (_, i) => i + 2)];

function sectionBits(histogram: Uint32Array): number {
  const dense = bestPalette(histogram, false, fewSizes).bits;
  if (!canRunsPay(histogram)) return dense;
  return Math.min(dense, bestPalette(histogram, true, fewSizes).bits + runBits(histogram));
}

/** A run is a bit at least, for each weight; a zero that is not coded saves at most an index. */
export function canRunsPay(histogram: Uint32Array): boolean {
  const count = histogram.reduce((sum, of) => sum + of, 0);
  return histogram[0]! * bitWidth(mostIndex) >= count - histogram[0]!;
}

function runBits(histogram: Uint32Array): number {
  const zeros = histogram[0]!;
  const runs = histogram.reduce((sum, count) => sum + count, 0) - zeros + 1;
  const share = zeros / (zeros + runs);
  let best = Number.POSITIVE_INFINITY;
  for (let zdiv = 0; zdiv <= mostZdiv; zdiv++) {
    const step = share ** (2 ** zdiv);
    best = Math.min(best, runs * (1 + zdiv + step / (1 - step)));
  }
  return best;
}

export interface CostedPalette {
  readonly palette: Palette;
  /** Of header, palette and weights at one coding throughout; runs are not in it. */
  readonly bits: number;
}

export function choosePalette(histogram: Uint32Array, zeroRuns: boolean): CostedPalette {
  return bestPalette(histogram, zeroRuns, allSizes);
}

/** Palettes hold the most frequent codes, in that order. */
function bestPalette(
  histogram: Uint32Array,
  zeroRuns: boolean,
  sizes: readonly number[],
): CostedPalette {
  const used: number[] = [];
  for (let code = zeroRuns ? 1 : 0; code < codeCount; code++) {
    if (histogram[code]! > 0) used.push(code);
  }
  // A slice codes one weight at least: the first of nothing but zeros.
  if (used.length === 0) {
    const palette: Palette = { codes: [], bits: leastPaletteBits, directOffset: 0, zeroRuns };
    return { palette, bits: headerBits + meanPaddingBits };
  }
  const byCount = used.toSorted((a, b) => histogram[b]! - histogram[a]! || a - b);
  const rank = new Int16Array(codeCount);
  byCount.forEach((code, place) => {
    rank[code] = place;
  });
  let best: CostedPalette | null = null;
  let last = -1;
  for (const wanted of sizes) {
    // One code is two in a palette; the second stands for nothing.
    const size = used.length === 1 && wanted >= 2 ? 2 : Math.min(wanted, used.length);
    if (size === 1 || size === last) continue;
    last = size;
    const codes = byCount.slice(0, size);
    const rest = used.filter((code) => rank[code]! >= size);
    while (codes.length < size) codes.push(0);
    const candidate = costed(histogram, codes, rest, zeroRuns);
    if (candidate !== null && (best === null || candidate.bits < best.bits)) best = candidate;
  }
  return best!;
}

function costed(
  histogram: Uint32Array,
  codes: readonly number[],
  rest: readonly number[],
  zeroRuns: boolean,
): CostedPalette | null {
  const directOffset = rest.length === 0 ? 0 : Math.min(mostDirectOffset, rest[0]!);
  const largest = rest.length === 0 ? codes.length - 1 : indexIn(rest.at(-1)!, codes, directOffset);
  if (largest > mostIndex) return null;
  const widest = codes.length === 0 ? largest : Math.max(...codes);
  const bits = Math.max(leastPaletteBits, bitWidth(widest));
  const palette: Palette = { codes, bits, directOffset, zeroRuns };

  let best = Number.POSITIVE_INFINITY;
  if (largest < 2 ** uncompressedBits(palette)) {
    let count = 0;
    for (const code of codes) count += histogram[code]!;
    for (const code of rest) count += histogram[code]!;
    best = count * uncompressedBits(palette);
  }
  for (let divisor = 0; divisor <= mostWdiv; divisor++) {
    if (largest >> divisor > mostQuotient) continue;
    const isTruncated = largest >> divisor <= 2;
    let sum = meanPaddingBits;
    for (let index = 0; index < codes.length; index++) {
      sum += histogram[codes[index]!]! * golombBits(index, divisor, isTruncated);
    }
    for (const code of rest) {
      const index = code + codes.length - directOffset;
      sum += histogram[code]! * golombBits(index, divisor, isTruncated);
    }
    if (sum < best) best = sum;
  }
  return { palette, bits: headerBits + codes.length * bits + best };
}

function indexIn(code: number, codes: readonly number[], directOffset: number): number {
  return code + codes.length - directOffset;
}

export function golombBits(index: number, divisor: number, isTruncated: boolean): number {
  const quotient = index >> divisor;
  return divisor + (isTruncated && quotient > 0 ? 2 : quotient + 1);
}
