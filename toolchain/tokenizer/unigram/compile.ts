/**
 * A Unigram tokenizer to constants for the device (`kernels/c/unigram.h`): pieces as a trie, their
 * scores as so many bits each, the normalizer.
 *
 * Pieces that no text can reach (with capital letters where all is lower-cased) are left out, and with
 * them their rows of the embedding table.
 */
import { type CompiledSpecials, compileSpecials } from '../added-tokens.ts';
import { type CompiledNormalForm, compileNormalForm } from '../compile-normal-form.ts';
import { framingTokens } from '../frame.ts';
import { byteLengths, type TokenizerBytes, tokenizerBytes } from '../sizes.ts';
import { compileTrie, type Trie } from '../trie.ts';
import { checkTokenCount } from '../vocabulary-size.ts';
import {
  type CompiledNormalizer,
  changesOf,
  compileNormalizer,
  imageOf,
  imagesOf,
} from './compile-normalizer.ts';
import { piecesOf, type UnigramTokenizer } from './tokenizer.ts';

export interface CompiledUnigram extends CompiledSpecials {
  readonly kind: 'unigram';
  readonly normalizer: CompiledNormalizer;
  /** Null: what is normalized first stays as it is. */
  readonly normalForm: CompiledNormalForm | null;
  readonly trie: Trie;
  /** `scoreBits` of each piece in the order of the trie, the low ones first, less `scoreBase`. */
  readonly scores: Uint32Array;
  readonly scoreBits: number;
  readonly scoreBase: number;
  readonly unknownScore: number;
  /** Compact index. */
  readonly unknown: number;
  /** Compact index of each byte's token; null: unknown characters are one token. */
  readonly byteTokens: Uint16Array | null;
  /** Compact indexes of the frame's `before`, `between` and `after`, one behind the other. */
  readonly frame: Uint16Array;
  readonly tokenizer: Pick<UnigramTokenizer, 'frame' | 'words' | 'normalizer'>;
  /** Vocabulary id of each compact index, by which the device counts; some ids have none. */
  readonly idOrder: Int32Array;
  readonly sizeBytes: TokenizerBytes;
}

export function compileUnigram(tokenizer: UnigramTokenizer): CompiledUnigram {
  const { frame, addedTokens, byteIds, unknownId } = tokenizer;
  const { pieces, normalizer } = reachablePieces(tokenizer);
  const form = tokenizer.normalizer.normalForm;
  const normalForm = form && compileNormalForm(form);
  const framing = framingTokens(frame);
  const named = [unknownId, ...framing, ...addedTokens.map(({ id }) => id), ...(byteIds ?? [])];
  checkTokenCount(new Set([...pieces.map(({ id }) => id), ...named]).size, 'unigram');
  const trie = compileTrie([pieces]);
  const idOrder = [...new Set([...trie.idOrder, ...named])];
  const compactOf = new Map(idOrder.map((id, index) => [id, index]));
  const compact = (id: number): number => compactOf.get(id)!;
  const specials = compileSpecials(addedTokens, compact);
  const packed = packScores(trie.idOrder.map((id) => tokenizer.scores[id]!));
  const byteTokens = byteIds && Uint16Array.from(byteIds, compact);
  return {
    kind: 'unigram',
    normalizer,
    normalForm,
    trie,
    ...packed,
    unknownScore: tokenizer.unknownScore,
    unknown: compact(unknownId),
    byteTokens,
    ...specials,
    frame: Uint16Array.from(framing, compact),
    tokenizer,
    idOrder: Int32Array.from(idOrder),
    sizeBytes: tokenizerBytes({
      vocabulary: byteLengths([trie.stream, trie.codes, trie.labels, packed.scores, byteTokens]),
      characters: normalizer.sizeBytes + (normalForm?.sizeBytes ?? 0),
      specials: specials.specials.length + 2 * framing.length,
    }),
  };
}

/** The pieces whose characters are all in some normalized text, and the normalizer for them. */
function reachablePieces(tokenizer: UnigramTokenizer) {
  const { normalizer, byteIds } = tokenizer;
  const vocabulary = piecesOf(tokenizer);
  const changing = changesOf(normalizer);
  const images = imagesOf(changing, normalizer);
  const isReachable = (char: string): boolean =>
    images.has(char) || imageOf(changing, char) === char;
  const encoder = new TextEncoder();
  const pieces = vocabulary.flatMap((piece, id) =>
    piece !== '' && Array.from(piece).every(isReachable)
      ? [{ bytes: encoder.encode(piece), id }]
      : [],
  );
  const alphabet = new Set(pieces.flatMap(({ id }) => Array.from(vocabulary[id]!)));
  const tells = byteIds === null ? alphabet : null;
  return { pieces, normalizer: compileNormalizer(normalizer, changing, tells) };
}

function packScores(scores: readonly number[]) {
  const base = scores.reduce((least, score) => Math.min(least, score), 0x7fff_ffff);
  const largest = scores.reduce((most, score) => Math.max(most, score - base), 1);
  const scoreBits = 32 - Math.clz32(largest);
  // Two words are read for each score.
  const words = new BigUint64Array(Math.ceil((scores.length * scoreBits) / 32) + 1);
  scores.forEach((score, i) => {
    const bit = i * scoreBits;
    words[bit >> 5]! |= BigInt(score - base) << BigInt(bit & 31);
  });
  const packed = new Uint32Array(words.length);
  words.forEach((word, i) => {
    packed[i]! |= Number(word & 0xffff_ffffn);
    if (i + 1 < words.length) packed[i + 1]! |= Number(word >> 32n);
  });
  return { scores: packed, scoreBits, scoreBase: base };
}
