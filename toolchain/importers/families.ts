/**
 * The families of the BERT kind as data: what config.json calls their sizes, and what their
 * checkpoints call their weights. `#` stands for the number of the layer. And which model types of
 * config.json are supported, these and others.
 */
import type { ModelKind } from './model-card.ts';

/** How a head makes its output of the encoder's rows. */
export type HeadForm =
  /** Row 0, a product with its function, a product. */
  | {
      readonly kind: 'classification';
      readonly dense: string;
      readonly activation: 'tanh' | 'gelu' | 'relu';
      readonly output: string;
    }
  | { readonly kind: 'token-classification'; readonly output: string }
  /** A start and an end logit for each token. */
  | { readonly kind: 'answers'; readonly output: string }
  | { readonly kind: 'embedding' };

export interface LayerNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attention: string;
  readonly attentionNorm: string;
  readonly wide: string;
  readonly narrow: string;
  readonly norm: string;
}

export interface Family {
  /** Weights may be stored under this name of the encoder. */
  readonly prefix: string;
  /** Its own names of the config fields that BERT's have other names for. */
  readonly configNames?: Readonly<Record<string, string>>;
  /** Fields that are not given, where that is another value than BERT's. */
  readonly standardConfig?: Readonly<Record<string, number | string>>;
  /** Fields whose value the architecture fixes. */
  readonly fixedConfig?: Readonly<Record<string, number>>;
  /** Rows of the position table before position 0: RoBERTa counts from behind its padding id. */
  readonly skipsPaddingPositions?: boolean;
  /** From the embedding's width to the encoder's, where they may differ. */
  readonly projection: string | null;
  /** Always there, even between equal widths. */
  readonly alwaysProjects?: boolean;
  /** Embedding tables and norm of their sum. */
  readonly embeddingsNorm: string;
  readonly layer: LayerNames;
  /** The layers share the weights of so many groups, each of a row of layers: `@` and `#`. */
  readonly sharesLayers?: boolean;
  /** Its layers are those of `mobilebert.ts`, with more than what is said here. */
  readonly hasBottlenecks?: boolean;
  /** By class of transformers. */
  readonly heads: Readonly<Record<string, HeadForm>>;
  /** Of heads and buffers that are stored but not used. */
  readonly unused: RegExp;
}

const bertLayer: LayerNames = {
  query: 'encoder.layer.#.attention.self.query',
  key: 'encoder.layer.#.attention.self.key',
  value: 'encoder.layer.#.attention.self.value',
  attention: 'encoder.layer.#.attention.output.dense',
  attentionNorm: 'encoder.layer.#.attention.output.LayerNorm',
  wide: 'encoder.layer.#.intermediate.dense',
  narrow: 'encoder.layer.#.output.dense',
  norm: 'encoder.layer.#.output.LayerNorm',
};

const albertLayer = 'encoder.albert_layer_groups.@.albert_layers.#';

const tokens: HeadForm = { kind: 'token-classification', output: 'classifier' };
const answers: HeadForm = { kind: 'answers', output: 'qa_outputs' };
const embedding: HeadForm = { kind: 'embedding' };

export const families = {
  bert: {
    prefix: 'bert',
    projection: null,
    embeddingsNorm: 'embeddings.LayerNorm',
    layer: bertLayer,
    heads: {
      BertForSequenceClassification: {
        ...{ kind: 'classification', dense: 'pooler.dense', activation: 'tanh' },
        output: 'classifier',
      },
      BertForTokenClassification: tokens,
      BertForQuestionAnswering: answers,
      BertModel: embedding,
    },
    unused: /^(embeddings\.(position_ids|token_type_ids)$|pooler\.dense\.|cls\.)/,
  },
  distilbert: {
    prefix: 'distilbert',
    configNames: {
      hidden_size: 'dim',
      num_attention_heads: 'n_heads',
      num_hidden_layers: 'n_layers',
      intermediate_size: 'hidden_dim',
      hidden_act: 'activation',
    },
    fixedConfig: { type_vocab_size: 0, layer_norm_eps: 1e-12 },
    projection: null,
    embeddingsNorm: 'embeddings.LayerNorm',
    layer: {
      query: 'transformer.layer.#.attention.q_lin',
      key: 'transformer.layer.#.attention.k_lin',
      value: 'transformer.layer.#.attention.v_lin',
      attention: 'transformer.layer.#.attention.out_lin',
      attentionNorm: 'transformer.layer.#.sa_layer_norm',
      wide: 'transformer.layer.#.ffn.lin1',
      narrow: 'transformer.layer.#.ffn.lin2',
      norm: 'transformer.layer.#.output_layer_norm',
    },
    heads: {
      DistilBertForSequenceClassification: {
        ...{ kind: 'classification', dense: 'pre_classifier', activation: 'relu' },
        output: 'classifier',
      },
      DistilBertForTokenClassification: tokens,
      DistilBertForQuestionAnswering: answers,
      DistilBertModel: embedding,
    },
    unused: /^(embeddings\.position_ids$|vocab_)/,
  },
  electra: {
    prefix: 'electra',
    projection: 'embeddings_project',
    embeddingsNorm: 'embeddings.LayerNorm',
    layer: bertLayer,
    heads: {
      ElectraForSequenceClassification: {
        ...{ kind: 'classification', dense: 'classifier.dense', activation: 'gelu' },
        output: 'classifier.out_proj',
      },
      ElectraForTokenClassification: tokens,
      ElectraForQuestionAnswering: answers,
      ElectraModel: embedding,
    },
    unused: /^(embeddings\.(position_ids|token_type_ids)$|discriminator_|generator_)/,
  },
  albert: {
    prefix: 'albert',
    projection: 'encoder.embedding_hidden_mapping_in',
    alwaysProjects: true,
    embeddingsNorm: 'embeddings.LayerNorm',
    layer: {
      query: `${albertLayer}.attention.query`,
      key: `${albertLayer}.attention.key`,
      value: `${albertLayer}.attention.value`,
      attention: `${albertLayer}.attention.dense`,
      attentionNorm: `${albertLayer}.attention.LayerNorm`,
      wide: `${albertLayer}.ffn`,
      narrow: `${albertLayer}.ffn_output`,
      norm: `${albertLayer}.full_layer_layer_norm`,
    },
    sharesLayers: true,
    heads: {
      AlbertForSequenceClassification: {
        ...{ kind: 'classification', dense: 'pooler', activation: 'tanh' },
        output: 'classifier',
      },
      AlbertForTokenClassification: tokens,
      AlbertForQuestionAnswering: answers,
      AlbertModel: embedding,
    },
    unused: /^(embeddings\.(position_ids|token_type_ids)$|pooler\.|predictions\.|sop_classifier)/,
  },
  mobilebert: {
    prefix: 'mobilebert',
    standardConfig: { hidden_act: 'relu', embedding_size: 128 },
    projection: 'embeddings.embedding_transformation',
    embeddingsNorm: 'embeddings.LayerNorm',
    layer: bertLayer,
    hasBottlenecks: true,
    heads: {
      MobileBertForSequenceClassification: {
        ...{ kind: 'classification', dense: 'pooler.dense', activation: 'tanh' },
        output: 'classifier',
      },
      MobileBertForTokenClassification: tokens,
      MobileBertForQuestionAnswering: answers,
      MobileBertModel: embedding,
    },
    // With bottlenecks for all that a layer reads, the one for queries and keys is there in vain.
    unused:
      /^(embeddings\.(position_ids$|embedding_transformation\.)|pooler\.dense\.|cls\.|encoder\.layer\.\d+\.bottleneck\.attention\.)/,
  },
  roberta: robertaFamily('Roberta'),
  'xlm-roberta': robertaFamily('XLMRoberta'),
  camembert: robertaFamily('Camembert'),
} as const satisfies Record<string, Family>;

function robertaFamily(name: string): Family {
  return {
    prefix: 'roberta',
    skipsPaddingPositions: true,
    projection: null,
    embeddingsNorm: 'embeddings.LayerNorm',
    layer: bertLayer,
    heads: {
      [`${name}ForSequenceClassification`]: {
        ...{ kind: 'classification', dense: 'classifier.dense', activation: 'tanh' },
        output: 'classifier.out_proj',
      },
      [`${name}ForTokenClassification`]: tokens,
      [`${name}ForQuestionAnswering`]: answers,
      [`${name}Model`]: embedding,
    },
    unused: /^(embeddings\.(position_ids|token_type_ids)$|pooler\.dense\.|lm_head\.)/,
  };
}

export type ModelType = keyof typeof families;

export function familyOf(type: ModelType): Family {
  return families[type];
}

/** What decoders are read as, by their model type: Qwen 2 is Llama with biases. */
export const decoderFamilies = {
  gpt2: 'gpt2',
  opt: 'opt',
  llama: 'llama',
  qwen2: 'llama',
  merino: 'merino',
} as const;
export type DecoderFamily = (typeof decoderFamilies)[keyof typeof decoderFamilies];

export const modernBertType = 'modernbert';

export const supportedTypes: readonly string[] = [
  ...Object.keys(families),
  modernBertType,
  ...Object.keys(decoderFamilies),
];

/** What stands in the way of others that users have, in a sentence. */
export const unsupportedTypes: Readonly<Record<string, string>> = {
  nomic_bert: 'It turns queries and keys by rotary positions and gates its feed-forward layers.',
  mpnet: 'It adds a bias by distance to its attention scores.',
  deberta: 'It attends to distances between tokens as well.',
  'deberta-v2': 'It attends to distances between tokens as well.',
  t5: 'It adds a bias by distance to its attention scores, and has a decoder.',
};

export function kindOfHead(head: HeadForm): ModelKind {
  return head.kind === 'answers' ? 'token-classification' : head.kind;
}
