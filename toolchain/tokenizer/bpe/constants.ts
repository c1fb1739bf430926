/** A compiled BPE tokenizer as named C constants and the `lm_bpe` that refers to them. */
import {
  addressesOf,
  bytes,
  halfwords,
  pointersTo,
  structFields,
  type TokenizerConstant,
  type TokenizerField,
} from '../constant-types.ts';
import { framingArrays, framingNumbers } from '../framing-constants.ts';
import {
  normalFormAddress,
  normalFormConstants,
  normalFormFields,
} from '../normal-form-constants.ts';
import type { CompiledBpe } from './compile.ts';
import { prefixRules, type SplitRule } from './tokenizer.ts';

/** The arrays, in the order of `lm_bpe`'s fields; null: a pointer that is NULL. */
function arraysOf({ classes, ...compiled }: CompiledBpe) {
  const tokens = compiled.idOrder.length;
  return {
    planes: halfwords('planes', classes.planes, 'first run of each plane'),
    run_starts: halfwords(
      'run_starts',
      classes.runStarts,
      'low 16 bits of the first code point of a run',
    ),
    run_classes: bytes('run_classes', classes.runClasses, 'class of each run'),
    byte_tokens: halfwords('byte_tokens', compiled.byteTokens, 'the token of each byte'),
    merges: halfwords(
      'merges',
      compiled.merges,
      `pairs that are merged, the first first: ${tokens} tokens`,
    ),
    order: halfwords('order', compiled.order, 'rows of merges, sorted by their tokens'),
    results: compiled.results && halfwords('results', compiled.results, 'what each row makes'),
    rows_of: compiled.rowsOf && halfwords('rows_of', compiled.rowsOf, 'a row for each token'),
    ...framingArrays(compiled),
  } as const satisfies Readonly<Record<string, TokenizerConstant | null>>;
}

export function bpeConstants(compiled: CompiledBpe): readonly TokenizerConstant[] {
  const arrays = Object.values(arraysOf(compiled)).filter((array) => array !== null);
  return [...arrays, ...normalFormConstants(compiled.normalForm)];
}

/** kernels/c/bpe.h: lm_bpe_words. */
const wordsCodes = { none: 0, gpt2: 1, cl100k: 2, marks: 3 } as const satisfies Record<
  SplitRule['words'],
  number
>;

/** The numbers of `lm_bpe`, in its order. */
export function bpeNumbers(compiled: CompiledBpe): Readonly<Record<string, number>> {
  const { split, prefix, marksSpaces, frame } = compiled.tokenizer;
  return {
    merge_rows: compiled.order.length,
    first_merged: compiled.firstMerged,
    merged_end: compiled.mergedEnd,
    first_part: compiled.firstPart,
    ...framingNumbers(compiled.specialLead, frame),
    words: wordsCodes[split.words],
    most_digits: split.mostDigits,
    isolates_digits: Number(split.isolatesDigits),
    prefix: prefixRules.indexOf(prefix),
    marks_spaces: Number(marksSpaces),
  };
}

export function bpeFields(compiled: CompiledBpe): readonly TokenizerField[] {
  return structFields({
    ...pointersTo(arraysOf(compiled)),
    ...bpeNumbers(compiled),
    ...normalFormFields(compiled.normalForm),
  });
}

/**
 * The fields of kernels/assemblyscript/bpe.ts, but for the window; `addressOf`: where a constant lies.
 */
export function bpeWords(
  compiled: CompiledBpe,
  addressOf: (constant: TokenizerConstant) => number,
): readonly number[] {
  const addresses = addressesOf(arraysOf(compiled), addressOf);
  const form = normalFormAddress(compiled.normalForm, addressOf);
  return [...addresses, ...Object.values(bpeNumbers(compiled)), form];
}
