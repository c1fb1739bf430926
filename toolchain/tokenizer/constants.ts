/** A compiled tokenizer as named C constants and the struct that refers to them. */
import { bpeConstants, bpeFields, bpeWords } from './bpe/constants.ts';
import { sequenceColumns } from './char-map.ts';
import type { CompiledTokenizer, CompiledWordPiece } from './compile.ts';
import {
  bytes,
  constantName,
  halfwords,
  type TokenizerConstant,
  type TokenizerField,
} from './constant-types.ts';

/** What generated C calls a tokenizer of each kind, and its files under `kernels/`. */
export const tokenizerCode = {
  wordpiece: {
    ...{ struct: 'lm_tokenizer', tokenize: 'lm_tokenize', header: 'kernels/tokenizer.h' },
    files: ['c/text.h', 'c/utf8.h', 'c/tokenizer.h', 'c/tokenizer.c'],
    assemblyScript: './tokenizer',
  },
  bpe: {
    ...{ struct: 'lm_bpe', tokenize: 'lm_bpe_tokenize', header: 'kernels/bpe.h' },
    files: ['c/text.h', 'c/utf8.h', 'c/bpe.h', 'c/bpe.c'],
    assemblyScript: './bpe',
  },
} as const satisfies Record<CompiledTokenizer['kind'], unknown>;

export function tokenizerConstants(compiled: CompiledTokenizer): readonly TokenizerConstant[] {
  return compiled.kind === 'bpe' ? bpeConstants(compiled) : wordPieceConstants(compiled);
}

/** The struct of the kernel's header, whose pointers name the constants. */
export function tokenizerFields(compiled: CompiledTokenizer): readonly TokenizerField[] {
  return compiled.kind === 'bpe' ? bpeFields(compiled) : wordPieceFields(compiled);
}

/**
 * The `Tokenizer` of the kernel in AssemblyScript, but for its memory; `addressOf`: where a constant
 * lies.
 */
export function tokenizerWords(
  compiled: CompiledTokenizer,
  addressOf: (constant: TokenizerConstant) => number,
): readonly number[] {
  if (compiled.kind === 'bpe') return bpeWords(compiled, addressOf);
  const addresses = wordPieceConstants(compiled).map(addressOf);
  const { trie, specialLead, maxWordChars, unknown, cls, sep, characters } = compiled;
  const [maps, [tries, codes, labels, specials]] = [addresses.slice(0, 7), addresses.slice(7)];
  return [
    ...maps,
    characters.sequences.length / sequenceColumns,
    ...[tries!, codes!, labels!, specials!],
    ...[trie.offsets[1]!, trie.firstNumbers[1]!, specialLead.min, specialLead.max],
    ...[maxWordChars, unknown, cls, sep],
  ];
}

/** The arrays, in the order of `lm_tokenizer`'s fields. */
function wordPieceConstants(compiled: CompiledWordPiece): readonly TokenizerConstant[] {
  const { trie, characters, specials } = compiled;
  const tokens = compiled.idOrder.length;
  return [
    bytes('ascii', characters.ascii, 'what each ASCII character becomes'),
    halfwords('planes', characters.planes, 'first run of each plane'),
    halfwords('run_starts', characters.runStarts, 'low 16 bits of the first code point of a run'),
    bytes('run_actions', characters.runActions, 'action of each run'),
    {
      name: constantName('actions'),
      ctype: 'int32_t',
      data: characters.actions,
      comment: 'kind | isolated << 3 | argument << 4',
    },
    halfwords('table', characters.table, 'what the characters of dense runs become'),
    {
      name: constantName('sequences'),
      ctype: 'uint32_t',
      data: characters.sequences.length > 0 ? characters.sequences : new Uint32Array(1),
      comment: 'characters that become several',
    },
    bytes('trie', trie.stream, `${tokens} tokens, those that some text can reach`),
    halfwords('codes', trie.codes, 'shape << 12 | offset of the label, per byte of the trie'),
    bytes('labels', trie.labels, 'UTF-8'),
    bytes('specials', specials, 'length, text, compact index; the longest first'),
  ];
}

/** The `lm_tokenizer` of kernels/c/tokenizer.h, whose pointers name the constants. */
function wordPieceFields(compiled: CompiledWordPiece): readonly TokenizerField[] {
  const { trie, characters } = compiled;
  const { sequences } = characters;
  const pointer = (prefix: string) => (name: string) => ({
    field: `${prefix}.${name}`,
    value: constantName(name),
  });
  return [
    ...['ascii', 'planes', 'run_starts', 'run_actions', 'actions', 'table', 'sequences'].map(
      pointer('.characters'),
    ),
    { field: '.characters.sequence_rows', value: sequences.length / sequenceColumns },
    ...['trie', 'codes', 'labels', 'specials'].map(pointer('')),
    { field: '.continuation_offset', value: trie.offsets[1]! },
    { field: '.continuation_first', value: trie.firstNumbers[1]! },
    { field: '.special_lead_min', value: compiled.specialLead.min },
    { field: '.special_lead_max', value: compiled.specialLead.max },
    { field: '.max_word_chars', value: compiled.maxWordChars },
    { field: '.unknown', value: compiled.unknown },
    { field: '.cls', value: compiled.cls },
    { field: '.sep', value: compiled.sep },
  ];
}
