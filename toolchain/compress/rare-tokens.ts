/**
 * Tokens that the user's texts do without: where a word is not in the vocabulary, the tokenizer takes
 * its pieces. Exact for every text that has none of the tokens left out.
 */
import { encode } from '../tokenizer/encode.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';

/** Vocabulary ids, ascending, with at most `most` occurrences whose texts fall apart into others. */
export function rareTokens(
  tokenizer: Tokenizer,
  occurrences: ArrayLike<number>,
  most: number,
): Int32Array {
  const { vocabulary, continuationPrefix, addedTokens } = tokenizer;
  const { unknownId, clsId, sepId, padId, maskId } = tokenizer;
  const named = [unknownId, clsId, sepId, padId, maskId];
  const special = new Set([...named, ...addedTokens.map(({ id }) => id)]);
  const candidates = vocabulary.flatMap((word, id) => {
    const bare = word.startsWith(continuationPrefix) ? word.slice(continuationPrefix.length) : word;
    const canFallApart = [...bare].length > 1 && !special.has(id);
    return canFallApart && occurrences[id]! <= most ? [id] : [];
  });
  const without = withoutTokens(tokenizer, candidates);
  const known = new Set(without.vocabulary);
  return Int32Array.from(candidates.filter((id) => fallsApart(vocabulary[id]!, without, known)));
}

/** The tokenizer with these tokens never found; ids stay. */
export function withoutTokens(tokenizer: Tokenizer, dropped: Iterable<number>): Tokenizer {
  const vocabulary = [...tokenizer.vocabulary];
  for (const id of dropped) vocabulary[id] = unfindable(id);
  return { ...tokenizer, vocabulary };
}

/** No text has it: control characters are taken out before words are looked up. */
function unfindable(id: number): string {
  return `\u0000${id}`;
}

/** Whether greedy longest match finds pieces for all of it. */
function fallsApart(word: string, tokenizer: Tokenizer, known: ReadonlySet<string>): boolean {
  const { continuationPrefix: prefix, unknownId } = tokenizer;
  if (!word.startsWith(prefix)) {
    const { ids } = encode(tokenizer, word, undefined, word.length + 2);
    return !ids.includes(unknownId);
  }
  const bare = word.slice(prefix.length);
  for (let start = 0; start < bare.length; ) {
    let end = bare.length;
    while (end > start && !known.has(prefix + bare.slice(start, end))) end--;
    if (end === start) return false;
    start = end;
  }
  return true;
}
