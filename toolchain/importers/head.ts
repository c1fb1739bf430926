/** What stands behind the encoder, as config.json and sentence-transformers' files say it. */
import { z } from 'zod';
import { userError } from '../errors.ts';
import { type ModelFiles, parseJsonFile, quote, shorten } from './files.ts';
import type { ImportOptions, ModelCard, Pooling } from './model-card.ts';

/** The fields of config.json that are about labels. */
export const headFields = {
  id2label: z.record(z.string(), z.string()).nullish(),
  problem_type: z.string().nullish(),
};
export type HeadConfig = z.infer<z.ZodObject<typeof headFields>>;

/** Columns of a model that marks an answer in a text, a logit each for every token. */
export const answerLabels = ['start', 'end'] as const;

const maxLabels = 4096;

/** `id2label` numbers its labels 0, 1, …; where it is missing transformers calls them LABEL_i. */
export function labelsOf({ id2label }: HeadConfig, outputs: number | undefined): readonly string[] {
  const count = id2label == null ? (outputs ?? 2) : Object.keys(id2label).length;
  if (count < 1 || count > maxLabels) {
    throw userError({
      code: 'bad-config',
      message: `the classifier has ${count} labels; there can be 1 to ${maxLabels}`,
      where: 'config.json, id2label',
      hint: 'Take the config.json that was saved with these weights.',
    });
  }
  const labels = Array.from({ length: count }, (_, index) => {
    if (id2label == null) return `LABEL_${index}`;
    if (Object.hasOwn(id2label, String(index))) return id2label[String(index)]!;
    throw userError({
      code: 'bad-config',
      message: `id2label has ${count} labels but none for class ${index}`,
      where: 'config.json, id2label',
      hint: 'Its keys are the class numbers from 0, without a gap.',
    });
  });
  checkDistinct(labels);
  return labels;
}

/** Answers name their class by its label. */
function checkDistinct(labels: readonly string[]): void {
  const again = labels.findIndex((label, index) => labels.indexOf(label) < index);
  if (again < 0) return;
  const label = labels[again]!;
  throw userError({
    code: 'bad-config',
    message: `id2label calls both class ${labels.indexOf(label)} and class ${again} ${quote(label)}`,
    where: 'config.json, id2label',
    hint: 'Give each class a label of its own.',
  });
}

export function scoresOf(
  { problem_type }: HeadConfig,
  labels: readonly string[] | null,
): ModelCard['scores'] {
  if (labels === null || labels.length === 1 || problem_type === 'regression') return 'none';
  return problem_type === 'multi_label_classification' ? 'sigmoid' : 'softmax';
}

const flag = z.boolean().nullish();
const poolingSchema = z.object({
  pooling_mode: z.string().nullish(),
  pooling_mode_cls_token: flag,
  pooling_mode_mean_tokens: flag,
  pooling_mode_max_tokens: flag,
  pooling_mode_mean_sqrt_len_tokens: flag,
  pooling_mode_weightedmean_tokens: flag,
  pooling_mode_lasttoken: flag,
});
const modulesSchema = z.array(z.object({ type: z.string() }));

const poolingFile = '1_Pooling/config.json';

/** What sentence-transformers says, else the option, else the mean. */
export function poolingOf(files: ModelFiles, options: ImportOptions, notes: string[]): Pooling {
  checkModules(files, notes);
  const bytes = files.read(poolingFile);
  if (bytes === undefined) return options.pooling ?? 'mean';
  const { pooling_mode, ...flags } = parseJsonFile(poolingSchema, bytes, poolingFile);
  const modes = Object.entries(flags).flatMap(([mode, on]) => (on === true ? [mode] : []));
  if (pooling_mode != null) modes.push(`pooling_mode_${pooling_mode}`);
  const [mode] = modes;
  if (modes.length === 1 && /_cls(_token)?$/.test(mode!)) return 'cls';
  if (modes.length === 1 && /_mean(_tokens)?$/.test(mode!)) return 'mean';
  throw userError({
    code: 'unsupported-model',
    message: `the pooling ${shorten(modes.join(' + ')) || '(none)'} is not supported`,
    where: poolingFile,
    hint: 'Supported are pooling_mode_cls_token and pooling_mode_mean_tokens, one of them.',
  });
}

function checkModules(files: ModelFiles, notes: string[]): void {
  const bytes = files.read('modules.json');
  if (bytes === undefined) return;
  const types = parseJsonFile(modulesSchema, bytes, 'modules.json').map(({ type }) =>
    type.slice(type.lastIndexOf('.') + 1),
  );
  const other = types.find((type) => !['Transformer', 'Pooling', 'Normalize'].includes(type));
  if (other !== undefined) {
    throw userError({
      code: 'unsupported-model',
      message: `the sentence-transformers module ${quote(other)} is not supported`,
      where: 'modules.json',
      hint: 'Supported are Transformer, Pooling and Normalize.',
    });
  }
  if (types.includes('Normalize')) {
    notes.push('Embeddings are not scaled to length 1; compare them by their cosine.');
  }
}
