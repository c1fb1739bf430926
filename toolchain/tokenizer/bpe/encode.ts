/**
 * Text to token ids by byte-level BPE on the host, as Hugging Face's Rust tokenizers compute them,
 * and ids back to bytes. Written from the merges, without the compiled tables of the device.
 */
import { splitAtAdded } from '../added-tokens.ts';
import { toNormalForm } from '../normal-form.ts';
import { wordMark } from '../word-mark.ts';
import { splitPieces } from './split.ts';
import {
  type BpeTokenizer,
  mergeColumns,
  type PrefixRule,
  tokenBytes,
  windowTokens,
} from './tokenizer.ts';

const encoder = new TextEncoder();

export function tokenizeBpe(tokenizer: BpeTokenizer, text: string): readonly number[] {
  const lookup = lookupOf(tokenizer);
  return splitAtAdded(tokenizer.addedTokens, text).flatMap((part) =>
    part.kind === 'token' ? [part.id] : tokenizePart(part),
  );

  function tokenizePart({ text, isFirst }: { readonly text: string; readonly isFirst: boolean }) {
    const { normalForm } = tokenizer;
    const normal = normalForm === null ? text : toNormalForm(normalForm, text);
    const marked = tokenizer.marksSpaces ? normal.replaceAll(' ', wordMark) : normal;
    const chars = Array.from(marked, (char) => char.codePointAt(0)!);
    const space = tokenizer.marksSpaces ? wordMark.codePointAt(0)! : 0x20;
    if (takesPrefix(tokenizer.prefix, chars[0] === space, isFirst)) chars.unshift(space);
    return splitPieces(chars, tokenizer.split).flatMap((piece) => {
      const bytes = encoder.encode(piece.map((char) => String.fromCodePoint(char)).join(''));
      return encodePiece(tokenizer, lookup, bytes);
    });
  }
}

function takesPrefix(rule: PrefixRule, hasSpace: boolean, isFirst: boolean): boolean {
  return (
    rule === 'always' ||
    (!hasSpace && (rule === 'missing' || (rule === 'missing-first' && isFirst)))
  );
}

/** What tokenizing needs beside the plain data; made once per tokenizer. */
interface Lookup {
  /** Rows of `merges` by `pairKey`. */
  readonly rowOf: ReadonlyMap<number, number>;
  readonly leavesOf: (id: number) => readonly number[];
}

const lookups = new WeakMap<BpeTokenizer, Lookup>();

function lookupOf(tokenizer: BpeTokenizer): Lookup {
  const known = lookups.get(tokenizer);
  if (known !== undefined) return known;
  const { merges } = tokenizer;
  const rowOf = new Map<number, number>();
  const partsOf = new Map<number, readonly [number, number]>();
  for (let row = 0; row < merges.length / mergeColumns; row++) {
    const [left, right, merged] = mergeAt(tokenizer, row);
    rowOf.set(pairKey(left, right), row);
    partsOf.set(merged, [left, right]);
  }
  const leavesOf = (id: number): readonly number[] => partsOf.get(id)?.flatMap(leavesOf) ?? [id];
  const lookup = { rowOf, leavesOf };
  lookups.set(tokenizer, lookup);
  return lookup;
}

function mergeAt({ merges }: BpeTokenizer, row: number): readonly [number, number, number] {
  const at = row * mergeColumns;
  return [merges[at]!, merges[at + 1]!, merges[at + 2]!];
}

/** Ids have at most 24 bits. */
function pairKey(left: number, right: number): number {
  return left * 2 ** 24 + right;
}

function encodePiece(
  tokenizer: BpeTokenizer,
  lookup: Lookup,
  bytes: Uint8Array,
): readonly number[] {
  const base = Array.from(bytes, (byte) => tokenizer.byteIds[byte]!).filter((id) => id >= 0);
  const ids: number[] = [];
  let at = 0;
  while (base.length - at > windowTokens) {
    const start = at;
    for (const id of merge(tokenizer, lookup, base.slice(at, at + windowTokens))) {
      if (at > start && at - start + lookup.leavesOf(id).length > windowTokens / 2) break;
      ids.push(id);
      at += lookup.leavesOf(id).length;
    }
  }
  const isPart = (id: number): boolean => id >= tokenizer.vocabulary.length;
  const all = [...ids, ...merge(tokenizer, lookup, base.slice(at))];
  return all.flatMap((id) => (isPart(id) ? lookup.leavesOf(id) : [id]));
}

/** The pair with the first row is merged, the leftmost of several, until no pair has a row. */
function merge(
  tokenizer: BpeTokenizer,
  { rowOf }: Lookup,
  base: readonly number[],
): readonly number[] {
  const ids = [...base];
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = 0;
    for (let i = 0; i + 1 < ids.length; i++) {
      const row = rowOf.get(pairKey(ids[i]!, ids[i + 1]!)) ?? best;
      if (row < best) [best, at] = [row, i];
    }
    if (best === Number.POSITIVE_INFINITY) return ids;
    ids.splice(at, 2, mergeAt(tokenizer, best)[2]);
  }
}

/** As one piece, whatever it is. */
export function tokenizeWhole(tokenizer: BpeTokenizer, bytes: Uint8Array): readonly number[] {
  return encodePiece(tokenizer, lookupOf(tokenizer), bytes);
}

/** The bytes that the tokens stand for; special tokens stand for none. */
export function decodeBpe(tokenizer: BpeTokenizer, ids: ArrayLike<number>): Uint8Array {
  const added = new Map(tokenizer.addedTokens.map((token) => [token.id, token]));
  const bytes = Array.from(ids).flatMap((id): readonly number[] => {
    const token = added.get(id);
    if (token !== undefined) return token.isSpecial ? [] : [...encoder.encode(token.text)];
    const text = tokenizer.vocabulary[id] ?? '';
    return tokenBytes(text) ?? [...encoder.encode(text)];
  });
  return Uint8Array.from(bytes);
}
