/** The encoder of a family of the BERT kind, built from its weights. */
import type { GraphBuilder } from '../ir/build.ts';
import type { Config } from './config.ts';
import { activations } from './config.ts';
import { type Family, familyOf, type LayerNames } from './families.ts';
import type { WeightLoader } from './weights.ts';

/** Makes constants of weights and nodes that read them; a weight is stored once. */
export interface WeightedBuilder {
  readonly builder: GraphBuilder;
  readonly weights: WeightLoader;
  table(
    name: string,
    rows: readonly [first: number, count: number, all: number],
    width: number,
  ): string;
  /** `node` is named as its weights where it has no name of its own. */
  linear(name: string, x: string, outputs: number, inputs: number, node?: string): string;
  norm(name: string, x: string, width: number, epsilon: number, node?: string): string;
}

export function weightedBuilder(builder: GraphBuilder, weights: WeightLoader): WeightedBuilder {
  const known = new Set<string>();
  const once = (name: string, make: () => void): string => {
    if (!known.has(name)) make();
    known.add(name);
    return name;
  };
  const matrix = (name: string, rows: number, columns: number): string =>
    once(name, () => {
      builder.constant(name, [rows, columns], weights.load(name, [rows, columns]));
    });
  /** A vector becomes a matrix of one row. */
  const vector = (name: string, width: number): string =>
    once(name, () => {
      builder.constant(name, [1, width], weights.load(name, [width]));
    });
  return {
    builder,
    weights,
    table: (name, [first, count, all], width) => {
      const values = weights.load(`${name}.weight`, [all, width]);
      const kept = values.subarray(first * width, (first + count) * width);
      return builder.constant(`${name}.weight`, [count, width], kept);
    },
    linear: (name, x, outputs, inputs, node = name) => {
      const weight = matrix(`${name}.weight`, outputs, inputs);
      const bias = vector(`${name}.bias`, outputs);
      return builder.node('linear', node, [x, weight, bias], {});
    },
    norm: (name, x, width, epsilon, node = name) => {
      const gamma = vector(`${name}.weight`, width);
      const beta = vector(`${name}.bias`, width);
      return builder.node('layerNorm', node, [x, gamma, beta], { epsilon });
    },
  };
}

export function buildEncoder(made: WeightedBuilder, config: Config, vocabulary: number): string {
  const { builder, linear, norm } = made;
  const family = familyOf(config.model_type);
  const { hidden_size: width, layer_norm_eps: epsilon } = config;
  const embedded = buildEmbeddings(made, config, family, vocabulary);
  const heads = config.num_attention_heads;
  const scale = 1 / Math.sqrt(width / heads);
  const middle = config.intermediate_size;
  const kind = activations[config.hidden_act]!;
  let x = embedded;
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const names = layerNames(family, config, layer);
    const { weights: of, nodes } = names;
    const [q, k, v] = (['query', 'key', 'value'] as const).map((part) =>
      linear(of[part], x, width, width, nodes[part]),
    ) as [string, string, string];
    const attrs = { heads, scale, causal: false };
    const mixed = builder.node('attention', names.self, [q, k, v], attrs);
    const projected = linear(of.attention, mixed, width, width, nodes.attention);
    const joined = builder.node('add', names.attentionAdd, [projected, x], {});
    const attended = norm(of.attentionNorm, joined, width, epsilon, nodes.attentionNorm);
    const wide = linear(of.wide, attended, middle, width, nodes.wide);
    const active = builder.node('activation', names.activation, [wide], { kind });
    const narrow = linear(of.narrow, active, width, middle, nodes.narrow);
    const sum = builder.node('add', names.add, [narrow, attended], {});
    x = norm(of.norm, sum, width, epsilon, nodes.norm);
  }
  return x;
}

function buildEmbeddings(
  made: WeightedBuilder,
  config: Config,
  family: Family,
  vocabulary: number,
): string {
  const { builder, table, linear, norm } = made;
  const width = config.embedding_size;
  const { rowsOfWords, segmentStart } = buildWords(made, config, vocabulary);
  const all = config.max_position_embeddings;
  const first = all - config.positions;
  const position = table('embeddings.position_embeddings', [first, all - first, all], width);
  const segments = config.type_vocab_size;
  // A sentence pair has two segments; `embed` takes the last row for the second.
  const segment =
    segments === 0
      ? builder.constant('embeddings.no-segments', [1, width], new Float32Array(width))
      : table('embeddings.token_type_embeddings', [0, Math.min(segments, 2), segments], width);
  const inputs = [rowsOfWords, position, segmentStart, segment];
  const sum = builder.node('embed', 'embeddings', inputs, {});
  const rows = norm(family.embeddingsNorm, sum, width, config.layer_norm_eps);
  const projects = family.alwaysProjects || width !== config.hidden_size;
  if (family.projection === null || !projects) return rows;
  return linear(family.projection, rows, config.hidden_size, width);
}

/** The inputs of a graph, and the rows of its words. */
export function buildWords(
  { builder, table }: WeightedBuilder,
  { vocab_size, embedding_size }: Config,
  vocabulary: number,
): { readonly rowsOfWords: string; readonly segmentStart: string } {
  const name = 'embeddings.word_embeddings';
  const tokenIds = builder.input('tokenIds', 'int32', ['tokens', 1]);
  const segmentStart = builder.input('segmentStart', 'int32', [1, 1]);
  const words = table(name, [0, vocabulary, vocab_size], embedding_size);
  const rowsOfWords = builder.node('lookupRows', name, [tokenIds, words], { index: 'token' });
  return { rowsOfWords, segmentStart };
}

interface NamesOfLayer {
  readonly weights: LayerNames;
  readonly nodes: LayerNames;
  readonly self: string;
  readonly attentionAdd: string;
  readonly activation: string;
  readonly add: string;
}

/** Weights by the name that is stored; nodes by their own layer, though it may share its weights. */
function layerNames(family: Family, config: Config, layer: number): NamesOfLayer {
  const groups = config.num_hidden_groups;
  const group = Math.floor((layer * groups) / config.num_hidden_layers);
  const stored = family.sharesLayers === true ? 0 : layer;
  const named = (names: LayerNames, groupName: string, number: number): LayerNames =>
    Object.fromEntries(
      Object.entries(names).map(([part, name]) => [
        part,
        name.replace('@', groupName).replace('#', String(number)),
      ]),
    ) as unknown as LayerNames;
  const weights = named(family.layer, String(group), stored);
  const nodes = family.sharesLayers === true ? named(sharedNodes, '', layer) : weights;
  const parent = (name: string): string => name.slice(0, name.lastIndexOf('.'));
  const self = parent(nodes.query);
  const output = parent(nodes.attentionNorm);
  return {
    weights,
    nodes,
    self,
    attentionAdd: `${output}.${output === parent(nodes.norm) ? 'attention_add' : 'add'}`,
    activation: `${parent(nodes.wide)}.intermediate_act_fn`,
    add: `${parent(nodes.norm)}.add`,
  };
}

const sharedNodes: LayerNames = {
  query: 'encoder.layer.#.attention.self.query',
  key: 'encoder.layer.#.attention.self.key',
  value: 'encoder.layer.#.attention.self.value',
  attention: 'encoder.layer.#.attention.output.dense',
  attentionNorm: 'encoder.layer.#.attention.output.LayerNorm',
  wide: 'encoder.layer.#.intermediate.dense',
  narrow: 'encoder.layer.#.output.dense',
  norm: 'encoder.layer.#.output.LayerNorm',
};
