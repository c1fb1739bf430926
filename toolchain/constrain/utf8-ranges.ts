/** A range of characters as sequences of byte ranges: UTF-8 says exactly those, each in one of them. */
import type { CharacterRange } from './expression.ts';

/** Of one byte after the other: the lowest and the highest. */
export type ByteRanges = readonly (readonly [first: number, last: number])[];

/** Last code points of one, two, three and four bytes. */
const lastOfLength = [0x7f, 0x7ff, 0xffff, 0x10ffff];

export function utf8Ranges(range: CharacterRange): readonly ByteRanges[] {
  let first = 0;
  return lastOfLength.flatMap((last) => {
    const part = { first: Math.max(range.first, first), last: Math.min(range.last, last) };
    first = last + 1;
    return part.first > part.last ? [] : splitRange(part);
  });
}

/** Of code points with equally many bytes. */
function splitRange({ first, last }: CharacterRange): readonly ByteRanges[] {
  // Where the leading bytes differ, all continuations must be possible behind each of them.
  for (const bits of [6, 12, 18]) {
    const below = (1 << bits) - 1;
    if ((first & ~below) === (last & ~below)) continue;
    if ((first & below) !== 0) {
      const middle = first | below;
      return [...splitRange({ first, last: middle }), ...splitRange({ first: middle + 1, last })];
    }
    if ((last & below) !== below) {
      const middle = last & ~below;
      return [...splitRange({ first, last: middle - 1 }), ...splitRange({ first: middle, last })];
    }
  }
  const [low, high] = [encode(first), encode(last)];
  return [low.map((byte, index) => [byte, high[index]!] as const)];
}

function encode(codePoint: number): readonly number[] {
  return [...new TextEncoder().encode(String.fromCodePoint(codePoint))];
}
