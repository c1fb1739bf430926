/** A compiled tokenizer as named C constants and the `lm_tokenizer` that refers to them. */
import { sequenceColumns } from './char-map.ts';
import type { CompiledTokenizer } from './compile.ts';

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

/** The arrays, in the order of `lm_tokenizer`'s fields. */
export function tokenizerConstants(compiled: CompiledTokenizer): readonly TokenizerConstant[] {
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
export function tokenizerFields(compiled: CompiledTokenizer): readonly TokenizerField[] {
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

function constantName(name: string): string {
  return `lm_tokenizer_${name}`;
}

function bytes(name: string, data: Uint8Array, comment: string): TokenizerConstant {
  const notEmpty = data.length > 0 ? data : new Uint8Array(1);
  return { name: constantName(name), ctype: 'uint8_t', data: notEmpty, comment };
}

function halfwords(name: string, data: Uint16Array, comment: string): TokenizerConstant {
  const notEmpty = data.length > 0 ? data : new Uint16Array(1);
  return { name: constantName(name), ctype: 'uint16_t', data: notEmpty, comment };
}
