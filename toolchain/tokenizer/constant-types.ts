/** The constants of a compiled tokenizer, of whichever kind, for emitters. */

export interface TokenizerConstant {
  /** C name of the array. */
  readonly name: string;
  readonly ctype: 'uint8_t' | 'uint16_t' | 'int32_t' | 'uint32_t';
  /** Never empty: C has no empty arrays. */
  readonly data: Uint8Array | Uint16Array | Int32Array | Uint32Array;
  readonly comment: string;
}

/** A field of `lm_tokenizer`, in a designated initializer; `.characters.table` names nest. */
export interface TokenizerField {
  readonly field: string;
  /** The name of a constant or a number. */
  readonly value: string | number;
}

/** C name of an array of the tokenizer's. */
export function constantName(name: string): string {
  return `lm_tokenizer_${name}`;
}

export function bytes(name: string, data: Uint8Array, comment: string): TokenizerConstant {
  const notEmpty = data.length > 0 ? data : new Uint8Array(1);
  return { name: constantName(name), ctype: 'uint8_t', data: notEmpty, comment };
}

export function halfwords(name: string, data: Uint16Array, comment: string): TokenizerConstant {
  const notEmpty = data.length > 0 ? data : new Uint16Array(1);
  return { name: constantName(name), ctype: 'uint16_t', data: notEmpty, comment };
}

export function words(name: string, data: Uint32Array, comment: string): TokenizerConstant {
  return { name: constantName(name), ctype: 'uint32_t', data, comment };
}

/** By the field that points to it; null: a pointer that is NULL. */
export type TokenizerArrays = Readonly<Record<string, TokenizerConstant | null>>;

/** What the fields say in C. */
export function pointersTo(arrays: TokenizerArrays): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(arrays).map(([field, array]) => [field, array?.name ?? 'NULL']),
  );
}

/** What the fields say in AssemblyScript. */
export function addressesOf(
  arrays: TokenizerArrays,
  addressOf: (constant: TokenizerConstant) => number,
): readonly number[] {
  return Object.values(arrays).map((array) => (array === null ? 0 : addressOf(array)));
}

export function structFields(
  values: Readonly<Record<string, string | number>>,
): readonly TokenizerField[] {
  return Object.entries(values).map(([name, value]) => ({ field: `.${name}`, value }));
}
