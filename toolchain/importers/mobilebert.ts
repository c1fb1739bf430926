/**
 * The encoder of MobileBERT: wide rows between layers, narrow ones inside, several feed-forward layers
 * each, and tokens that are read with their neighbours.
 *
 * NoNorm, y = x·gamma + beta, follows a product or the sum of one with a residual. So the product takes
 * its scales, and of the residual only the columns are scaled:
 *
 *   (x·wᵀ + b)·gamma + beta     = x·(gamma·w)ᵀ + (gamma·b + beta)
 *   (x·wᵀ + b + r)·gamma + beta = x·(gamma·w)ᵀ + (gamma·b + beta) + r·gamma
 */
import type { TypedArrayOf } from '../ir/dtypes.ts';
import { activations, type Config } from './config.ts';
import { buildWords, type WeightedBuilder } from './encoder.ts';
import type { Bottlenecks } from './mobilebert-config.ts';

type Values = TypedArrayOf<'float32'>;

/** A product, the norm behind it, and the width that it has in between. */
interface Product {
  readonly dense: string;
  readonly norm: string;
  readonly x: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly epsilon: number;
}

/** What is made of products and the norms behind them, of either kind. */
interface Joins {
  /** norm(product) */
  project(product: Product): string;
  /** norm(product + residual) */
  join(product: Product, residual: string): string;
  /** norm(product + position + segment); without a product of the word rows themselves. */
  embed(product: Product, hasProduct: boolean, segmentStart: string): string;
}

export function buildMobileBert(
  made: WeightedBuilder,
  config: Config,
  own: Bottlenecks,
  vocabulary: number,
): string {
  const { builder, linear } = made;
  const joins = own.norm === 'scale' ? scaledJoins(made, config) : normalizedJoins(made, config);
  const { width } = own;
  const { hidden_size: hidden, intermediate_size: middle, num_attention_heads: heads } = config;
  const { layer_norm_eps: epsilon } = config;
  const attrs = { heads, scale: 1 / Math.sqrt(width / heads), causal: false };
  const product = (name: string, x: string, inputs: number, outputs: number): Product => ({
    ...{ dense: `${name}.dense`, norm: `${name}.LayerNorm` },
    ...{ x, inputs, outputs, epsilon },
  });
  const widen = (name: string, x: string): string => {
    const wide = linear(`${name}.dense`, x, middle, width);
    const kind = activations[config.hidden_act]!;
    return builder.node('activation', `${name}.intermediate_act_fn`, [wide], { kind });
  };
  let x = buildEmbeddings(made, joins, config, own, vocabulary);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = `encoder.layer.${layer}`;
    const narrow = (part: string): string =>
      joins.project(product(`${name}.bottleneck.${part}`, x, hidden, width));
    const residual = own.narrows === null ? x : narrow('input');
    const values = own.narrows === 'all' ? residual : x;
    const keys = own.narrows === 'allButValues' ? narrow('attention') : values;
    const self = `${name}.attention.self`;
    const q = linear(`${self}.query`, keys, width, width);
    const k = linear(`${self}.key`, keys, width, width);
    const v = linear(`${self}.value`, values, width, own.narrows === 'all' ? width : hidden);
    const mixed = builder.node('attention', self, [q, k, v], attrs);
    let rows = joins.join(product(`${name}.attention.output`, mixed, width, width), residual);
    for (let index = 0; index < own.feedForwards - 1; index++) {
      const active = widen(`${name}.ffn.${index}.intermediate`, rows);
      rows = joins.join(product(`${name}.ffn.${index}.output`, active, middle, width), rows);
    }
    const last = product(`${name}.output`, widen(`${name}.intermediate`, rows), middle, width);
    rows = joins.join({ ...last, epsilon: standardEpsilon }, rows);
    x =
      own.narrows === null
        ? rows
        : joins.join(product(`${name}.output.bottleneck`, rows, width, hidden), x);
  }
  return x;
}

/** Of the norms that transformers gives none: of the embeddings and of a layer's last sum. */
const standardEpsilon = 1e-5;

function buildEmbeddings(
  made: WeightedBuilder,
  joins: Joins,
  config: Config,
  { readsTrigrams }: Bottlenecks,
  vocabulary: number,
): string {
  const { builder } = made;
  const { embedding_size, hidden_size } = config;
  const { rowsOfWords, segmentStart } = buildWords(made, config, vocabulary);
  const x = readsTrigrams
    ? builder.node('trigrams', 'embeddings.trigrams', [rowsOfWords], {})
    : rowsOfWords;
  const product = {
    ...{ dense: 'embeddings.embedding_transformation', norm: 'embeddings.LayerNorm', x },
    ...{ inputs: readsTrigrams ? 3 * embedding_size : embedding_size, outputs: hidden_size },
    epsilon: standardEpsilon,
  };
  return joins.embed(product, readsTrigrams || embedding_size !== hidden_size, segmentStart);
}

function normalizedJoins({ builder, table, linear, norm }: WeightedBuilder, config: Config): Joins {
  const productOf = ({ dense, x, outputs, inputs }: Product): string =>
    linear(dense, x, outputs, inputs);
  const normalized = (sum: string, { norm: name, outputs, epsilon }: Product): string =>
    norm(name, sum, outputs, epsilon);
  return {
    project: (product) => normalized(productOf(product), product),
    join: (product, residual) => {
      const inputs = [productOf(product), residual];
      const name = product.norm.replace(/LayerNorm$/, 'add');
      return normalized(builder.node('add', name, inputs, {}), product);
    },
    embed: (product, hasProduct, segmentStart) => {
      const words = hasProduct ? productOf(product) : product.x;
      const [position, segment] = addendsOf(config).map(({ name, count, all }) =>
        table(name, [0, count, all], product.outputs),
      ) as [string, string];
      const inputs = [words, position, segmentStart, segment];
      return normalized(builder.node('embed', 'embeddings', inputs, {}), product);
    },
  };
}

function scaledJoins({ builder, weights }: WeightedBuilder, config: Config): Joins {
  const linear = (product: Product, gamma: Values): string => {
    const { dense, norm, x, inputs, outputs } = product;
    const weight = weights.load(`${dense}.weight`, [outputs, inputs]);
    const bias = weights.load(`${dense}.bias`, [outputs]);
    const beta = weights.load(`${norm}.bias`, [outputs]);
    const rows = weight.map((value, index) => value * gamma[Math.floor(index / inputs)]!);
    const offsets = bias
      .map((value, column) => value * gamma[column]!)
      .map((value, column) => value + beta[column]!);
    const constants = [
      builder.constant(`${dense}.weight`, [outputs, inputs], rows),
      builder.constant(`${dense}.bias`, [1, outputs], offsets),
    ];
    return builder.node('linear', dense, [x, ...constants], {});
  };
  const gammaOf = ({ norm, outputs }: Product): Values => weights.load(`${norm}.weight`, [outputs]);
  return {
    project: (product) => linear(product, gammaOf(product)),
    join: (product, residual) => {
      const gamma = gammaOf(product);
      const x = linear(product, gamma);
      const { norm, outputs } = product;
      const scales = builder.constant(`${norm}.weight`, [1, outputs], gamma);
      return builder.node('scaledAdd', norm, [x, residual, scales], {});
    },
    embed: (product, _hasProduct, segmentStart) => {
      const gamma = gammaOf(product);
      const x = linear(product, gamma);
      const { norm, outputs } = product;
      const [position, segment] = addendsOf(config).map(({ name, count, all }) => {
        const values = weights.load(`${name}.weight`, [all, outputs]).slice(0, count * outputs);
        const scaled = values.map((value, index) => value * gamma[index % outputs]!);
        return builder.constant(`${name}.weight`, [count, outputs], scaled);
      }) as [string, string];
      return builder.node('embed', norm, [x, position, segmentStart, segment], {});
    },
  };
}

/** The tables of positions and segments; of these `embed` takes two. */
function addendsOf({ max_position_embeddings, type_vocab_size }: Config) {
  const positions = max_position_embeddings;
  return [
    { name: 'embeddings.position_embeddings', count: positions, all: positions },
    {
      ...{ name: 'embeddings.token_type_embeddings', all: type_vocab_size },
      count: Math.min(type_vocab_size, 2),
    },
  ];
}
