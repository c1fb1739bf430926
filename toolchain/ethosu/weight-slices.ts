/**
 * How a section's weights and zero runs are best divided into slices: shortest path over the codings
 * of each weight (Viterbi). A slice has one coding for weights and one for runs.
 */
import { assertExhaustive } from '../errors.ts';
import {
  mostIndex,
  mostQuotient,
  mostSliceLength,
  mostWdiv,
  mostZdiv,
  type WeightCoding,
  widths,
} from './weight-format.ts';
import { golombBits } from './weight-palette.ts';

export interface Slice {
  /** Weights of the section. */
  readonly start: number;
  readonly end: number;
  readonly coding: WeightCoding;
  /** Null without zero runs. */
  readonly zdiv: number | null;
}

export interface Sliced {
  readonly slices: readonly Slice[];
  /** Near what the slices take. */
  readonly bits: number;
}

const codings: readonly WeightCoding[] = [
  ...Array.from({ length: mostWdiv + 1 }, (_, divisor) => ({ kind: 'golomb', divisor }) as const),
  ...Array.from(
    { length: mostWdiv + 1 },
    (_, divisor) => ({ kind: 'truncated', divisor }) as const,
  ),
  { kind: 'uncompressed', divisor: 0 },
];
/** A header, and half a chunk of unary bits. */
const switchBits =
  widths.zdiv + widths.sliceLength + widths.wdiv + widths.trunc + widths.newPalette + 6;
/** The other half chunk, where runs are coded too. */
const runSwitchBits = 6;
const impossible = 1e9;

/** `runs`: before the first weight and behind each; null without zero runs. */
export function findSlices(
  indexes: Int32Array,
  runs: Int32Array | null,
  plainBits: number,
): Sliced {
  const zdivs = runs === null ? [null] : Array.from({ length: mostZdiv + 1 }, (_, zdiv) => zdiv);
  const states = zdivs.flatMap((zdiv) => codings.map((coding) => ({ coding, zdiv })));
  const weightBits = bitTable(plainBits);
  const change = switchBits + (runs === null ? 0 : runSwitchBits);
  const cost = Float64Array.from(states, ({ zdiv }) =>
    zdiv === null ? 0 : runLengthBits(runs![0]!, zdiv),
  );
  /** Whether a state was entered at a weight: from the best one before it. */
  const entered = new Uint8Array(indexes.length * states.length);
  const bestBefore = new Uint8Array(indexes.length);
  for (let i = 0; i < indexes.length; i++) {
    const best = leastOf(cost);
    bestBefore[i] = best;
    const entry = i === 0 ? Number.POSITIVE_INFINITY : cost[best]! + change;
    const row = indexes[i]! * codings.length;
    for (let z = 0, s = 0; z < zdivs.length; z++) {
      const forRun = runs === null ? 0 : runLengthBits(runs[i + 1]!, z);
      for (let c = 0; c < codings.length; c++, s++) {
        let bits = cost[s]!;
        if (entry < bits) {
          bits = entry;
          entered[i * states.length + s] = 1;
        }
        cost[s] = bits + weightBits[row + c]! + forRun;
      }
    }
  }
  let state = leastOf(cost);
  const bits = cost[state]!;

  const slices: Slice[] = [];
  let end = indexes.length;
  for (let i = indexes.length - 1; i >= 0; i--) {
    const isEntered = entered[i * states.length + state] === 1;
    if (i === 0 || isEntered || end - i === mostSliceLength) {
      slices.push({ start: i, end, ...states[state]! });
      end = i;
    }
    if (isEntered) state = bestBefore[i]!;
  }
  return { slices: slices.reverse(), bits };
}

function leastOf(cost: Float64Array): number {
  let least = 0;
  for (let s = 1; s < cost.length; s++) if (cost[s]! < cost[least]!) least = s;
  return least;
}

/** Bits of every index (row) in every coding. */
function bitTable(plainBits: number): Float64Array {
  const table = new Float64Array((mostIndex + 1) * codings.length);
  for (let index = 0; index <= mostIndex; index++) {
    codings.forEach((coding, c) => {
      table[index * codings.length + c] = weightBits(index, coding, plainBits);
    });
  }
  return table;
}

function weightBits(index: number, { kind, divisor }: WeightCoding, plainBits: number): number {
  switch (kind) {
    case 'uncompressed':
      return index < 2 ** plainBits ? plainBits : impossible;
    case 'truncated':
      return index >> divisor > 2 ? impossible : golombBits(index, divisor, true);
    case 'golomb':
      return index >> divisor > mostQuotient ? impossible : golombBits(index, divisor, false);
    default:
      return assertExhaustive(kind);
  }
}

function runLengthBits(run: number, zdiv: number): number {
  return 1 + zdiv + Math.floor(run / 2 ** zdiv);
}
