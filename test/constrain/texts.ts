/** Vocabularies and walks for tests of constraints. */
import fc from 'fast-check';
import type { TokenAutomaton, TokenVocabulary } from '../../toolchain/constrain/token-automaton.ts';

const encoder = new TextEncoder();

/** `usual` stands for a tokenizer: the longest token each time. */
export function vocabularyOf(tokens: readonly string[]): TokenVocabulary {
  return {
    bytes: tokens.map((token) => encoder.encode(token)),
    tokensOf: (bytes) => {
      const found: number[] = [];
      for (let text = new TextDecoder().decode(bytes); text !== ''; ) {
        const token = tokens
          .filter((one) => text.startsWith(one))
          .reduce((longest, one) => (one.length > longest.length ? one : longest), '');
        if (token === '') return null;
        found.push(tokens.indexOf(token));
        text = text.slice(token.length);
      }
      return found;
    },
  };
}

/** Whether some tokens of the automaton make the text, and end there. */
export function accepts(
  automaton: TokenAutomaton,
  tokens: readonly string[],
  text: string,
): boolean {
  const places = [{ state: 0, rest: text }];
  const seen = new Set<string>();
  for (const { state, rest } of places) {
    if (rest === '' && automaton.isAccepting[state]) return true;
    for (const { label, to } of automaton.rows[state]!) {
      for (const token of automaton.tokensOfClass[label]!) {
        const next = { state: to, rest: rest.slice(tokens[token]!.length) };
        const key = `${to} ${next.rest}`;
        if (!rest.startsWith(tokens[token]!) || seen.has(key)) continue;
        seen.add(key);
        places.push(next);
      }
    }
  }
  return false;
}

/** Whether the text is tokens one after the other. */
export function canSay(tokens: readonly string[], text: string): boolean {
  return (
    text === '' ||
    tokens.some((token) => text.startsWith(token) && canSay(tokens, text.slice(token.length)))
  );
}

/** All texts over an alphabet, up to a length. */
export function textsOver(alphabet: readonly string[], most: number): readonly string[] {
  const texts = [''];
  for (const text of texts) {
    if (text.length === most) break;
    texts.push(...alphabet.map((letter) => text + letter));
  }
  return texts;
}

/** Regular expressions as a user would write them, over an alphabet. */
export function patternsOver(alphabet: readonly string[]): fc.Arbitrary<string> {
  const letter = fc.constantFrom(...alphabet);
  const set = fc
    .tuple(fc.boolean(), fc.subarray([...alphabet], { minLength: 1 }))
    .map(([isNegated, letters]) => `[${isNegated ? '^' : ''}${letters.join('')}]`);
  const counts = fc
    .tuple(fc.nat(2), fc.nat(1))
    .map(([least, more]) => `{${least},${least + more}}`);
  const quantifier = fc.oneof(fc.constantFrom('?', '*', '+', '{2}', '{1,}', '*?'), counts);
  return fc.letrec<{ whole: string; part: string }>((tie) => ({
    whole: fc
      .array(fc.array(tie('part'), { maxLength: 2 }), { minLength: 1, maxLength: 2 })
      .map((options) => options.map((parts) => parts.join('')).join('|')),
    part: fc.oneof(
      { maxDepth: 2, depthIdentifier: 'pattern' },
      fc.oneof(letter, set, fc.constant('.'), fc.constant('\\w')),
      fc.tuple(tie('whole'), quantifier).map(([whole, times]) => `(?:${whole})${times}`),
      tie('whole').map((whole) => `(${whole})`),
      fc.tuple(letter, quantifier).map(([one, times]) => one + times),
    ),
  })).whole;
}
