/** What the constants of a compiled tokenizer take in flash; the code is not counted. */
export interface TokenizerBytes {
  readonly vocabulary: number;
  readonly characters: number;
  readonly specials: number;
  readonly total: number;
}

export function tokenizerBytes(parts: Omit<TokenizerBytes, 'total'>): TokenizerBytes {
  return { ...parts, total: parts.vocabulary + parts.characters + parts.specials };
}

export function byteLengths(arrays: readonly ({ readonly byteLength: number } | null)[]): number {
  return arrays.reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
}
