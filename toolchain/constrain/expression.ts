/**
 * What texts a constraint permits: a regular expression over Unicode characters, as plain data. Patterns,
 * JSON schemas and lists of commands all become one.
 */

/** Code points from `first` to `last`. */
export interface CharacterRange {
  readonly first: number;
  readonly last: number;
}

/** Sorted, with gaps between them, without surrogates, which UTF-8 does not have. */
export type CharacterSet = readonly CharacterRange[];

export type Expression =
  | {
      readonly kind: 'character';
      readonly set: CharacterSet;
      /** Where in the user's source, for messages. */
      readonly origin: string;
    }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  /** Without options no text at all. */
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | {
      readonly kind: 'repeat';
      readonly part: Expression;
      readonly least: number;
      /** Infinite: any number. */
      readonly most: number;
    };

export const nothing: Expression = { kind: 'sequence', parts: [] };

export function sequence(...parts: readonly Expression[]): Expression {
  return { kind: 'sequence', parts };
}

export function choice(options: readonly Expression[]): Expression {
  return options.length === 1 ? options[0]! : { kind: 'choice', options };
}

export function repeat(part: Expression, least: number, most: number): Expression {
  return { kind: 'repeat', part, least, most };
}

export function optional(part: Expression): Expression {
  return repeat(part, 0, 1);
}

/** `originAt`: where the character of that index comes from. */
export function literal(text: string, originAt: (index: number) => string): Expression {
  return sequence(
    ...Array.from(text, (character, index): Expression => {
      const set = [single(character.codePointAt(0)!)];
      return { kind: 'character', set, origin: originAt(index) };
    }),
  );
}

export function single(codePoint: number): CharacterRange {
  return { first: codePoint, last: codePoint };
}

/** All that UTF-8 can say. */
export const everyCharacter: CharacterSet = [
  { first: 0, last: 0xd7ff },
  { first: 0xe000, last: 0x10ffff },
];

/** What is in any of the ranges. */
export function union(ranges: readonly CharacterRange[]): CharacterSet {
  const joined: { first: number; last: number }[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else joined.push({ first, last });
  }
  return intersection(joined, everyCharacter);
}

export function intersection(a: CharacterSet, b: CharacterSet): CharacterSet {
  return a.flatMap(({ first, last }) =>
    b
      .map((other) => ({ first: Math.max(first, other.first), last: Math.min(last, other.last) }))
      .filter((common) => common.first <= common.last),
  );
}

export function complement(set: CharacterSet): CharacterSet {
  const gaps = [-1, ...set.map(({ last }) => last)].map((last, index) => ({
    first: last + 1,
    last: (set[index]?.first ?? 0x110000) - 1,
  }));
  return intersection(
    gaps.filter(({ first, last }) => first <= last),
    everyCharacter,
  );
}

/** Without those in `removed`. */
export function difference(set: CharacterSet, removed: CharacterSet): CharacterSet {
  return intersection(set, complement(removed));
}
