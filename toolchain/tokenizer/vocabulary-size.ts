/** How many tokens a compiled vocabulary may have. */
import { userError } from '../errors.ts';

/** Compact indexes are 16 bits wide, and 0xFFFF is none. */
export const mostTokens = 0xffff;

export function checkTokenCount(tokens: number): void {
  if (tokens <= mostTokens) return;
  const [count, most] = [tokens, mostTokens].map((value) => value.toLocaleString('en-US'));
  throw userError({
    code: 'vocabulary-too-large',
    message: `the vocabulary has ${count} tokens that texts can reach, more than ${most}`,
    hint: 'Fine-tune a model with a smaller vocabulary, of one language, or write this one again with the tokens of your texts: examples/trim-vocabulary.ts.',
  });
}
