/** Which rows of a word table the tokens reach. */
import { userError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';

/** Word tables are padded to a multiple of this, or of a power of two up to `maxPadding`. */
const paddingUnit = 8;
const maxPadding = 128;

/** Rows of the word table that a token can reach; the rest is padding and is left out. */
export function vocabularyRows(
  rows: number,
  where: string,
  tokenizer: Tokenizer,
  notes: string[],
): number {
  const words = tokenizer.vocabulary.length;
  const surplus = rows - words;
  if (surplus === 0) return rows;
  if (surplus > 0 && surplus < maxPadding && rows % paddingUnit === 0) {
    notes.push(
      `The word table has ${surplus} rows more than the vocabulary (padding); they are left out.`,
    );
    return words;
  }
  throw userError({
    code: 'vocabulary-mismatch',
    message: `the tokenizer has ${words} tokens, the word table ${rows} rows`,
    where,
    hint:
      surplus > 0
        ? `Tokens seem to be missing. Only padding is left out: fewer than ${maxPadding} rows, to a multiple of ${paddingUnit}.`
        : 'Take the vocabulary the model was trained with; some of its tokens have no embedding.',
  });
}
