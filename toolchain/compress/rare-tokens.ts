/**
 * Tokens that the user's texts do without: where a word is not in the vocabulary, the tokenizer takes
 * its pieces. Exact for every text that has none of the tokens left out.
 */
import type { Tokenizer } from '../tokenizer/parse.ts';

/** Vocabulary ids, ascending, with at most `most` occurrences whose texts fall apart into others. */
export function rareTokens(
  tokenizer: Tokenizer,
  occurrences: ArrayLike<number>,
  most: number,
): Int32Array {
  // Later merges are made of a token that is rare by itself; of other pieces paths are weighed anew.
  if (tokenizer.kind !== 'wordpiece') return new Int32Array();
  const { vocabulary, continuationPrefix, addedTokens } = tokenizer;
  const { unknownId, clsId, sepId, padId, maskId } = tokenizer;
  const named = [unknownId, clsId, sepId, padId, maskId];
  const special = new Set([...named, ...addedTokens.map(({ id }) => id)]);
  const candidates = vocabulary.flatMap((word, id) => {
    const bare = word.startsWith(continuationPrefix) ? word.slice(continuationPrefix.length) : word;
    const canFallApart = [...bare].length > 1 && !special.has(id);
    return canFallApart && occurrences[id]! <= most ? [id] : [];
  });
  const known = new Set(vocabulary);
  for (const id of candidates) known.delete(vocabulary[id]!);
  return Int32Array.from(
    candidates.filter((id) => fallsApart(vocabulary[id]!, continuationPrefix, known)),
  );
}

/** Whether greedy longest match finds pieces for all of it. */
function fallsApart(word: string, prefix: string, known: ReadonlySet<string>): boolean {
  const isContinuation = word.startsWith(prefix);
  const text = isContinuation ? word.slice(prefix.length) : word;
  for (let start = 0; start < text.length; ) {
    const mark = start > 0 || isContinuation ? prefix : '';
    let end = text.length;
    while (end > start && !known.has(mark + text.slice(start, end))) end--;
    if (end === start) return false;
    start = end;
  }
  return true;
}
