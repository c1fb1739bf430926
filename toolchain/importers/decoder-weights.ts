/** Where the families of decoders keep their weights, and in which layout. */
import type { TypedArrayOf } from '../ir/dtypes.ts';
import type { DecoderConfig, LayerConfig } from './decoder-config.ts';
import type { DecoderFamily, Family } from './families.ts';
import type { WeightLoader } from './weights.ts';

type Values = TypedArrayOf<'float32'>;

/** The parts of a layer that are products. */
const layerParts = ['query', 'key', 'value', 'attention', 'gate', 'wide', 'narrow'] as const;
export type LayerPart = (typeof layerParts)[number];

export interface LinearWeights {
  /** The node's name. */
  readonly name: string;
  /** What the names of the constants begin with. */
  readonly stored: string;
  readonly outputs: number;
  /** (outputs, inputs) */
  readonly weight: Values;
  /** Null: there is none. */
  readonly bias: Values | null;
}

export interface NormWeights {
  readonly name: string;
  readonly stored: string;
  readonly gamma: Values;
  /** Null where the norm is by the root of the mean square. */
  readonly beta: Values | null;
}

export interface DecoderWeights {
  linear(layer: LayerConfig, part: LayerPart, outputs: number, inputs: number): LinearWeights;
  /** A product of its own, outside of layers. */
  product(name: string, outputs: number, inputs: number): LinearWeights;
  norm(layer: LayerConfig, which: 'attention' | 'feedForward'): NormWeights;
  finalNorm(width: number): NormWeights;
  words(): { readonly name: string; readonly values: Values };
  /** From position 0 on. */
  positions(): { readonly name: string; readonly values: Values };
  head(): { readonly name: string; readonly values: Values };
}

interface Names extends Pick<Family, 'prefix' | 'unused'> {
  /** Null: there is no such part. */
  readonly parts: Readonly<Record<LayerPart, string | null>>;
  readonly attentionNorm: string;
  readonly feedForwardNorm: string;
  readonly finalNorm: string;
  readonly words: string;
  readonly positions: string | null;
  /** Rows before position 0. */
  readonly skippedPositions: number;
  /** Products are stored as (inputs, outputs), and query, key and value as one. */
  readonly isTransposed: boolean;
}

const optParts = {
  query: 'self_attn.q_proj',
  key: 'self_attn.k_proj',
  value: 'self_attn.v_proj',
  attention: 'self_attn.out_proj',
  gate: null,
  wide: 'fc1',
  narrow: 'fc2',
} as const;

export const weightNames: Readonly<Record<DecoderFamily, Names>> = {
  gpt2: {
    prefix: 'transformer',
    unused: /^h\.\d+\.attn\.(masked_)?bias$|^lm_head\.weight$/,
    parts: {
      query: 'attn.c_attn',
      key: 'attn.c_attn',
      value: 'attn.c_attn',
      attention: 'attn.c_proj',
      gate: null,
      wide: 'mlp.c_fc',
      narrow: 'mlp.c_proj',
    },
    attentionNorm: 'ln_1',
    feedForwardNorm: 'ln_2',
    finalNorm: 'ln_f',
    words: 'wte',
    positions: 'wpe',
    skippedPositions: 0,
    isTransposed: true,
  },
  opt: {
    prefix: 'model.decoder',
    unused: /^lm_head\.weight$/,
    parts: optParts,
    attentionNorm: 'self_attn_layer_norm',
    feedForwardNorm: 'final_layer_norm',
    finalNorm: 'final_layer_norm',
    words: 'embed_tokens',
    positions: 'embed_positions',
    skippedPositions: 2,
    isTransposed: false,
  },
  llama: {
    prefix: 'model',
    unused: /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$|^lm_head\.weight$/,
    parts: {
      query: 'self_attn.q_proj',
      key: 'self_attn.k_proj',
      value: 'self_attn.v_proj',
      attention: 'self_attn.o_proj',
      gate: 'mlp.gate_proj',
      wide: 'mlp.up_proj',
      narrow: 'mlp.down_proj',
    },
    attentionNorm: 'input_layernorm',
    feedForwardNorm: 'post_attention_layernorm',
    finalNorm: 'norm',
    words: 'embed_tokens',
    positions: null,
    skippedPositions: 0,
    isTransposed: false,
  },
  merino: {
    prefix: 'model',
    unused: /^lm_head\.weight$/,
    parts: optParts,
    attentionNorm: 'self_attn_layer_norm',
    feedForwardNorm: 'final_layer_norm',
    finalNorm: 'final_layer_norm',
    words: 'embed_tokens',
    positions: 'embed_positions',
    skippedPositions: 0,
    isTransposed: false,
  },
};

/** Each is loaded once; what is missing or of another shape is noted by the loader. */
export function decoderWeights(
  loader: Pick<WeightLoader, 'has' | 'load'>,
  config: DecoderConfig,
): DecoderWeights {
  const names = weightNames[config.family];
  const loaded = new Map<string, Values>();
  const load = (name: string, shape: readonly number[]): Values => {
    const known = loaded.get(name);
    if (known !== undefined) return known;
    const values = loader.load(name, shape);
    loaded.set(name, values);
    return values;
  };
  const { embeddingWidth: width, vocabulary } = config;
  const norm = (name: string, stored: string, columns: number): NormWeights => {
    const gamma = load(`${stored}.weight`, [columns]);
    const beta = config.family === 'llama' ? null : load(`${stored}.bias`, [columns]);
    return { name, stored, gamma, beta };
  };
  const product = (name: string, stored: string, shape: readonly [number, number]) => {
    const [outputs] = shape;
    const weight = load(`${stored}.weight`, shape);
    const bias = loader.has(`${stored}.bias`) ? load(`${stored}.bias`, [outputs]) : null;
    return { name, stored, outputs, weight, bias };
  };
  return {
    product: (name, outputs, inputs) => product(name, name, [outputs, inputs]),
    linear: (layer, part, outputs, inputs) => {
      const own = names.parts[part]!;
      const stored = `${layer.stored}.${own}`;
      if (!names.isTransposed) return product(`${layer.name}.${own}`, stored, [outputs, inputs]);
      const joined = ['query', 'key', 'value'].indexOf(part);
      const isJoined = joined >= 0;
      const name = isJoined ? `${stored}.${part}` : stored;
      const all = isJoined ? 3 * outputs : outputs;
      const values = load(`${stored}.weight`, [inputs, all]);
      const biases = load(`${stored}.bias`, [all]);
      const first = isJoined ? joined * outputs : 0;
      return {
        ...{ name, stored: name, outputs },
        weight: turned(values, inputs, all, first, outputs),
        bias: biases.subarray(first, first + outputs),
      };
    },
    norm: (layer, which) => {
      const own = { attention: names.attentionNorm, feedForward: names.feedForwardNorm }[which];
      return norm(`${layer.name}.${own}`, `${layer.stored}.${own}`, layer.width);
    },
    finalNorm: (columns) => norm(names.finalNorm, names.finalNorm, columns),
    words: () => ({
      name: names.words,
      values: load(`${names.words}.weight`, [vocabulary, width]),
    }),
    positions: () => {
      const skipped = names.skippedPositions;
      const values = load(`${names.positions}.weight`, [config.positions + skipped, width]);
      return { name: names.positions!, values: values.subarray(skipped * width) };
    },
    head: () => ({ name: 'lm_head', values: load('lm_head.weight', [vocabulary, width]) }),
  };
}

/** Columns `first` … of (inputs, all) as rows of (outputs, inputs). */
function turned(
  values: Values,
  inputs: number,
  all: number,
  first: number,
  outputs: number,
): Values {
  const weight = new Float32Array(outputs * inputs);
  for (let output = 0; output < outputs; output++) {
    for (let input = 0; input < inputs; input++) {
      weight[output * inputs + input] = values[input * all + first + output]!;
    }
  }
  return weight;
}
