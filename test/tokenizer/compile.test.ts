/** Size is behaviour: flash of the example's tokenizer, and what the emitter gets. */
import { expect, test } from 'vitest';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { tokenizerConstants, tokenizerFields } from '../../toolchain/tokenizer/constants.ts';
import { parseTokenizer } from '../../toolchain/tokenizer/parse.ts';
import { encodeLines, exampleTokenizer } from './samples.ts';

const example = exampleTokenizer();

test.skipIf(example === undefined)('bytes of 30,522 tokens', () => {
  const { sizeBytes, idOrder } = compileTokenizer(example!);
  expect(idOrder.length).toBe(30_522);
  expect(sizeBytes).toEqual({ vocabulary: 58_358, characters: 4998, specials: 48, total: 63_404 });
});

test('constants and fields for the emitter', () => {
  const vocabTxt = encodeLines(['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'a', '##b']);
  const compiled = compileTokenizer(parseTokenizer({ vocabTxt }));
  const constants = tokenizerConstants(compiled);
  const names = constants.map(({ name, ctype }) => `${ctype} ${name}`);
  expect([
    ...names,
    ...tokenizerFields(compiled).map(({ field, value }) => `${field} = ${value}`),
  ]).toMatchInlineSnapshot(`
    [
      "uint8_t lm_tokenizer_ascii",
      "uint16_t lm_tokenizer_planes",
      "uint16_t lm_tokenizer_run_starts",
      "uint8_t lm_tokenizer_run_actions",
      "int32_t lm_tokenizer_actions",
      "uint16_t lm_tokenizer_table",
      "uint32_t lm_tokenizer_sequences",
      "uint8_t lm_tokenizer_trie",
      "uint16_t lm_tokenizer_codes",
      "uint8_t lm_tokenizer_labels",
      "uint8_t lm_tokenizer_specials",
      "uint16_t lm_tokenizer_frame",
      ".characters.ascii = lm_tokenizer_ascii",
      ".characters.planes = lm_tokenizer_planes",
      ".characters.run_starts = lm_tokenizer_run_starts",
      ".characters.run_actions = lm_tokenizer_run_actions",
      ".characters.actions = lm_tokenizer_actions",
      ".characters.table = lm_tokenizer_table",
      ".characters.sequences = lm_tokenizer_sequences",
      ".trie = lm_tokenizer_trie",
      ".codes = lm_tokenizer_codes",
      ".labels = lm_tokenizer_labels",
      ".specials = lm_tokenizer_specials",
      ".frame.tokens = lm_tokenizer_frame",
      ".characters.sequence_rows = 0",
      ".continuation_offset = 1",
      ".continuation_first = 1",
      ".special_lead_min = 91",
      ".special_lead_max = 91",
      ".frame.before = 1",
      ".frame.between = 1",
      ".frame.after = 1",
      ".frame.segment_break = 1",
      ".max_word_chars = 100",
      ".unknown = 2",
    ]
  `);
  for (const { data } of constants) expect(data.length).toBeGreaterThan(0);
  const bytes = constants.reduce((sum, { data }) => sum + data.byteLength, 0);
  // Arrays that would be empty have one entry.
  expect(bytes - compiled.sizeBytes.total).toBeLessThan(8);
});
