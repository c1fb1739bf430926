/** Tokens to text. */
import type { Tokenizer } from '../tokenizer/parse.ts';

/** WordPiece: pieces that continue a word follow without a space; special tokens are left out. */
export function wordsOf(tokenizer: Tokenizer, ids: readonly number[]): string {
  const { vocabulary, continuationPrefix: prefix, clsId, sepId, padId } = tokenizer;
  return ids
    .filter((id) => ![clsId, sepId, padId].includes(id))
    .map((id) => vocabulary[id]!)
    .reduce(
      (text, piece) =>
        prefix !== '' && piece.startsWith(prefix)
          ? text + piece.slice(prefix.length)
          : `${text}${text === '' ? '' : ' '}${piece}`,
      '',
    );
}
