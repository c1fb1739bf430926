/**
 * Added tokens: texts that are found in the raw text before all else, and become one token. How
 * `tokenizer.json` has them, how the host finds them, and as bytes for the device.
 */
import { z } from 'zod';
import { userError } from '../errors.ts';
import { type Frame, framingTokens } from './frame.ts';
import { rangeTest } from './packed.ts';
import { unsupported } from './special-tokens.ts';
import { whitespaceRanges } from './unicode-tables.ts';

export interface AddedTokenRule {
  readonly text: string;
  readonly id: number;
  /** Takes the white space before it. */
  readonly stripsLeft: boolean;
  /** Takes the white space behind it. */
  readonly stripsRight: boolean;
  /** Is no text when tokens are decoded. */
  readonly isSpecial: boolean;
  /** Looked for in what the others leave of the text. */
  readonly isLate: boolean;
}

export const idSchema = z.number().int().nonnegative().max(0xff_ffff);

const flag = z.boolean().default(false);

export const addedTokensSchema = z
  .array(
    z.object({
      id: idSchema,
      content: z.string().min(1),
      single_word: flag,
      lstrip: flag,
      rstrip: flag,
      normalized: flag,
      special: flag,
    }),
  )
  .default([]);
type AddedTokensJson = z.infer<typeof addedTokensSchema>;
export type AddedTokenJson = AddedTokensJson[number];

export function addedTokenRules(tokens: AddedTokensJson): readonly AddedTokenRule[] {
  return tokens.map((token) => ({
    text: token.content,
    id: token.id,
    stripsLeft: token.lstrip,
    stripsRight: token.rstrip,
    isSpecial: token.special,
    isLate: token.normalized,
  }));
}

/**
 * What of them cannot be done as the library does it. `isChanged`: whether it tells that a token is
 * looked for in normalized text. `findsLate`: whether the device looks for late tokens by themselves.
 */
export function addedTokenProblems(
  tokens: AddedTokensJson,
  isChanged: (token: AddedTokenJson) => boolean,
  findsLate: boolean,
): readonly string[] {
  const single = tokens.find((token) => token.single_word);
  const normalized = tokens.find((token) => token.normalized && isChanged(token));
  const overlapping = findsLate ? undefined : overlappingTokens(tokens);
  return [
    single !== undefined &&
      `the added token ${JSON.stringify(single.content)} is matched as a single word only`,
    normalized !== undefined &&
      `the added token ${JSON.stringify(normalized.content)} is matched in normalized text`,
    overlapping !== undefined &&
      `the added tokens ${overlapping.map((text) => JSON.stringify(text)).join(' and ')} overlap, and are matched one after the other`,
  ].filter((problem) => problem !== false);
}

/** Late tokens are matched in what the others leave; that tells only where two overlap. */
function overlappingTokens(tokens: AddedTokensJson): readonly [string, string] | undefined {
  const first = tokens.filter(({ normalized }) => !normalized);
  const second = tokens.filter(({ normalized }) => normalized).map(({ content }) => content);
  for (const { content: a, lstrip, rstrip } of first) {
    const b = second.find(
      (text) =>
        overlap(a, text) ||
        overlap(text, a) ||
        (lstrip && isWhitespace(text.at(-1)!)) ||
        (rstrip && isWhitespace(text[0]!)),
    );
    if (b !== undefined) return [a, b];
  }
  return undefined;
}

/** Whether some end of `a`, or all of `b`, is some beginning of `b` or in `a`. */
export function overlap(a: string, b: string): boolean {
  if (a.includes(b)) return true;
  return Array.from(a, (_, start) => a.slice(start)).some((end) => b.startsWith(end));
}

/** Tokens around texts are among the added ones, so that what they are as text is told there. */
export function checkFrame(frame: Frame, addedTokens: readonly AddedTokenRule[]): void {
  const added = new Set(addedTokens.map(({ id }) => id));
  const strange = framingTokens(frame).find((id) => !added.has(id));
  if (strange === undefined) return;
  throw unsupported(
    'tokenizer.json',
    `the post-processor puts in token ${strange}, which is no added token`,
  );
}

/** A part of a text: an added token, or what lies between two. */
export type TextPart =
  | { readonly kind: 'token'; readonly id: number }
  /** `isFirst`: the text begins with it. */
  | { readonly kind: 'text'; readonly text: string; readonly isFirst: boolean };

/** The parts of `text`, none of them empty: late tokens are found in what the others leave. */
export function splitAtAdded(
  addedTokens: readonly AddedTokenRule[],
  text: string,
): readonly TextPart[] {
  const { early, late } = passesOf(addedTokens);
  return splitAt(early, text, true).flatMap((part) =>
    part.kind === 'text' ? splitAt(late, part.text, part.isFirst) : [part],
  );
}

const passes = new WeakMap<
  readonly AddedTokenRule[],
  { readonly early: readonly AddedTokenRule[]; readonly late: readonly AddedTokenRule[] }
>();

function passesOf(addedTokens: readonly AddedTokenRule[]) {
  const known = passes.get(addedTokens);
  if (known !== undefined) return known;
  const made = {
    early: addedTokens.filter(({ isLate }) => !isLate),
    late: addedTokens.filter(({ isLate }) => isLate),
  };
  passes.set(addedTokens, made);
  return made;
}

function splitAt(
  addedTokens: readonly AddedTokenRule[],
  text: string,
  isFirst: boolean,
): readonly TextPart[] {
  const parts: TextPart[] = [];
  let at = 0;
  const addText = (end: number): void => {
    if (end > at)
      parts.push({ kind: 'text', text: text.slice(at, end), isFirst: isFirst && at === 0 });
  };
  for (const { start, end, id } of findAdded(addedTokens, text)) {
    addText(start);
    parts.push({ kind: 'token', id });
    at = end;
  }
  addText(text.length);
  return parts;
}

interface Found {
  readonly start: number;
  readonly end: number;
  readonly id: number;
}

const patterns = new WeakMap<readonly AddedTokenRule[], RegExp>();

function findAdded(addedTokens: readonly AddedTokenRule[], text: string): readonly Found[] {
  if (addedTokens.length === 0) return [];
  const pattern = patterns.get(addedTokens) ?? patternOf(addedTokens);
  patterns.set(addedTokens, pattern);
  const found: Found[] = [];
  for (const match of text.matchAll(pattern)) {
    const token = addedTokens.find((one) => one.text === match[0])!;
    let start = match.index;
    let end = start + token.text.length;
    const earliest = found.at(-1)?.end ?? 0;
    // White space that the one before took may hold another.
    if (start < earliest) continue;
    // All white space is one UTF-16 unit a character.
    while (token.stripsLeft && start > earliest && isWhitespace(text[start - 1]!)) start--;
    while (token.stripsRight && end < text.length && isWhitespace(text[end]!)) end++;
    found.push({ start, end, id: token.id });
  }
  return found;
}

/** Matches any of them, the longest first. */
function patternOf(addedTokens: readonly AddedTokenRule[]): RegExp {
  const added = addedTokens.map(({ text }) => text).sort((a, b) => b.length - a.length);
  const escaped = added.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return new RegExp(escaped.join('|'), 'gu');
}

const isSpace = rangeTest(whitespaceRanges);

export function isWhitespace(char: string): boolean {
  return isSpace(char.codePointAt(0)!);
}

/** The added tokens for the device. */
export interface CompiledSpecials {
  /** Texts to find before all else: length, flags, compact index (2 bytes), bytes; then 0. */
  readonly specials: Uint8Array;
  /** First bytes of the special texts: none is outside `min..max`. */
  readonly specialLead: { readonly min: number; readonly max: number };
}

/** Bits of a special token's flags; `kernels/c/specials.h` has the same. */
export const specialFlags = { stripsLeft: 1, stripsRight: 2, isSpecial: 4, isLate: 8 } as const;
const flagNames = ['stripsLeft', 'stripsRight', 'isSpecial', 'isLate'] as const;

/** `compact`: the compact index of an id. */
export function compileSpecials(
  addedTokens: readonly AddedTokenRule[],
  compact: (id: number) => number,
): CompiledSpecials {
  const encoder = new TextEncoder();
  const texts = addedTokens
    .map((token) => ({ ...token, bytes: encoder.encode(token.text), index: compact(token.id) }))
    .sort((a, b) => b.bytes.length - a.bytes.length);
  const tooLong = texts.find(({ bytes }) => bytes.length > 0xff);
  if (tooLong !== undefined) {
    throw userError({
      code: 'special-token-too-long',
      message: `the special token ${JSON.stringify(`${tooLong.text.slice(0, 20)}…`)} has more than 255 bytes`,
      hint: 'Remove it from the tokenizer if no text contains it.',
    });
  }
  const leads = texts.map(({ bytes }) => bytes[0]!);
  const entries = texts.flatMap(({ bytes, index, ...token }) => {
    const set = flagNames.filter((flag) => token[flag]);
    const flags = set.reduce((sum, flag) => sum + specialFlags[flag], 0);
    return [bytes.length, flags, index & 0xff, index >> 8, ...bytes];
  });
  return {
    specials: Uint8Array.from([...entries, 0]),
    // An empty range where there are no special texts.
    specialLead: { min: Math.min(0xff, ...leads), max: Math.max(0, ...leads) },
  };
}
