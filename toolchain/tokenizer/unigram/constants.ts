/** A compiled Unigram tokenizer as named C constants and the `lm_unigram` that refers to them. */
import {
  addressesOf,
  bytes,
  halfwords,
  pointersTo,
  structFields,
  type TokenizerConstant,
  type TokenizerField,
  words,
} from '../constant-types.ts';
import { framingArrays, framingNumbers } from '../framing-constants.ts';
import {
  normalFormAddress,
  normalFormConstants,
  normalFormFields,
} from '../normal-form-constants.ts';
import type { CompiledUnigram } from './compile.ts';
import type { WordRule } from './tokenizer.ts';

/** The arrays, in the order of the fields of kernels/assemblyscript/unigram.ts. */
function arraysOf(compiled: CompiledUnigram) {
  const { normalizer, trie } = compiled;
  const { classes, trie: changes } = normalizer;
  const bytesOf = compiled.byteTokens;
  return {
    'normalizer.pairs': bytes('pairs', normalizer.pairs, 'two characters and what they become'),
    'normalizer.leads': bytes('leads', normalizer.leads, 'a bit for each first byte'),
    'normalizer.trie': bytes('changes', changes.stream, 'characters that become others'),
    'normalizer.codes': halfwords('change_codes', changes.codes, 'shape << 12 | label, by byte'),
    'normalizer.labels': bytes('change_labels', changes.labels, 'UTF-8'),
    'normalizer.replacements': halfwords(
      'replacements',
      normalizer.replacements,
      'where what each becomes stands',
    ),
    'normalizer.replacement_text': bytes('replacement_text', normalizer.replacementText, 'UTF-8'),
    'normalizer.planes': halfwords('planes', classes.planes, 'first run of each plane'),
    'normalizer.run_starts': halfwords(
      'run_starts',
      classes.runStarts,
      'low 16 bits of the first code point of a run',
    ),
    'normalizer.run_classes': bytes('run_classes', classes.runClasses, 'class of each run'),
    trie: bytes('trie', trie.stream, `pieces, of ${compiled.idOrder.length} tokens`),
    codes: halfwords(
      'codes',
      trie.codes,
      'shape << 12 | offset of the label, per byte of the trie',
    ),
    labels: bytes('labels', trie.labels, 'UTF-8'),
    scores: words('scores', compiled.scores, `${compiled.scoreBits} bits each`),
    byte_tokens: bytesOf && halfwords('byte_tokens', bytesOf, 'the token of each byte'),
    ...framingArrays(compiled),
  };
}

export function unigramConstants(compiled: CompiledUnigram): readonly TokenizerConstant[] {
  const arrays = Object.values(arraysOf(compiled)).filter((array) => array !== null);
  return [...arrays, ...normalFormConstants(compiled.normalForm)];
}

/** kernels/c/unigram.h: lm_unigram_prefix. */
const prefixCodes = { always: 0, first: 1, never: 2 } as const satisfies Record<
  WordRule['prefix'],
  number
>;

/** The numbers, in the order of the fields of kernels/assemblyscript/unigram.ts. */
function numbersOf(compiled: CompiledUnigram): Readonly<Record<string, number>> {
  const { normalizer, tokenizer } = compiled;
  const { words: rule, frame } = tokenizer;
  const [, rulesOffset, sequencesOffset] = normalizer.trie.offsets;
  const [, rulesFirst, sequencesFirst] = normalizer.trie.firstNumbers;
  return {
    'normalizer.rules_offset': rulesOffset!,
    'normalizer.sequences_offset': sequencesOffset!,
    'normalizer.rules_first': rulesFirst!,
    'normalizer.sequences_first': sequencesFirst!,
    'normalizer.has_rules': Number(normalizer.hasRules),
    'normalizer.strips_right': Number(tokenizer.normalizer.stripsRight),
    'normalizer.collapses_spaces': Number(tokenizer.normalizer.collapsesSpaces),
    ...framingNumbers(compiled.specialLead, frame),
    score_base: compiled.scoreBase,
    unknown_score: compiled.unknownScore,
    unknown: compiled.unknown,
    score_bits: compiled.scoreBits,
    prefix: prefixCodes[rule.prefix],
    splits_at_white_space: Number(rule.splitsAtWhitespace),
    splits_at_marks: Number(rule.splitsAtMarks),
  };
}

export function unigramFields(compiled: CompiledUnigram): readonly TokenizerField[] {
  return structFields({
    ...pointersTo(arraysOf(compiled)),
    ...numbersOf(compiled),
    ...normalFormFields(compiled.normalForm),
  });
}

/** The fields of kernels/assemblyscript/unigram.ts, but for the window. */
export function unigramWords(
  compiled: CompiledUnigram,
  addressOf: (constant: TokenizerConstant) => number,
): readonly number[] {
  const addresses = addressesOf(arraysOf(compiled), addressOf);
  const form = normalFormAddress(compiled.normalForm, addressOf);
  return [...addresses, ...Object.values(numbersOf(compiled)), form];
}
