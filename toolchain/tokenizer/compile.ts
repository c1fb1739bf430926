/**
 * A tokenizer to constants for the device (`kernels/c/tokenizer.h`): vocabulary trie, character map,
 * special tokens.
 *
 * Tokens that no text can reach ("[unused7]", "##" before a CJK character, upper case where all is
 * lower-cased) are left out, and with them their rows of the embedding table.
 */
import { userError } from '../errors.ts';
import { type CompiledBpe, compileBpe } from './bpe/compile.ts';
import { type CharacterMap, compileCharacterMap } from './char-map.ts';
import { changedCharacters, characterAction } from './characters.ts';
import { framingTokens } from './frame.ts';
import { type Tokenizer, type WordPieceTokenizer, wordPieceFrame } from './parse.ts';
import { byteLengths, type TokenizerBytes, tokenizerBytes } from './sizes.ts';
import { compileTrie, type Trie, type TrieToken } from './trie.ts';
import { type CompiledUnigram, compileUnigram } from './unigram/compile.ts';
import { checkTokenCount } from './vocabulary-size.ts';

export type CompiledTokenizer = CompiledWordPiece | CompiledBpe | CompiledUnigram;

export interface CompiledWordPiece {
  readonly kind: 'wordpiece';
  readonly trie: Trie;
  readonly characters: CharacterMap;
  /** Texts to find before all else: length, bytes, compact index (2 bytes, low first); then 0. */
  readonly specials: Uint8Array;
  /** First bytes of the special texts: none is outside `min..max`. */
  readonly specialLead: { readonly min: number; readonly max: number };
  /** Vocabulary id of each compact index, by which the device counts; some ids have none. */
  readonly idOrder: Int32Array;
  readonly unknown: number;
  /** Compact indexes of [CLS] and [SEP] as they stand around texts. */
  readonly frame: Uint16Array;
  readonly maxWordChars: number;
  readonly sizeBytes: TokenizerBytes;
}

export function compileTokenizer(tokenizer: WordPieceTokenizer): CompiledWordPiece;
export function compileTokenizer(tokenizer: Tokenizer): CompiledTokenizer;
export function compileTokenizer(tokenizer: Tokenizer): CompiledTokenizer {
  switch (tokenizer.kind) {
    case 'wordpiece':
      return compileWordPiece(tokenizer);
    case 'bpe':
      return compileBpe(tokenizer);
    case 'unigram':
      return compileUnigram(tokenizer);
  }
}

function compileWordPiece(tokenizer: WordPieceTokenizer): CompiledWordPiece {
  const { words, continuations, alphabet } = reachableTokens(tokenizer);
  const trie = compileTrie([words, continuations]);
  const characters = compileCharacterMap(tokenizer, alphabet);
  const { unknownId, clsId, sepId, padId, addedTokens } = tokenizer;
  const around = framingTokens(wordPieceFrame(tokenizer));
  const kept = new Set(trie.idOrder);
  const special = [unknownId, clsId, sepId, padId, ...addedTokens.map(({ id }) => id)];
  const idOrder = [...trie.idOrder, ...new Set(special.filter((id) => !kept.has(id)))];
  checkTokenCount(idOrder.length, 'wordpiece');
  const compactOf = new Map(idOrder.map((id, index) => [id, index]));
  const specials = compileSpecials(tokenizer, compactOf);
  return {
    kind: 'wordpiece',
    trie,
    characters,
    ...specials,
    idOrder: Int32Array.from(idOrder),
    unknown: compactOf.get(unknownId)!,
    frame: Uint16Array.from(around, (id) => compactOf.get(id)!),
    maxWordChars: tokenizer.maxWordChars,
    sizeBytes: tokenizerBytes({
      vocabulary: byteLengths([trie.stream, trie.codes, trie.labels]),
      characters: byteLengths(Object.values(characters)),
      specials: specials.specials.length + 2 * around.length,
    }),
  };
}

/**
 * The tokens that normalized words can contain. Every character of a word is what some character
 * becomes; one that only isolated characters become is a word of its own.
 */
function reachableTokens(tokenizer: WordPieceTokenizer) {
  const { isInWords, isAlone } = characterImages(tokenizer);
  const encoder = new TextEncoder();
  const alphabet = new Set<number>();
  const words: TrieToken[] = [];
  const continuations: TrieToken[] = [];
  tokenizer.vocabulary.forEach((token, id) => {
    add(words, token, id, false);
    const { continuationPrefix: prefix } = tokenizer;
    if (token.startsWith(prefix)) add(continuations, token.slice(prefix.length), id, true);
  });
  return { words, continuations, alphabet };

  function add(list: TrieToken[], text: string, id: number, isContinuation: boolean) {
    const chars = Array.from(text, (char) => char.codePointAt(0)!);
    const isReachable =
      chars.length > 0 &&
      chars.length <= tokenizer.maxWordChars - (isContinuation ? 1 : 0) &&
      (chars.every(isInWords) || (chars.length === 1 && !isContinuation && isAlone(chars[0]!)));
    if (!isReachable) return;
    for (const char of chars) alphabet.add(char);
    list.push({ bytes: encoder.encode(text), id });
  }
}

/** What characters become within words, and alone. Most are themselves: only the others are listed. */
function characterImages(tokenizer: WordPieceTokenizer) {
  const changed = { word: new Set<number>(), isolated: new Set<number>() };
  for (const codePoint of changedCharacters(tokenizer)) {
    const action = characterAction(codePoint, tokenizer);
    if (action.kind !== 'word' && action.kind !== 'isolated') continue;
    for (const target of action.targets) changed[action.kind].add(target);
  }
  const becomes = (kind: 'word' | 'isolated', char: number): boolean => {
    if (changed[kind].has(char)) return true;
    const action = characterAction(char, tokenizer);
    return action.kind === kind && action.targets.includes(char);
  };
  return {
    isInWords: (char: number): boolean => becomes('word', char),
    isAlone: (char: number): boolean => becomes('isolated', char),
  };
}

function compileSpecials(
  { addedTokens }: WordPieceTokenizer,
  compactOf: ReadonlyMap<number, number>,
) {
  const encoder = new TextEncoder();
  const texts = addedTokens
    .map(({ text, id }) => ({ bytes: encoder.encode(text), index: compactOf.get(id)! }))
    .sort((a, b) => b.bytes.length - a.bytes.length);
  const tooLong = addedTokens.find(({ text }) => encoder.encode(text).length > 0xff);
  if (tooLong !== undefined) {
    throw userError({
      code: 'special-token-too-long',
      message: `the special token ${JSON.stringify(tooLong.text.slice(0, 20) + '…')} has more than 255 bytes`,
      hint: 'Remove it from the tokenizer if no text contains it.',
    });
  }
  const leads = texts.map(({ bytes }) => bytes[0]!);
  return {
    specials: Uint8Array.from([
      ...texts.flatMap(({ bytes, index }) => [bytes.length, ...bytes, index & 0xff, index >> 8]),
      0,
    ]),
    // An empty range where there are no special texts.
    specialLead: { min: Math.min(0xff, ...leads), max: Math.max(0, ...leads) },
  };
}
