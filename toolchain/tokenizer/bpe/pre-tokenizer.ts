/** How `tokenizer.json` says that texts are split, to a `SplitRule`. */
import { z } from 'zod';
import { unsupported } from '../special-tokens.ts';
import type { BpeTokenizer, SplitRule } from './tokenizer.ts';

const stage = z.looseObject({ type: z.string() });
type Stage = z.infer<typeof stage>;

export const splitSchema = z
  .union([z.object({ type: z.literal('Sequence'), pretokenizers: z.array(stage) }), stage])
  .nullish();

const byteLevel = z.object({
  type: z.literal('ByteLevel'),
  add_prefix_space: z.boolean().default(true),
  use_regex: z.boolean().default(true),
});
const digits = z.object({ type: z.literal('Digits'), individual_digits: z.literal(true) });
const split = z.object({
  type: z.literal('Split'),
  pattern: z.object({ Regex: z.string() }),
  behavior: z.string(),
  invert: z.boolean().default(false),
});

type WordRule = Pick<SplitRule, 'words' | 'mostDigits'>;

const gpt2: WordRule = { words: 'gpt2', mostDigits: 0 };

/** The regular expressions that are known, as files have them. */
const patterns: ReadonlyMap<string, WordRule> = new Map([
  [
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    gpt2,
  ] as const,
  [
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    gpt2,
  ] as const,
  ...[1, 3].map((most) => {
    const number = most === 1 ? '\\p{N}' : `\\p{N}{1,${most}}`;
    const pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${number}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
    return [pattern, { words: 'cl100k', mostDigits: most }] as const;
  }),
]);

export function splitRuleOf(
  preTokenizer: z.infer<typeof splitSchema>,
): Pick<BpeTokenizer, 'split' | 'prefix' | 'marksSpaces'> {
  const stages = stagesOf(preTokenizer);
  const last = byteLevel.safeParse(stages.at(-1));
  if (!last.success) throw unknownSplit(preTokenizer?.type ?? 'none');
  const isolatesDigits = digits.safeParse(stages[0]).success;
  const middle = stages.slice(isolatesDigits ? 1 : 0, -1);
  const { add_prefix_space: addPrefixSpace, use_regex } = last.data;
  const rules = [...middle.map(patternOf), ...(use_regex ? [gpt2] : [])];
  if (rules.length > 1) throw unknownSplit('a Sequence that splits several times');
  const isSplitBefore = isolatesDigits || middle.length > 0;
  if (addPrefixSpace && isSplitBefore) throw unknownSplit('ByteLevel, with a space for each part');
  const rule: WordRule = rules[0] ?? { words: 'none', mostDigits: 0 };
  if (isolatesDigits && rule.words === 'none') throw unknownSplit('Digits alone');
  return {
    split: { ...rule, isolatesDigits },
    prefix: addPrefixSpace ? 'missing' : 'never',
    marksSpaces: false,
  };
}

function stagesOf(preTokenizer: z.infer<typeof splitSchema>): readonly Stage[] {
  if (preTokenizer == null) return [];
  return 'pretokenizers' in preTokenizer && Array.isArray(preTokenizer.pretokenizers)
    ? preTokenizer.pretokenizers
    : [preTokenizer];
}

function patternOf(stage: Stage): WordRule {
  const parsed = split.safeParse(stage);
  if (!parsed.success) throw unknownSplit(stage.type);
  const { pattern, behavior, invert } = parsed.data;
  const rule = patterns.get(pattern.Regex);
  if (rule === undefined) throw unknownSplit(`the regular expression ${pattern.Regex}`);
  // The pattern matches every character: what lies between matches is never there.
  const isEveryMatch = invert ? behavior === 'Removed' : behavior === 'Isolated';
  if (!isEveryMatch) throw unknownSplit(`Split with ${behavior}`);
  return rule;
}

function unknownSplit(what: string) {
  return unsupported('tokenizer.json', `the pre-tokenizer is ${what}`);
}
