/**
 * A Hugging Face folder of ModernBERT to a float graph: an encoder with a residual stream that layers
 * normalize for themselves, rotary positions, gated feed-forward layers, and layers whose tokens see
 * only their neighbours.
 */
import { type GraphBuilder, graphBuilder } from '../ir/build.ts';
import { readCheckpoint } from './checkpoint.ts';
import { unsupported } from './config.ts';
import type { LinearWeights, NormWeights } from './decoder-weights.ts';
import { type ModelFiles, quote, recordReads } from './files.ts';
import { answerLabels, labelsOf, poolingOf, scoresOf } from './head.ts';
import { type Makers, makersOf } from './makers.ts';
import {
  type ImportedModel,
  type ImportOptions,
  type ModelCard,
  type ModelKind,
  type Pooling,
  totalOf,
} from './model-card.ts';
import {
  type ModernBertConfig,
  type ModernBertLayer,
  parseModernBertConfig,
} from './modernbert-config.ts';
import { ropeTable, sideBySide } from './rotary.ts';
import { readTokenizer } from './tokenizer-files.ts';
import { vocabularyRows } from './vocabulary.ts';
import { type WeightLoader, weightLoader } from './weights.ts';

/** By class of transformers; answers are marked by a start and an end logit for each token. */
const heads: Readonly<Record<string, Exclude<ModelKind, 'generation'> | 'answers'>> = {
  ModernBertForSequenceClassification: 'classification',
  ModernBertForTokenClassification: 'token-classification',
  ModernBertForQuestionAnswering: 'answers',
  ModernBertModel: 'embedding',
};

/** Of a head that is stored but not used. */
const unused = /^(head\.|decoder\.|classifier\.)/;

export function importModernBert(
  modelFiles: ModelFiles,
  configFile: Uint8Array,
  name: string,
  options: ImportOptions,
): ImportedModel {
  const files = recordReads(modelFiles);
  files.read('config.json');
  const config = parseModernBertConfig(configFile);
  const tokenizer = readTokenizer(files);
  const stored = readCheckpoint(files);
  const architecture = architectureOf(config, stored.has('classifier.weight'));
  const head = heads[architecture]!;
  const kind = head === 'answers' ? 'token-classification' : head;
  const loader = weightLoader(stored, {
    prefix: 'model',
    unused: kind === 'embedding' ? unused : /^$/,
  });
  const notes: string[] = [];
  const where = 'config.json, vocab_size';
  const vocabulary = vocabularyRows(config.vocabulary, where, tokenizer, notes);
  const builder = graphBuilder(name);
  const made = makeAll(builder, loader, config);
  const all = made.product('embeddings.tok_embeddings', config.vocabulary, config.width, false);
  const weight = all.weight.subarray(0, vocabulary * config.width);
  const words = { ...all, outputs: vocabulary, weight };
  const encoded = buildEncoder(made, config, words);
  const pooling = kind === 'embedding' ? poolingOf(files, options, notes) : config.pooling;
  const classes = loader.rowsOf('classifier.weight');
  const labels =
    head === 'embedding'
      ? null
      : head === 'answers'
        ? answerLabels
        : labelsOf(config.labels, classes);
  const rows = kind === 'token-classification' ? encoded : pool(builder, encoded, pooling);
  const output = labels === null ? rows : buildHead(made, config, rows, labels.length);
  loader.finish(architecture);
  const parameters = loader.parameters();
  const card: ModelCard = {
    name,
    kind,
    labels,
    scores: head === 'answers' ? 'none' : scoresOf(config.labels, labels),
    pooling: kind === 'embedding' ? pooling : null,
    maxPositions: config.positions,
    parameters: totalOf(parameters),
    sha256: files.sha256(),
    vocabularySize: vocabulary,
  };
  return { graph: builder.finish([output]), tokenizer, card, parameters, notes };
}

function architectureOf({ architecture }: ModernBertConfig, isClassifier: boolean): string {
  const named = architecture ?? (isClassifier ? null : 'ModernBertModel');
  if (named !== null && Object.hasOwn(heads, named)) return named;
  throw unsupported(
    named === null
      ? 'config.json does not say which classifier the model is: it has no architectures'
      : `the architecture ${quote(named)} is not supported`,
    `Supported are ${Object.keys(heads).join(', ')}.`,
  );
}

/** What makes nodes of weights by the names they are stored under; each is loaded once. */
interface Made extends Makers {
  readonly builder: GraphBuilder;
  product(name: string, outputs: number, inputs: number, hasBias: boolean): LinearWeights;
  /** `node` is named as its weights where it has no name of its own. */
  normalize(x: string, name: string, node?: string): string;
}

function makeAll(builder: GraphBuilder, loader: WeightLoader, config: ModernBertConfig): Made {
  const makers = makersOf(builder, config.epsilon);
  const { width, biases } = config;
  const zeros = new Float32Array(width);
  const norms = new Map<string, Omit<NormWeights, 'name'>>();
  const norm = (stored: string): Omit<NormWeights, 'name'> => {
    const known = norms.get(stored);
    if (known !== undefined) return known;
    const gamma = loader.load(`${stored}.weight`, [width]);
    const beta = biases.norm ? loader.load(`${stored}.bias`, [width]) : zeros;
    norms.set(stored, { stored, gamma, beta });
    return { stored, gamma, beta };
  };
  return {
    ...makers,
    builder,
    product: (name, outputs, inputs, hasBias) => ({
      ...{ name, stored: name, outputs },
      weight: loader.load(`${name}.weight`, [outputs, inputs]),
      bias: hasBias ? loader.load(`${name}.bias`, [outputs]) : null,
    }),
    normalize: (x, name, node = name) => makers.norm(x, width, { name: node, ...norm(name) }),
  };
}

function buildEncoder(made: Made, config: ModernBertConfig, words: LinearWeights): string {
  const { builder, constant, normalize } = made;
  const tokenIds = builder.input('tokenIds', 'int32', ['tokens', 1]);
  builder.input('segmentStart', 'int32', [1, 1]);
  const table = constant(`${words.stored}.weight`, [words.outputs, config.width], words.weight);
  const rows = builder.node('lookupRows', words.name, [tokenIds, table], { index: 'token' });
  const angles = ropeTables(made, config);
  let x = normalize(rows, 'embeddings.norm');
  for (const [index, layer] of config.layers.entries()) {
    const name = `layers.${index}`;
    // Layer 0 reads the embeddings as they are. The residual stream has them in int16, products read
    // int8: the norm is made for each.
    const normalized =
      index === 0
        ? normalize(rows, 'embeddings.norm', `${name}.attn_norm`)
        : normalize(x, `${name}.attn_norm`);
    const attended = attend(made, config, layer, angles(layer), {
      name: `${name}.attn`,
      x: normalized,
    });
    x = builder.node('residualAdd', `${name}.attn.add`, [x, attended], {});
    const narrow = feedForward(made, config, `${name}.mlp`, normalize(x, `${name}.mlp_norm`));
    x = builder.node('residualAdd', `${name}.mlp.add`, [x, narrow], {});
  }
  return normalize(x, 'final_norm');
}

/** The name of a layer's angles; layers of the same base share them. */
function ropeTables(
  { constant }: Made,
  { layers, positions, width, heads }: ModernBertConfig,
): (layer: ModernBertLayer) => string {
  const bases = new Set(layers.map(({ ropeTheta }) => ropeTheta));
  for (const base of bases) {
    const { rows, table } = ropeTable(base, positions, width / heads);
    constant(`rope.${base}`, [rows, width / heads], table);
  }
  return ({ ropeTheta }) => `rope.${ropeTheta}`;
}

function attend(
  { builder, linear, product }: Made,
  { width, heads, biases }: ModernBertConfig,
  { reach }: ModernBertLayer,
  angles: string,
  { name, x }: { readonly name: string; readonly x: string },
): string {
  const headWidth = width / heads;
  const all = product(`${name}.Wqkv`, 3 * width, width, biases.attention);
  const part = (index: number, own: string): LinearWeights =>
    rowsOf(all, own, index * width, width);
  const turned = (index: number, own: string): string => {
    const rows = linear(x, width, sideBySide(part(index, own), headWidth));
    return builder.node('rotary', `${rows}.rotary`, [rows, angles], {});
  };
  const [q, k] = [turned(0, 'query'), turned(1, 'key')];
  const v = linear(x, width, part(2, 'value'));
  const band = reach === null ? {} : { reach };
  const attrs = { heads, scale: 1 / Math.sqrt(headWidth), causal: false, ...band };
  const mixed = builder.node('attention', name, [q, k, v], attrs);
  return linear(mixed, width, product(`${name}.Wo`, width, width, biases.attention));
}

/** Wo·(f(first)·second), the two of one product. */
function feedForward(
  { builder, linear, product }: Made,
  { width, middle, activation: kind, biases }: ModernBertConfig,
  name: string,
  x: string,
): string {
  const both = product(`${name}.Wi`, 2 * middle, width, biases.feedForward);
  const halves = (['gate', 'up'] as const).map((own, index) =>
    linear(x, width, rowsOf(both, own, index * middle, middle)),
  );
  const active = builder.node('gatedProduct', `${name}.act`, halves, { kind });
  return linear(active, middle, product(`${name}.Wo`, width, middle, biases.feedForward));
}

/** Rows of a product as one of its own. */
function rowsOf(
  { name, outputs, weight, bias }: LinearWeights,
  own: string,
  first: number,
  count: number,
): LinearWeights {
  const inputs = weight.length / outputs;
  const named = `${name}.${own}`;
  return {
    ...{ name: named, stored: named, outputs: count },
    weight: weight.subarray(first * inputs, (first + count) * inputs),
    bias: bias === null ? null : bias.subarray(first, first + count),
  };
}

function pool(builder: GraphBuilder, rows: string, pooling: Pooling): string {
  return pooling === 'cls'
    ? builder.node('selectRow', 'pooling', [rows], { which: 'first' })
    : builder.node('meanRows', 'pooling', [rows], {});
}

function buildHead(
  { builder, linear, product, normalize }: Made,
  { width, headActivation: kind, biases }: ModernBertConfig,
  x: string,
  labels: number,
): string {
  const dense = linear(x, width, product('head.dense', width, width, biases.head));
  const active = builder.node('activation', 'head.act', [dense], { kind });
  const normalized = normalize(active, 'head.norm');
  return linear(normalized, width, product('classifier', labels, width, true));
}
