/**
 * SentencePiece's BPE (Llama 2) as BPE over bytes: its base tokens are characters, and bytes where a
 * character is unknown. So bytes are the base, and rows before all others merge those of each known
 * character; what began like one and is none falls apart into its bytes again.
 */
import { z } from 'zod';
import { addedTokenRules, checkFrame } from '../added-tokens.ts';
import { frameOf } from '../frame.ts';
import { badFile, unsupported } from '../special-tokens.ts';
import { wordMark } from '../word-mark.ts';
import { type BpeJson, mergesOf, modelProblems, vocabularyOf } from './json.ts';
import { type BpeTokenizer, byteAlphabet, type PrefixRule } from './tokenizer.ts';

const file = 'tokenizer.json';
const encoder = new TextEncoder();

export function parseSentencePieceBpe(parsed: BpeJson): BpeTokenizer {
  const { model, added_tokens } = parsed;
  const problems = modelProblems(parsed, () => parsed.normalizer != null, false);
  if (problems.length > 0) throw unsupported(file, problems.join('; '));
  if (model.ignore_merges) throw unsupported(file, 'BPE with byte fallback and ignore_merges');
  const idOf = new Map(Object.entries(model.vocab));
  if (!idOf.has(wordMark)) throw unsupported(file, `no token is ${wordMark}, a space`);
  const pieces = vocabularyOf(parsed);
  const bytePieces = Array.from({ length: 0x100 }, (_, byte) => bytePiece(byte, idOf));
  const byteIds = bytePieces.map((piece, byte) => idOf.get(asciiText(byte)) ?? idOf.get(piece)!);
  const pieceByte = new Map(bytePieces.map((piece, byte) => [piece, byte]));
  const rows = [...characterRows(idOf, byteIds, pieces.length), ...mergesOf(parsed, idOf)];
  const addedTokens = addedTokenRules(added_tokens);
  const frame = frameOf(parsed.post_processor);
  checkFrame(frame, addedTokens);
  return {
    kind: 'bpe',
    vocabulary: pieces.map((piece) => {
      const byte = pieceByte.get(piece);
      const bytes = byte === undefined ? encoder.encode(piece.replaceAll(wordMark, ' ')) : [byte];
      return Array.from(bytes, (one) => byteAlphabet[one]!).join('');
    }),
    byteIds: Int32Array.from(byteIds),
    merges: Int32Array.from(rows),
    normalForm: null,
    ...spacesOf(parsed),
    marksSpaces: true,
    frame,
    addedTokens,
  };
}

/** A character of ASCII, of which bytes and characters are the same; else ''. */
function asciiText(byte: number): string {
  return byte < 0x80 ? String.fromCharCode(byte) : '';
}

function bytePiece(byte: number, idOf: ReadonlyMap<string, number>): string {
  const piece = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
  if (!idOf.has(piece)) throw badFile(file, `model.vocab: byte_fallback without ${piece}`);
  return piece;
}

/** Rows that make each character of several bytes; beginnings get ids from `firstPart` on. */
function characterRows(
  idOf: ReadonlyMap<string, number>,
  byteIds: readonly number[],
  firstPart: number,
): readonly number[] {
  const rows: number[] = [];
  const parts = new Map<string, number>();
  for (const [text, id] of idOf) {
    const bytes = encoder.encode(text);
    if (bytes.length === 1 || Array.from(text).length !== 1) continue;
    let left = byteIds[bytes[0]!]!;
    for (let end = 2; end <= bytes.length; end++) {
      const key = bytes.slice(0, end).join(' ');
      const known = parts.get(key);
      const merged = end === bytes.length ? id : (known ?? firstPart + parts.size);
      if (known === undefined) rows.push(left, byteIds[bytes[end - 1]!]!, merged);
      if (end < bytes.length) parts.set(key, merged);
      left = merged;
    }
  }
  return rows;
}

const metaspace = z.object({
  type: z.literal('Metaspace'),
  replacement: z.literal(wordMark),
  add_prefix_space: z.boolean().default(true),
  prepend_scheme: z.enum(['always', 'first', 'never']).optional(),
  split: z.boolean().default(true),
});
const prepend = z.object({ type: z.literal('Prepend'), prepend: z.literal(wordMark) });
const replace = z.object({
  type: z.literal('Replace'),
  pattern: z.object({ String: z.literal(' ') }),
  content: z.literal(wordMark),
});
const normalizerSequence = z.object({
  type: z.literal('Sequence'),
  normalizers: z.union([z.tuple([prepend, replace]), z.tuple([replace])]),
});

const metaspacePrefix = {
  always: 'missing',
  first: 'missing-first',
  never: 'never',
} as const satisfies Record<string, PrefixRule>;

/** Spaces are marked by the pre-tokenizer, or by the normalizer. */
function spacesOf({
  normalizer,
  pre_tokenizer: preTokenizer,
}: BpeJson): Pick<BpeTokenizer, 'split' | 'prefix'> {
  const split = { mostDigits: 0, isolatesDigits: false };
  if (normalizer == null) {
    const parsed = metaspace.safeParse(preTokenizer);
    if (!parsed.success) throw strange('pre-tokenizer', preTokenizer?.type);
    const { prepend_scheme: scheme, add_prefix_space, split: splits } = parsed.data;
    const prefix = metaspacePrefix[scheme ?? (add_prefix_space ? 'always' : 'never')];
    return { split: { ...split, words: splits ? 'marks' : 'none' }, prefix };
  }
  if (preTokenizer != null) throw strange('pre-tokenizer', preTokenizer.type);
  const parsed = normalizerSequence.safeParse(normalizer);
  if (!parsed.success) throw strange('normalizer', normalizer.type);
  const isPrepended = parsed.data.normalizers.length === 2;
  return { split: { ...split, words: 'none' }, prefix: isPrepended ? 'always' : 'never' };
}

function strange(what: string, type = 'none') {
  return unsupported(file, `with byte fallback, the ${what} is ${type}`);
}
