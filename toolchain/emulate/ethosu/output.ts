/** From a scaled result to what is stored: zero point, clamp, table. */
import { type Accelerator, lookupStart } from '../../ethosu/accelerators.ts';
import type { Activation, Block, FeatureMap } from '../../ethosu/operations.ts';
import { streamError } from '../../ethosu/stream.ts';
import { clamped, rangeOf } from './arithmetic.ts';
import { checkRead, type Memory } from './memory.ts';

export type Finish = (value: number) => number;

export function finisher(
  memory: Memory,
  accelerator: Accelerator,
  { activation, ofm, word }: Block,
): Finish {
  const [min, max] = bounds(activation, ofm);
  if (min > max) throw streamError(word, `the clip range ${min} … ${max} is empty`);
  switch (activation.kind) {
    case 'clip': {
      const zeroPoint = ofm.type.bytes === 4 ? 0 : ofm.zeroPoint;
      return (value) => clamped(value + zeroPoint, min, max);
    }
    case 'table': {
      // The zero point counts even where the table gives 32 bits.
      const { zeroPoint } = ofm;
      const { least, most, look } = lookup(memory, accelerator, activation, ofm, word);
      if (min < least || max > most) {
        throw streamError(word, `the clip range ${min} … ${max} is wider than the table's`);
      }
      return (value) => look(clamped(value + zeroPoint, min, max));
    }
    case 'tanh':
    case 'sigmoid':
      throw streamError(
        word,
        `the built-in ${activation.kind}, whose bits are not published; a table does the same`,
      );
  }
}

/** The 16 bits of the registers do not bound values of 32 bits. */
function bounds(
  { kind, clip, min, max }: Activation,
  { type }: FeatureMap,
): readonly [number, number] {
  if (type.bytes === 4 && kind === 'clip') return rangeOf(4, true);
  const [least, most] =
    clip === 'ofm'
      ? rangeOf(type.bytes, type.isSigned)
      : rangeOf(clip === 'int16' ? 2 : 1, clip !== 'uint8');
  return [Math.max(least, min), Math.min(most, max)];
}

/** 256 bytes; 256 words for 32-bit outputs; 512 words of base and slope for 16-bit ones. */
const tableBytes = { 1: 256, 4: 1024, 2: 2048 } as const;

interface Lookup {
  /** Values that have an entry. */
  readonly least: number;
  readonly most: number;
  readonly look: Finish;
}

function lookup(
  memory: Memory,
  accelerator: Accelerator,
  { table, clip }: Activation,
  { type }: FeatureMap,
  word: number,
): Lookup {
  const size = tableBytes[type.bytes];
  const start = lookupStart(accelerator) + table * size;
  checkRead(memory.shram, start, size, `lookup table ${table}`, word);
  const view = new DataView(memory.shram.bytes.slice(start, start + size).buffer);
  const isSigned = clip === 'ofm' ? type.isSigned : clip !== 'uint8';
  const entries = type.bytes === 2 ? 65536 : 256;
  const least = isSigned ? -entries / 2 : 0;
  const range = { least, most: least + entries - 1 };
  switch (type.bytes) {
    case 1:
      return type.isSigned
        ? { ...range, look: (value) => view.getInt8(value - least) }
        : { ...range, look: (value) => view.getUint8(value - least) };
    case 4:
      return { ...range, look: (value) => view.getInt32(4 * (value - least), true) };
    case 2:
      return { ...range, look: (value) => interpolated(view, value - least) };
  }
}

/** As TFLite's LUTLookup of int16: 7 bits between two entries. */
function interpolated(view: DataView, place: number): number {
  const entry = view.getInt32(4 * (place >> 7), true);
  const base = (entry << 16) >> 16;
  const slope = entry >> 16;
  return clamped(base + ((slope * (place & 127) + 64) >> 7), -32768, 32767);
}
