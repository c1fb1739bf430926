/** The Hangul syllables: composed of two or three letters (jamo) by arithmetic (Unicode 3.12). */

/** First and last code point. */
export const hangulSyllables = { first: 0xac00, last: 0xd7a3 } as const;

export function isHangulSyllable(codePoint: number): boolean {
  return codePoint >= hangulSyllables.first && codePoint <= hangulSyllables.last;
}
