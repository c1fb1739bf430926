/** Where the families of decoders keep their weights, and in which layout. */
import type { TypedArrayOf } from '../ir/dtypes.ts';
import type { DecoderConfig, DecoderFamily } from './decoder-config.ts';
import type { Family } from './families.ts';
import type { WeightLoader } from './weights.ts';

type Values = TypedArrayOf<'float32'>;

/** The parts of a layer that are products. */
export const layerParts = ['query', 'key', 'value', 'attention', 'gate', 'wide', 'narrow'] as const;
export type LayerPart = (typeof layerParts)[number];

export interface LinearWeights {
  /** The node's name. */
  readonly name: string;
  readonly outputs: number;
  /** (outputs, inputs) */
  readonly weight: Values;
  /** Null: there is none. */
  readonly bias: Values | null;
}

export interface NormWeights {
  readonly name: string;
  readonly gamma: Values;
  /** Null where the norm is by the root of the mean square. */
  readonly beta: Values | null;
}

export interface DecoderWeights {
  linear(layer: number, part: LayerPart, outputs: number, inputs: number): LinearWeights;
  /** Before attention, before the feed-forward layer, or, without a layer, before the head. */
  norm(layer: number | null, which: 'attention' | 'feedForward' | 'final'): NormWeights;
  words(): { readonly name: string; readonly values: Values };
  /** From position 0 on. */
  positions(): { readonly name: string; readonly values: Values };
  head(): { readonly name: string; readonly values: Values };
}

interface Names extends Pick<Family, 'prefix' | 'unused'> {
  readonly layer: string;
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

/** `#` stands for the number of the layer. */
export const weightNames: Readonly<Record<DecoderFamily, Names>> = {
  gpt2: {
    prefix: 'transformer',
    unused: /^h\.\d+\.attn\.(masked_)?bias$|^lm_head\.weight$/,
    layer: 'h.#',
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
    layer: 'layers.#',
    parts: {
      query: 'self_attn.q_proj',
      key: 'self_attn.k_proj',
      value: 'self_attn.v_proj',
      attention: 'self_attn.out_proj',
      gate: null,
      wide: 'fc1',
      narrow: 'fc2',
    },
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
    layer: 'layers.#',
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
};

/** Each is loaded once; what is missing or of another shape is noted by the loader. */
export function decoderWeights(loader: WeightLoader, config: DecoderConfig): DecoderWeights {
  const names = weightNames[config.family];
  const loaded = new Map<string, Values>();
  const load = (name: string, shape: readonly number[]): Values => {
    const known = loaded.get(name);
    if (known !== undefined) return known;
    const values = loader.load(name, shape);
    loaded.set(name, values);
    return values;
  };
  const { width, vocabulary } = config;
  const inLayer = (layer: number, name: string) =>
    `${names.layer.replace('#', String(layer))}.${name}`;
  return {
    linear: (layer, part, outputs, inputs) => {
      const stored = inLayer(layer, names.parts[part]!);
      const joined = ['query', 'key', 'value'].indexOf(part);
      const isJoined = names.isTransposed && joined >= 0;
      const name = isJoined ? `${stored}.${part}` : stored;
      const all = isJoined ? 3 * outputs : outputs;
      const shape = names.isTransposed ? [inputs, all] : [all, inputs];
      const values = load(`${stored}.weight`, shape);
      const biases = loader.has(`${stored}.bias`) ? load(`${stored}.bias`, [all]) : null;
      if (!names.isTransposed) return { name, outputs, weight: values, bias: biases };
      const first = isJoined ? joined * outputs : 0;
      return {
        name,
        outputs,
        weight: turned(values, inputs, all, first, outputs),
        bias: biases?.subarray(first, first + outputs) ?? null,
      };
    },
    norm: (layer, which) => {
      const own = {
        attention: names.attentionNorm,
        feedForward: names.feedForwardNorm,
        final: names.finalNorm,
      }[which];
      const name = layer === null ? own : inLayer(layer, own);
      const gamma = load(`${name}.weight`, [width]);
      const beta = config.family === 'llama' ? null : load(`${name}.bias`, [width]);
      return { name, gamma, beta };
    },
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
