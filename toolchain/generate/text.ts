/** Tokens to text. */
import { decodeBpe } from '../tokenizer/bpe/encode.ts';
import type { Tokenizer, WordPieceTokenizer } from '../tokenizer/parse.ts';
import { decodeUnigram } from '../tokenizer/unigram/encode.ts';

/** Vocabulary ids; special tokens are left out, and what is no UTF-8 is U+FFFD. */
export function textOf(tokenizer: Tokenizer, ids: readonly number[]): string {
  if (tokenizer.kind === 'bpe') return new TextDecoder().decode(decodeBpe(tokenizer, ids));
  if (tokenizer.kind === 'unigram') return new TextDecoder().decode(decodeUnigram(tokenizer, ids));
  const { vocabulary, continuationPrefix: prefix } = tokenizer;
  const silent = silentIds(tokenizer);
  return ids
    .filter((id) => !silent.includes(id))
    .map((id) => vocabulary[id]!)
    .reduce(
      (text, piece) =>
        prefix !== '' && piece.startsWith(prefix)
          ? text + piece.slice(prefix.length)
          : `${text}${text === '' ? '' : ' '}${piece}`,
      '',
    );
}

/** Vocabulary ids of tokens that are no text. */
export function silentIds({ clsId, sepId, padId }: WordPieceTokenizer): readonly number[] {
  return [clsId, sepId, padId];
}
