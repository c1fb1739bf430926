/** How many tokens a compiled vocabulary may have. */
import { userError } from '../errors.ts';
import type { Tokenizer } from './parse.ts';

/** Compact indexes are 16 bits wide, and 0xFFFF is none. */
export const mostTokens = 0xffff;

/** Of what a smaller vocabulary can be written; merges of BPE build on each other. */
const trimmed =
  ', or write this one again with the tokens of your texts: examples/trim-vocabulary.ts';

export function checkTokenCount(tokens: number, kind: Tokenizer['kind']): void {
  if (tokens <= mostTokens) return;
  const [count, most] = [tokens, mostTokens].map((value) => value.toLocaleString('en-US'));
  throw userError({
    code: 'vocabulary-too-large',
    message: `the vocabulary has ${count} tokens that texts can reach, more than ${most}`,
    hint: `Fine-tune a model with a smaller vocabulary, of one language${kind === 'bpe' ? '' : trimmed}.`,
  });
}
