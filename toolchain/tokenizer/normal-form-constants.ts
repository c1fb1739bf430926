/** A compiled normal form as named C constants, `lm_normal_form` of kernels/c/normal_form.h. */
import type { CompiledNormalForm } from './compile-normal-form.ts';
import {
  addressesOf,
  bytes,
  halfwords,
  pointersTo,
  type TokenizerConstant,
  words,
} from './constant-types.ts';

/** In the order of the fields of kernels/assemblyscript/normal_reader.ts. */
function arraysOf(form: CompiledNormalForm) {
  return {
    planes: halfwords('form_planes', form.planes, 'first run of each plane'),
    run_starts: halfwords(
      'form_run_starts',
      form.runStarts,
      'low 16 bits of the first code point of a run',
    ),
    run_values: halfwords('form_run_values', form.runValues, 'class or row of each run'),
    rows: halfwords('form_rows', form.rows, 'what characters are decomposed into'),
    tail_of: bytes('form_tail_of', form.tailOf, 'the second character of each pair'),
    tails: words('form_tails', form.tails, 'second characters'),
    text: bytes('form_text', form.text, 'UTF-8'),
    composites: halfwords('form_composites', form.composites, 'characters that two become'),
    groups: halfwords('form_groups', form.groups, 'by their second characters'),
  } as const satisfies Readonly<Record<string, TokenizerConstant>>;
}

/** In the same order. */
function numbersOf({ firstRows, groups, composes }: CompiledNormalForm) {
  return {
    first_single: firstRows.single,
    first_stable: firstRows.stable,
    first_pair: firstRows.pair,
    first_sequence: firstRows.sequence,
    composing_tails: groups.length - 1,
    composes: Number(composes),
  };
}

export function normalFormConstants(form: CompiledNormalForm | null): readonly TokenizerConstant[] {
  return form === null ? [] : Object.values(arraysOf(form));
}

/** Fields of the tokenizer's struct: none where texts stay as they are. */
export function normalFormFields(
  form: CompiledNormalForm | null,
): Readonly<Record<string, string | number>> {
  if (form === null) return {};
  const fields = { ...pointersTo(arraysOf(form)), ...numbersOf(form) };
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [`normal_form.${name}`, value]),
  );
}

/** Where kernels/assemblyscript/normal_reader.ts finds its `NormalForm`; 0: texts stay as they are. */
export function normalFormAddress(
  form: CompiledNormalForm | null,
  addressOf: (constant: TokenizerConstant) => number,
): number {
  if (form === null) return 0;
  const fields = [...addressesOf(arraysOf(form), addressOf), ...Object.values(numbersOf(form))];
  return addressOf(words('form', Uint32Array.from(fields), 'the normal form'));
}
