/** Takes tokens out of a vocabulary; their texts fall apart into pieces that stay. */
import { userError } from '../errors.ts';
import { quote } from '../importers/files.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';

/** `dropped`: vocabulary ids. Ids of other tokens stay what they are. */
export function dropTokens(tokenizer: Tokenizer, dropped: ArrayLike<number>): Tokenizer {
  if (dropped.length === 0) return tokenizer;
  if (tokenizer.kind === 'bpe') throw cannotDrop('merges of BPE are made of all their tokens');
  if (tokenizer.kind === 'unigram') throw cannotDrop('pieces of Unigram are weighed together');
  const vocabulary = [...tokenizer.vocabulary];
  const ids = Array.from(dropped);
  const special = new Set([
    ...[tokenizer.unknownId, tokenizer.clsId, tokenizer.sepId, tokenizer.padId],
    ...(tokenizer.maskId === undefined ? [] : [tokenizer.maskId]),
    ...tokenizer.addedTokens.map(({ id }) => id),
  ]);
  for (const id of ids) {
    if (!(Number.isInteger(id) && id >= 0 && id < vocabulary.length)) {
      throw cannotDrop(`there is no token ${id}; the vocabulary has ${vocabulary.length}`);
    }
    const text = vocabulary[id]!;
    if (special.has(id)) throw cannotDrop(`${quote(text)} is a special token`);
    vocabulary[id] = '';
  }
  const left = new Set(vocabulary);
  for (const id of ids) {
    const text = tokenizer.vocabulary[id]!;
    const missing = firstMissingPiece(text, left, tokenizer.continuationPrefix);
    if (missing !== null) {
      throw cannotDrop(
        `${quote(text)} would be unknown: no token is left for its ${quote(missing)}`,
      );
    }
  }
  return { ...tokenizer, vocabulary };
}

/** What is left of the token's text where no piece fits; null if pieces make up all of it. */
function firstMissingPiece(
  token: string,
  left: ReadonlySet<string>,
  prefix: string,
): string | null {
  const isContinuation = token.startsWith(prefix) && token.length > prefix.length;
  const text = isContinuation ? token.slice(prefix.length) : token;
  for (let start = 0; start < text.length; ) {
    const mark = start > 0 || isContinuation ? prefix : '';
    let end = text.length;
    while (end > start && !left.has(mark + text.slice(start, end))) end--;
    if (end === start) return mark + text.slice(start);
    start = end;
  }
  return null;
}

function cannotDrop(message: string) {
  return userError({
    code: 'cannot-drop-token',
    message: `the recipe drops a token that must stay: ${message}`,
    where: 'recipe.json, droppedTokens',
    hint: 'Make the recipe again, or take the token out of the list.',
  });
}
