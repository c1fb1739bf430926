/** Every character through the basic tokenizer, against the oracle's normalizer and pre-tokenizer. */
import { bertNormalizer, bertPreTokenizer } from 'tokenizers';
import { describe, expect, test } from 'vitest';
import { characterAction, splitWords } from '../../toolchain/tokenizer/characters.ts';
import { allSettings, everyCharacter, makeRandom, randomText } from './samples.ts';

describe.each(allSettings)('words as the oracle has them, %o', (settings) => {
  const rules = {
    lowercase: settings.do_lower_case,
    stripAccents: settings.strip_accents ?? settings.do_lower_case,
    tokenizeChinese: settings.tokenize_chinese_chars,
  };
  const normalizer = bertNormalizer({
    cleanText: true,
    handleChineseChars: rules.tokenizeChinese,
    stripAccents: rules.stripAccents,
    lowercase: rules.lowercase,
  });
  const preTokenizer = bertPreTokenizer();

  function oracleWords(text: string): string[] {
    const normalized = normalizer.normalizeString(text);
    return preTokenizer.preTokenizeString(normalized).map(([word]) => word);
  }

  function ourWords(text: string): string[] {
    const words = splitWords(text, rules, (codePoint) => characterAction(codePoint, rules));
    return words.map((word) => String.fromCodePoint(...word));
  }

  const maps = settings === allSettings[0] || settings === allSettings[2];
  test.runIf(maps)('every code point, alone and between letters', () => {
    for (const text of everyCharacter()) {
      if (ourWords(text).join(' ') === oracleWords(text).join(' ')) continue;
      expect(ourWords(text)).toEqual(oracleWords(text));
    }
  });

  test('random texts: the order of marks', () => {
    const random = makeRandom(7);
    for (let i = 0; i < 20_000; i++) {
      const text = randomText(random);
      if (ourWords(text).join(' ') === oracleWords(text).join(' ')) continue;
      expect(ourWords(text)).toEqual(oracleWords(text));
    }
  });
});
