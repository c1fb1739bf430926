/** A compiled WordPiece tokenizer as named C constants and the `lm_tokenizer` that refers to them. */
import { sequenceColumns } from './char-map.ts';
import type { CompiledWordPiece } from './compile.ts';
import {
  addressesOf,
  bytes,
  constantName,
  halfwords,
  pointersTo,
  structFields,
  type TokenizerConstant,
  type TokenizerField,
  words,
} from './constant-types.ts';
import { frameArray, frameNumbers } from './framing-constants.ts';
import { wordPieceFrame } from './parse.ts';

/** The arrays, in the order of the fields of kernels/assemblyscript/tokenizer.ts. */
function arraysOf({ trie, characters, specials, idOrder, frame }: CompiledWordPiece) {
  const { sequences } = characters;
  return {
    'characters.ascii': bytes('ascii', characters.ascii, 'what each ASCII character becomes'),
    'characters.planes': halfwords('planes', characters.planes, 'first run of each plane'),
    'characters.run_starts': halfwords(
      'run_starts',
      characters.runStarts,
      'low 16 bits of the first code point of a run',
    ),
    'characters.run_actions': bytes('run_actions', characters.runActions, 'action of each run'),
    'characters.actions': {
      name: constantName('actions'),
      ctype: 'int32_t',
      data: characters.actions,
      comment: 'kind | isolated << 3 | argument << 4',
    },
    'characters.table': halfwords(
      'table',
      characters.table,
      'what the characters of dense runs become',
    ),
    'characters.sequences': words(
      'sequences',
      sequences.length > 0 ? sequences : new Uint32Array(1),
      'characters that become several',
    ),
    trie: bytes('trie', trie.stream, `${idOrder.length} tokens, those that some text can reach`),
    codes: halfwords(
      'codes',
      trie.codes,
      'shape << 12 | offset of the label, per byte of the trie',
    ),
    labels: bytes('labels', trie.labels, 'UTF-8'),
    specials: bytes('specials', specials, 'length, text, compact index; the longest first'),
    ...frameArray(frame),
  } as const satisfies Readonly<Record<string, TokenizerConstant>>;
}

/** The numbers, in the order of the fields of kernels/assemblyscript/tokenizer.ts. */
function numbersOf({ characters, trie, specialLead, maxWordChars, unknown }: CompiledWordPiece) {
  return {
    'characters.sequence_rows': characters.sequences.length / sequenceColumns,
    continuation_offset: trie.offsets[1]!,
    continuation_first: trie.firstNumbers[1]!,
    special_lead_min: specialLead.min,
    special_lead_max: specialLead.max,
    ...frameNumbers(wordPieceFrame({ clsId: 0, sepId: 0 })),
    max_word_chars: maxWordChars,
    unknown,
  };
}

export function wordPieceConstants(compiled: CompiledWordPiece): readonly TokenizerConstant[] {
  return Object.values(arraysOf(compiled));
}

export function wordPieceFields(compiled: CompiledWordPiece): readonly TokenizerField[] {
  return structFields({ ...pointersTo(arraysOf(compiled)), ...numbersOf(compiled) });
}

/** The fields of kernels/assemblyscript/tokenizer.ts, but for the word. */
export function wordPieceWords(
  compiled: CompiledWordPiece,
  addressOf: (constant: TokenizerConstant) => number,
): readonly number[] {
  const addresses = addressesOf(arraysOf(compiled), addressOf);
  return [...addresses, ...Object.values(numbersOf(compiled))];
}
