/**
 * SentencePiece's `precompiled_charsmap`: the bytes of a double-array trie (Darts) over sequences of
 * UTF-8, whose values are places in a text, where the replacement stands, ended by NUL.
 *
 *     size of the trie (uint32) | units (uint32 each) | text
 *     unit = label (low 8 bits and the top one) | has a leaf (bit 8) | offset (bits 10 to 30; bit 9:
 *            times 256); a leaf is the value
 *
 * The library looks up clusters of fewer than six bytes and single characters, so longer sequences
 * apply to nothing.
 */
import { badFile } from '../special-tokens.ts';
import type { NormalizationRule } from './tokenizer.ts';

const file = 'tokenizer.json';
export const mostClusterBytes = 5;
/** More than SentencePiece's largest rule sets have. */
const mostVisits = 2 ** 20;
/** Bytes that a message repeats. */
const mostShown = 8;

export function parseCharsmap(base64: string, place: string): readonly NormalizationRule[] {
  const bytes = Buffer.from(base64, 'base64');
  const bad = (problem: string) => badFile(file, `${place}: ${problem}`);
  const trieBytes = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  if (trieBytes === 0 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) {
    throw bad(`a trie of ${trieBytes} bytes does not fit into ${bytes.length}`);
  }
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) =>
    bytes.readUInt32LE(4 + 4 * i),
  );
  const text = bytes.subarray(4 + trieBytes);
  const rules: NormalizationRule[] = [];
  let visits = 0;
  visit(offsetOf(units[0]!), []);
  return rules;

  function visit(base: number, key: readonly number[]): void {
    for (let byte = 1; byte < 0x100; byte++) {
      const at = (base ^ byte) >>> 0;
      const unit = units[at];
      if (unit === undefined || labelOf(unit) !== byte) continue;
      if (++visits > mostVisits) throw bad(`it has more than ${mostVisits} entries`);
      const below = (at ^ offsetOf(unit)) >>> 0;
      const longer = [...key, byte];
      if (hasLeaf(unit)) rules.push([decode(Uint8Array.from(longer)), replacementAt(units[below])]);
      if (longer.length < mostClusterBytes) visit(below, longer);
    }
  }

  function replacementAt(leaf: number | undefined): string {
    const start = (leaf ?? 0) & 0x7fff_ffff;
    const end = text.indexOf(0, start);
    if (leaf === undefined || start >= text.length) throw bad('a replacement lies outside');
    return decode(text.subarray(start, end === -1 ? text.length : end));
  }

  function decode(part: Uint8Array): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(part);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw bad(
        `the bytes ${Buffer.from(part).subarray(0, mostShown).toString('hex')} are not UTF-8`,
      );
    }
  }
}

function hasLeaf(unit: number): boolean {
  return ((unit >>> 8) & 1) === 1;
}

function labelOf(unit: number): number {
  return (unit & 0x8000_00ff) >>> 0;
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
