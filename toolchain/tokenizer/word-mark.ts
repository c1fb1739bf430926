/** What SentencePiece has for a space, U+2581. */
export const wordMark = '▁';
