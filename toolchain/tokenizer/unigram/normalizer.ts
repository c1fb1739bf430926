/** The normalizer and the pre-tokenizer of `tokenizer.json`, to a `Normalizer` and a `WordRule`. */
import { z } from 'zod';
import type { NormalFormName } from '../normal-form.ts';
import { badFile, parseJson, unsupported } from '../special-tokens.ts';
import { wordMark } from '../word-mark.ts';
import { parseCharsmap } from './charsmap.ts';
import type { Normalizer, WordRule } from './tokenizer.ts';

const file = 'tokenizer.json';

const stageSchema = z.looseObject({ type: z.string() });
type Stage = z.infer<typeof stageSchema>;

/** A sequence that has no list is none. */
const oneStage = stageSchema.refine(({ type }) => type !== 'Sequence', 'a Sequence needs its list');

export const normalizerSchema = z
  .union([z.object({ type: z.literal('Sequence'), normalizers: z.array(stageSchema) }), oneStage])
  .nullish();

export const preTokenizerSchema = z
  .union([z.object({ type: z.literal('Sequence'), pretokenizers: z.array(stageSchema) }), oneStage])
  .nullish();

const replaceSchema = z.object({
  pattern: z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]),
  content: z.string(),
});
const stripSchema = z.object({ strip_left: z.boolean(), strip_right: z.boolean() });
const precompiledSchema = z.object({ precompiled_charsmap: z.string() });
const metaspaceSchema = z.object({
  replacement: z.string(),
  add_prefix_space: z.boolean().default(true),
  prepend_scheme: z.enum(['always', 'first', 'never']).optional(),
  split: z.boolean().default(true),
});

const nothing: Steps = {
  pairs: [],
  form: null,
  cleansText: false,
  normalForm: null,
  decomposes: false,
  stripsMarks: false,
  lowercases: false,
  rules: [],
  stripsRight: false,
  collapsesSpaces: false,
};

/** The normal form by its name, until all stages are known. */
type Steps = Normalizer & { readonly form: NormalFormName | null };

/** What a stage adds to the normalizer, and the order in which stages must come. */
interface StageEffect {
  readonly order: number;
  readonly part: (before: Steps) => Partial<Steps>;
}

export function normalizerOf(json: z.infer<typeof normalizerSchema>): Normalizer {
  let normalizer: Steps = nothing;
  let order = 0;
  for (const [index, stage] of stagesOf(json, 'normalizers').entries()) {
    const place = json?.type === 'Sequence' ? `normalizer.normalizers.${index}` : 'normalizer';
    const effect = effectOf(stage, place);
    if (effect.order < order) throw strange(`${stage.type} after a later step`);
    order = effect.order;
    normalizer = { ...normalizer, ...effect.part(normalizer) };
  }
  return withForm(normalizer);
}

/** What loses its marks needs no order of them: it is decomposed character by character. */
function withForm({ form, ...normalizer }: Steps): Normalizer {
  const { cleansText, stripsMarks, pairs } = normalizer;
  if (form === null) return normalizer;
  if (form === 'NFKD' && stripsMarks) return { ...normalizer, decomposes: true };
  if (pairs.length > 0) throw strange(`${form} after Replace`);
  return { ...normalizer, normalForm: { name: form, cleansText }, cleansText: false };
}

function stagesOf(json: Stage | null | undefined, list: string): readonly Stage[] {
  if (json == null) return [];
  return json.type === 'Sequence' ? (json[list] as readonly Stage[]) : [json];
}

function effectOf(stage: Stage, place: string): StageEffect {
  switch (stage.type) {
    case 'Replace':
      return replaceEffect(parseJson(replaceSchema, stage, file));
    case 'Nmt':
      return { order: 2, part: () => ({ cleansText: true }) };
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return formEffect(stage.type);
    case 'StripAccents':
      return { order: 4, part: () => ({ stripsMarks: true }) };
    case 'Lowercase':
      return { order: 5, part: () => ({ lowercases: true }) };
    case 'Precompiled': {
      const { precompiled_charsmap } = parseJson(precompiledSchema, stage, file);
      const rules = parseCharsmap(precompiled_charsmap, place);
      return {
        order: 6,
        part: (before) => {
          if (before.rules.length > 0) throw strange('Precompiled twice');
          return { rules };
        },
      };
    }
    case 'Strip': {
      const { strip_left, strip_right } = parseJson(stripSchema, stage, file);
      if (strip_left || !strip_right) throw strange('Strip, of the beginning of texts');
      return { order: 7, part: () => ({ stripsRight: true }) };
    }
    default:
      throw strange(stage.type);
  }
}

function formEffect(form: NormalFormName): StageEffect {
  return {
    order: 3,
    part: (before) => {
      if (before.form !== null) throw strange(`${form} after ${before.form}`);
      return { form };
    },
  };
}

function replaceEffect({ pattern, content }: z.infer<typeof replaceSchema>): StageEffect {
  if ('Regex' in pattern) {
    const isCollapse = pattern.Regex === ' {2,}' && [' ', wordMark].includes(content);
    if (!isCollapse) throw strange(`Replace, of the expression ${pattern.Regex}`);
    return { order: 8, part: () => ({ collapsesSpaces: true }) };
  }
  const { String: from } = pattern;
  const isPair = /^[!-~]{2}$/.test(from) && /^[!-~]$/.test(content);
  if (!isPair) throw strange(`Replace, of ${JSON.stringify(from)}`);
  return {
    order: 1,
    part: ({ pairs }) => {
      // One pass over the text does what the stages do one after the other.
      const known = pairs.map((pair) => pair.from + pair.to).join('');
      if (Array.from(from + content).some((char) => known.includes(char) && char !== content)) {
        throw strange(`Replace, of ${JSON.stringify(from)} after others that it meets`);
      }
      return { pairs: [...pairs, { from, to: content }] };
    },
  };
}

export function wordRuleOf(json: z.infer<typeof preTokenizerSchema>): WordRule {
  const stages = stagesOf(json, 'pretokenizers');
  const splitsAtWhitespace = stages[0]?.type === 'WhitespaceSplit';
  const [metaspace, ...others] = splitsAtWhitespace ? stages.slice(1) : stages;
  if (metaspace?.type !== 'Metaspace' || others.length > 0) {
    const names = stages.map(({ type }) => type).join(', ');
    throw unsupported(file, `the pre-tokenizer is ${names === '' ? 'none' : names}`);
  }
  const { replacement, add_prefix_space, prepend_scheme, split } = parseJson(
    metaspaceSchema,
    metaspace,
    file,
  );
  if (replacement !== wordMark) {
    throw badFile(file, `pre_tokenizer: ${JSON.stringify(replacement)} stands for a space`);
  }
  const prefix = prepend_scheme ?? (add_prefix_space ? 'always' : 'never');
  if (splitsAtWhitespace && prefix === 'first') {
    throw unsupported(
      file,
      'the pre-tokenizer splits at white space and marks the first word only',
    );
  }
  return { splitsAtWhitespace, splitsAtMarks: split, prefix };
}

function strange(what: string) {
  return unsupported(file, `the normalizer is ${what}`);
}
