/** Hangul by arithmetic: syllables are composed of two or three letters (jamo) (Unicode 3.12). */

/** First and last code point. */
export const hangulSyllables = { first: 0xac00, last: 0xd7a3 } as const;

export const hangul = {
  syllables: hangulSyllables,
  leading: { first: 0x1100, count: 19 },
  vowels: { first: 0x1161, count: 21 },
  /** One before the first trailing consonant: none. */
  trailing: { none: 0x11a7, count: 28 },
} as const;

export function isHangulSyllable(codePoint: number): boolean {
  return codePoint >= hangulSyllables.first && codePoint <= hangulSyllables.last;
}
