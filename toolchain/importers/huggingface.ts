/** A Hugging Face BERT folder (config.json, safetensors, tokenizer files) to a float graph. */
import { z } from 'zod';
import { type Lm2mcuError, userError } from '../errors.ts';
import { type GraphBuilder, graphBuilder } from '../ir/build.ts';
import type { Graph } from '../ir/graph.ts';
import { type ActivationKind, mostInputs } from '../ops/linear.ts';
import { parseTokenizer, type Tokenizer } from '../tokenizer/parse.ts';
import { readCheckpoint } from './checkpoint.ts';
import {
  checkTextSize,
  type ModelFiles,
  parseJsonFile,
  quote,
  recordReads,
  shorten,
} from './files.ts';
import { type WeightLoader, weightLoader } from './weights.ts';

export type Pooling = 'cls' | 'mean';

export interface ImportOptions {
  /** How an embedding model makes one vector of its rows, where the folder does not say. */
  readonly pooling?: Pooling;
  /** The model's name; without it the folder's. */
  readonly name?: string;
}

/** Also what `graph.bin` is read back with. */
export const modelCardSchema = z.strictObject({
  name: z.string(),
  kind: z.enum(['classification', 'token-classification', 'embedding']),
  /** By class; null for an embedding. */
  labels: z.array(z.string()).readonly().nullable(),
  /** How logits become scores: over all classes, class by class, or not at all (regression). */
  scores: z.enum(['softmax', 'sigmoid', 'none']),
  /** How an embedding is made of its rows; null for other heads. */
  pooling: z.enum(['cls', 'mean']).nullable(),
  maxPositions: z.number(),
  /** Weights read, before any optimization. */
  parameters: z.number(),
  /** Over the names and bytes of the files read. */
  sha256: z.string(),
  vocabularySize: z.number(),
});
export type ModelCard = Readonly<z.infer<typeof modelCardSchema>>;
export type ModelKind = ModelCard['kind'];

export interface ImportedModel {
  readonly graph: Graph<'float'>;
  readonly tokenizer: Tokenizer;
  readonly card: ModelCard;
  /** What the user should know about the import, a sentence each. */
  readonly notes: readonly string[];
}

export function importHuggingFace(
  modelFiles: ModelFiles,
  defaultName: string,
  options: ImportOptions = {},
): ImportedModel {
  const files = recordReads(modelFiles);
  const config = parseConfig(requireFile(files, 'config.json'));
  // First of all: another model's tokenizer or weights would give a less telling error.
  checkSupported(config);
  const tokenizer = readTokenizer(files);
  const weights = weightLoader(readCheckpoint(files));
  const architecture = supportedArchitecture(
    config.architectures?.[0] ?? inferArchitecture(weights),
  );
  const name = options.name ?? defaultName;
  const notes: string[] = [];
  const vocabulary = vocabularyRows(config, tokenizer, notes);
  const builder = graphBuilder(name);
  const encoded = buildEncoder(builder, weights, config, vocabulary);
  const head = buildHead(builder, weights, config, architecture, encoded, () =>
    poolingOf(files, options, notes),
  );
  weights.finish(architecture);
  return {
    graph: builder.finish([head.output]),
    tokenizer,
    card: {
      name,
      kind: architectures[architecture],
      labels: head.labels,
      scores: scoresOf(config, head.labels),
      pooling: head.pooling,
      maxPositions: config.max_position_embeddings,
      parameters: weights.parameters(),
      sha256: files.sha256(),
      vocabularySize: vocabulary,
    },
    notes,
  };
}

function requireFile(files: ModelFiles, name: string): Uint8Array {
  const bytes = files.read(name);
  if (bytes !== undefined) return bytes;
  throw userError({
    code: 'missing-file',
    message: `the model has no ${name}`,
    where: name,
    hint: `Put ${name} beside the weights, as transformers’ save_pretrained writes it.`,
  });
}

const dimension = z.number().int().min(1).max(0xff_ffff);

const configSchema = z.object({
  model_type: z.string().nullish(),
  architectures: z.array(z.string()).nullish(),
  hidden_size: dimension.max(mostInputs),
  num_attention_heads: dimension,
  num_hidden_layers: dimension.max(1024),
  intermediate_size: dimension.max(mostInputs),
  vocab_size: dimension,
  max_position_embeddings: dimension,
  type_vocab_size: dimension.default(2),
  hidden_act: z.string().default('gelu'),
  layer_norm_eps: z.number().nonnegative().max(1).default(1e-12),
  position_embedding_type: z.string().nullish(),
  is_decoder: z.boolean().nullish(),
  id2label: z.record(z.string(), z.string()).nullish(),
  problem_type: z.string().nullish(),
});
type Config = z.infer<typeof configSchema>;

function parseConfig(bytes: Uint8Array): Config {
  return parseJsonFile(configSchema, bytes, 'config.json');
}

const architectures = {
  BertForSequenceClassification: 'classification',
  BertForTokenClassification: 'token-classification',
  BertModel: 'embedding',
} as const satisfies Record<string, ModelKind>;
type Architecture = keyof typeof architectures;

const activations: Readonly<Record<string, ActivationKind>> = {
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  relu: 'relu',
};

function supportedArchitecture(named: string): Architecture {
  if (Object.hasOwn(architectures, named)) return named as Architecture;
  throw unsupported(
    `the architecture ${quote(named)} is not supported`,
    `Supported are ${Object.keys(architectures).join(', ')}.`,
  );
}

/** Old folders name no class; the head's tensors tell it. */
function inferArchitecture(weights: WeightLoader): string {
  if (weights.has('cls.predictions.bias')) return 'BertForMaskedLM';
  if (!weights.has('classifier.weight')) return 'BertModel';
  return weights.has('pooler.dense.weight')
    ? 'BertForSequenceClassification'
    : 'BertForTokenClassification';
}

function checkSupported(config: Config): void {
  const { model_type, hidden_act, hidden_size, num_attention_heads } = config;
  const [named] = config.architectures ?? [];
  if (named !== undefined) supportedArchitecture(named);
  const type = model_type ?? 'bert';
  if (type !== 'bert') {
    throw unsupported(`the model type ${quote(type)} is not supported`, 'Supported is bert.');
  }
  const positions = config.position_embedding_type ?? 'absolute';
  if (positions !== 'absolute') {
    throw unsupported(
      `position_embedding_type ${quote(positions)} is not supported`,
      'Supported is absolute.',
    );
  }
  if (config.is_decoder === true) {
    throw unsupported('is_decoder is true', 'Supported are encoders: every token sees all others.');
  }
  if (!Object.hasOwn(activations, hidden_act)) {
    throw unsupported(
      `hidden_act ${quote(hidden_act)} is not supported`,
      `Supported are ${Object.keys(activations).join(', ')}.`,
    );
  }
  if (hidden_size % num_attention_heads !== 0) {
    throw userError({
      code: 'bad-config',
      message: `hidden_size ${hidden_size} is no multiple of num_attention_heads ${num_attention_heads}`,
      where: 'config.json',
      hint: 'Take the config.json that was saved with these weights.',
    });
  }
}

function unsupported(message: string, hint: string): Lm2mcuError {
  return userError({ code: 'unsupported-model', message, where: 'config.json', hint });
}

function readTokenizer(files: ModelFiles): Tokenizer {
  const json = (name: string): unknown => {
    const bytes = files.read(name);
    return bytes === undefined ? undefined : parseJsonFile(z.unknown(), bytes, name);
  };
  const vocabTxt = files.read('vocab.txt');
  if (vocabTxt !== undefined) checkTextSize(vocabTxt, 'vocab.txt');
  return parseTokenizer({
    vocabTxt,
    tokenizerConfig: json('tokenizer_config.json'),
    tokenizerJson: vocabTxt === undefined ? json('tokenizer.json') : undefined,
  });
}

/** Word tables are padded to a multiple of this, or of a power of two up to `maxPadding`. */
const paddingUnit = 8;
const maxPadding = 128;

/** Rows of the word table that a token can reach; the rest is padding and is left out. */
function vocabularyRows(config: Config, tokenizer: Tokenizer, notes: string[]): number {
  const rows = config.vocab_size;
  const words = tokenizer.vocabulary.length;
  const surplus = rows - words;
  if (surplus === 0) return rows;
  if (surplus > 0 && surplus < maxPadding && rows % paddingUnit === 0) {
    notes.push(
      `The word table has ${surplus} rows more than the vocabulary (padding); they are left out.`,
    );
    return words;
  }
  throw userError({
    code: 'vocabulary-mismatch',
    message: `the tokenizer has ${words} tokens, the word table ${rows} rows`,
    where: 'config.json, vocab_size',
    hint:
      surplus > 0
        ? `Tokens seem to be missing. Only padding is left out: fewer than ${maxPadding} rows, to a multiple of ${paddingUnit}.`
        : 'Take the vocabulary the model was trained with; some of its tokens have no embedding.',
  });
}

function constant(
  builder: GraphBuilder,
  weights: WeightLoader,
  name: string,
  [rows, columns]: readonly [number, number],
): string {
  return builder.constant(name, [rows, columns], weights.load(name, [rows, columns]));
}

/** A vector becomes a matrix of one row. */
function vector(builder: GraphBuilder, weights: WeightLoader, name: string, width: number): string {
  return builder.constant(name, [1, width], weights.load(name, [width]));
}

function buildEncoder(
  builder: GraphBuilder,
  weights: WeightLoader,
  config: Config,
  vocabulary: number,
): string {
  const { hidden_size: width, layer_norm_eps: epsilon } = config;
  const table = (name: string, rows: number, keep: number): string => {
    const values = weights.load(`${name}.weight`, [rows, width]);
    return builder.constant(`${name}.weight`, [keep, width], values.subarray(0, keep * width));
  };
  const linear = (name: string, x: string, outputs: number, inputs: number): string =>
    buildLinear(builder, weights, name, x, outputs, inputs);
  const norm = (name: string, x: string): string => {
    const gamma = vector(builder, weights, `${name}.weight`, width);
    const beta = vector(builder, weights, `${name}.bias`, width);
    return builder.node('layerNorm', name, [x, gamma, beta], { epsilon });
  };

  const tokenIds = builder.input('tokenIds', 'int32', ['tokens', 1]);
  const segmentStart = builder.input('segmentStart', 'int32', [1, 1]);
  const word = table('embeddings.word_embeddings', config.vocab_size, vocabulary);
  const positions = config.max_position_embeddings;
  const position = table('embeddings.position_embeddings', positions, positions);
  const segments = config.type_vocab_size;
  // A sentence pair has two segments; `embed` takes the last row for the second.
  const segment = table('embeddings.token_type_embeddings', segments, Math.min(segments, 2));
  const words = builder.node('lookupRows', 'embeddings.word_embeddings', [tokenIds, word], {
    index: 'token',
  });
  let x = builder.node('embed', 'embeddings', [words, position, segmentStart, segment], {});
  x = norm('embeddings.LayerNorm', x);

  const heads = config.num_attention_heads;
  const scale = 1 / Math.sqrt(width / heads);
  const middle = config.intermediate_size;
  const kind = activations[config.hidden_act]!;
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `encoder.layer.${layer}`;
    const attention = `${prefix}.attention`;
    const [q, k, v] = ['query', 'key', 'value'].map((part) =>
      linear(`${attention}.self.${part}`, x, width, width),
    ) as [string, string, string];
    const mixed = builder.node('attention', `${attention}.self`, [q, k, v], {
      heads,
      scale,
      causal: false,
    });
    const projected = linear(`${attention}.output.dense`, mixed, width, width);
    const joined = builder.node('add', `${attention}.output.add`, [projected, x], {});
    const attended = norm(`${attention}.output.LayerNorm`, joined);
    const wide = linear(`${prefix}.intermediate.dense`, attended, middle, width);
    const activationName = `${prefix}.intermediate.intermediate_act_fn`;
    const active = builder.node('activation', activationName, [wide], { kind });
    const narrow = linear(`${prefix}.output.dense`, active, width, middle);
    const sum = builder.node('add', `${prefix}.output.add`, [narrow, attended], {});
    x = norm(`${prefix}.output.LayerNorm`, sum);
  }
  return x;
}

function buildLinear(
  builder: GraphBuilder,
  weights: WeightLoader,
  name: string,
  x: string,
  outputs: number,
  inputs: number,
): string {
  const weight = constant(builder, weights, `${name}.weight`, [outputs, inputs]);
  const bias = vector(builder, weights, `${name}.bias`, outputs);
  return builder.node('linear', name, [x, weight, bias], {});
}

interface Head {
  readonly output: string;
  readonly labels: readonly string[] | null;
  readonly pooling: Pooling | null;
}

function buildHead(
  builder: GraphBuilder,
  weights: WeightLoader,
  config: Config,
  architecture: Architecture,
  x: string,
  pooling: () => Pooling,
): Head {
  const width = config.hidden_size;
  const classify = (rows: string): Head => {
    const labels = labelsOf(config, weights);
    const output = buildLinear(builder, weights, 'classifier', rows, labels.length, width);
    return { output, labels, pooling: null };
  };
  switch (architecture) {
    case 'BertForSequenceClassification': {
      const first = builder.node('selectRow', 'pooler.first', [x], { which: 'first' });
      const dense = buildLinear(builder, weights, 'pooler.dense', first, width, width);
      const pooled = builder.node('activation', 'pooler.activation', [dense], { kind: 'tanh' });
      return classify(pooled);
    }
    case 'BertForTokenClassification':
      return classify(x);
    case 'BertModel': {
      const chosen = pooling();
      const output =
        chosen === 'cls'
          ? builder.node('selectRow', 'pooling', [x], { which: 'first' })
          : builder.node('meanRows', 'pooling', [x], {});
      return { output, labels: null, pooling: chosen };
    }
  }
}

const maxLabels = 4096;

/** `id2label` numbers its labels 0, 1, …; where it is missing transformers calls them LABEL_i. */
function labelsOf({ id2label }: Config, weights: WeightLoader): readonly string[] {
  const count =
    id2label == null ? (weights.rowsOf('classifier.weight') ?? 2) : Object.keys(id2label).length;
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

function scoresOf({ problem_type }: Config, labels: readonly string[] | null): ModelCard['scores'] {
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
function poolingOf(files: ModelFiles, options: ImportOptions, notes: string[]): Pooling {
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
