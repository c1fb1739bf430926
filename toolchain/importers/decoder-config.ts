/** config.json of a decoder, of whichever family, as one form. */

import { z } from 'zod';
import { type ActivationKind, mostInputs, mostWideInputs } from '../ops/linear.ts';
import { activations, badConfig, typeSchema, unsupported } from './config.ts';
import { type DecoderFamily, decoderFamilies } from './families.ts';
import { parseJsonFile, quote } from './files.ts';
import { widestHead } from './rotary.ts';

export interface DecoderConfig {
  readonly family: DecoderFamily;
  readonly vocabulary: number;
  /** Of the tables of words and of positions. */
  readonly embeddingWidth: number;
  /** At least one. */
  readonly layers: readonly LayerConfig[];
  readonly activation: ActivationKind;
  readonly epsilon: number;
  /** Tokens that a text may have. */
  readonly positions: number;
  readonly tiesHead: boolean;
  /** Of the rotary embedding; null: positions have a table. */
  readonly ropeTheta: number | null;
  /** The class of transformers. */
  readonly architecture: string;
  /** After any of these tokens a text has ended. */
  readonly endTokens: readonly number[];
}

export interface LayerConfig {
  /** What its nodes' names begin with. */
  readonly name: string;
  /** What the names of its weights begin with, which it may share with another layer. */
  readonly stored: string;
  readonly width: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headWidth: number;
  /** Of the feed-forward layer. */
  readonly middle: number;
  /** Factor on the scores of attention. */
  readonly scale: number;
  /** Name of the product that brings the residual stream to the layer's width; null: it has it. */
  readonly projection: string | null;
}

/** Null: config.json is of no decoder. */
export function decoderFamilyOf(bytes: Uint8Array): DecoderFamily | null {
  const { model_type } = parseJsonFile(typeSchema, bytes, 'config.json');
  const isDecoder = Object.hasOwn(decoderFamilies, model_type ?? '');
  return isDecoder ? decoderFamilies[model_type as keyof typeof decoderFamilies] : null;
}

/** The classes of transformers that each family is. */
export const decoderClasses: Readonly<Record<DecoderFamily, readonly string[]>> = {
  gpt2: ['GPT2LMHeadModel'],
  opt: ['OPTForCausalLM'],
  llama: ['LlamaForCausalLM', 'Qwen2ForCausalLM'],
  merino: ['MerinoForCausalLM'],
};

const dimension = z.number().int().min(1).max(0xff_ffff);
const columns = dimension.max(mostInputs);
const token = z.number().int().min(0).max(0xff_ffff);

const commonFields = {
  architectures: z.array(z.string()).nullish(),
  vocab_size: dimension,
  eos_token_id: z.union([token, z.array(token)]).nullish(),
};

const gpt2Schema = z.object({
  ...commonFields,
  n_embd: columns,
  n_layer: dimension.max(1024),
  n_head: dimension,
  n_positions: dimension,
  n_inner: columns.nullish(),
  activation_function: z.string().default('gelu_new'),
  layer_norm_epsilon: z.number().nonnegative().max(1).default(1e-5),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
});

const optSchema = z.object({
  ...commonFields,
  hidden_size: columns,
  num_hidden_layers: dimension.max(1024),
  num_attention_heads: dimension,
  ffn_dim: columns,
  max_position_embeddings: dimension,
  activation_function: z.string().default('relu'),
  word_embed_proj_dim: dimension.nullish(),
  do_layer_norm_before: z.boolean().default(true),
  _remove_final_layer_norm: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
});

const ropeFields = z.looseObject({
  rope_theta: z.number().positive().nullish(),
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
});
const llamaSchema = z.object({
  ...commonFields,
  hidden_size: columns,
  num_hidden_layers: dimension.max(1024),
  num_attention_heads: dimension,
  num_key_value_heads: dimension.nullish(),
  head_dim: dimension.nullish(),
  intermediate_size: columns,
  max_position_embeddings: dimension,
  hidden_act: z.string().default('silu'),
  rms_norm_eps: z.number().nonnegative().max(1).default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeFields.nullish(),
  rope_parameters: ropeFields.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  use_sliding_window: z.boolean().default(false),
  layer_types: z.array(z.string()).nullish(),
});

/**
 * Blocks of layers, each block with a width, heads and feed-forward width of its own: layers as OPT has
 * them, learned positions, a bias in every product unless said.
 *
 *   x = embed_tokens[token] + embed_positions[position]
 *   x = embed_projection(x)              where embedding_size is not the first block's width
 *   a block: x = projection(x)           where its width is not that of the block before
 *            its layers; with share_parameters all of them have the weights of the first
 *   x = final_layer_norm(x)
 *   x = head_projection(x), no bias      where the last width is not embedding_size
 *   logits = x·embed_tokensᵀ             or lm_head, no bias
 *
 * Weights: model.{embed_tokens, embed_positions, embed_projection, final_layer_norm, head_projection},
 * model.blocks.I.projection and model.blocks.I.layers.J with OPT's names.
 */
const merinoSchema = z.object({
  ...commonFields,
  max_position_embeddings: dimension,
  hidden_act: z.string(),
  layer_norm_eps: z.number().nonnegative().max(1),
  tie_word_embeddings: z.boolean().default(true),
  embedding_size: columns.nullish(),
  blocks: z
    .array(
      z.strictObject({
        hidden_size: columns,
        num_attention_heads: dimension,
        intermediate_size: columns,
        num_hidden_layers: dimension.max(1024),
        share_parameters: z.boolean().default(false),
      }),
    )
    .min(1)
    .max(1024),
});

export function parseDecoderConfig(family: DecoderFamily, bytes: Uint8Array): DecoderConfig {
  const config = readers[family](bytes);
  const isTurned = config.ropeTheta !== null;
  for (const { width, heads, keyValueHeads, headWidth } of config.layers) {
    if (!isTurned && heads * headWidth !== width) {
      throw badConfig(`the width ${width} is no multiple of the number of heads, ${heads}`);
    }
    if (heads % keyValueHeads !== 0) {
      throw badConfig(`${heads} heads cannot share the keys and values of ${keyValueHeads}`);
    }
    if (isTurned && headWidth % 2 !== 0) {
      throw badConfig(`a head has ${headWidth} columns; rotary positions turn two at a time`);
    }
  }
  return config;
}

const readers: Readonly<Record<DecoderFamily, (bytes: Uint8Array) => DecoderConfig>> = {
  gpt2: (bytes) => {
    const config = parseJsonFile(gpt2Schema, bytes, 'config.json');
    const { n_embd: width, n_head: heads } = config;
    const scale = config.scale_attn_weights ? 1 / Math.sqrt(width / heads) : 1;
    return {
      ...commonOf('gpt2', config, config.activation_function),
      embeddingWidth: width,
      layers: equalLayers('h', config.n_layer, (layer) => ({
        ...headsOf(width, heads),
        middle: config.n_inner ?? 4 * width,
        scale: config.scale_attn_by_inverse_layer_idx ? scale / (layer + 1) : scale,
      })),
      epsilon: config.layer_norm_epsilon,
      positions: config.n_positions,
      tiesHead: config.tie_word_embeddings,
      scoreScale: (layer: number) =>
        config.scale_attn_by_inverse_layer_idx ? scale / (layer + 1) : scale,
      ropeTheta: null,
    };
  },
  opt: (bytes) => {
    const config = parseJsonFile(optSchema, bytes, 'config.json');
    const { hidden_size: width, num_attention_heads: heads } = config;
    if (!config.do_layer_norm_before || config._remove_final_layer_norm) {
      throw unsupported(
        'normalization behind the residual sums (do_layer_norm_before: false) is not supported',
        'Supported is do_layer_norm_before: true with a final normalization.',
      );
    }
    if ((config.word_embed_proj_dim ?? width) !== width) {
      throw unsupported(
        `word_embed_proj_dim ${config.word_embed_proj_dim} is not supported`,
        `Supported is the width of the layers, ${width}.`,
      );
    }
    return {
      ...commonOf('opt', config, config.activation_function),
      embeddingWidth: width,
      layers: equalLayers('layers', config.num_hidden_layers, () => ({
        ...headsOf(width, heads),
        middle: config.ffn_dim,
        scale: 1 / Math.sqrt(width / heads),
      })),
      epsilon: 1e-5, // torch.nn.LayerNorm's own
      positions: config.max_position_embeddings,
      tiesHead: config.tie_word_embeddings,
      ropeTheta: null,
    };
  },
  llama: (bytes) => {
    const config = parseJsonFile(llamaSchema, bytes, 'config.json');
    const { hidden_size: width, num_attention_heads: heads } = config;
    const headWidth = config.head_dim ?? Math.floor(width / heads);
    if (headWidth > widestHead) {
      throw unsupported(
        `heads have ${headWidth} columns`,
        `Supported are heads of at most ${widestHead}.`,
      );
    }
    const layerTypes = new Set(config.layer_types ?? []);
    if (config.use_sliding_window || [...layerTypes].some((type) => type !== 'full_attention')) {
      throw unsupported(
        'layers that attend to a window of tokens are not supported',
        'Supported is full_attention; a cache of the newest tokens can be asked for when building.',
      );
    }
    const rope = config.rope_parameters ?? config.rope_scaling ?? {};
    const ropeType = rope.rope_type ?? rope.type ?? 'default';
    if (ropeType !== 'default') {
      throw unsupported(
        `the rope type ${quote(ropeType)} is not supported`,
        'Supported is default.',
      );
    }
    return {
      ...commonOf('llama', config, config.hidden_act),
      embeddingWidth: width,
      layers: equalLayers('layers', config.num_hidden_layers, () => ({
        ...{ width, heads, keyValueHeads: config.num_key_value_heads ?? heads, headWidth },
        middle: config.intermediate_size,
        scale: 1 / Math.sqrt(headWidth),
      })),
      epsilon: config.rms_norm_eps,
      positions: config.max_position_embeddings,
      tiesHead: config.tie_word_embeddings,
      ropeTheta: rope.rope_theta ?? config.rope_theta ?? 10_000,
    };
  },
  merino: (bytes) => {
    const config = parseJsonFile(merinoSchema, bytes, 'config.json');
    const { blocks } = config;
    const embeddingWidth = config.embedding_size ?? blocks[0]!.hidden_size;
    return {
      ...commonOf('merino', config, config.hidden_act),
      embeddingWidth,
      layers: blocks.flatMap((block, index) => {
        const before = index === 0 ? embeddingWidth : blocks[index - 1]!.hidden_size;
        return layersOf(block, index, before);
      }),
      epsilon: config.layer_norm_eps,
      positions: config.max_position_embeddings,
      tiesHead: config.tie_word_embeddings,
      ropeTheta: null,
    };
  },
};

type MerinoBlock = z.infer<typeof merinoSchema>['blocks'][number];

/** `before`: the width that the residual stream comes with. */
function layersOf(block: MerinoBlock, index: number, before: number): readonly LayerConfig[] {
  const { hidden_size: width, num_attention_heads: heads } = block;
  if (before !== width && before > mostWideInputs) {
    throw unsupported(
      `block ${index} projects ${before} columns of the residual stream`,
      `Supported are ${mostWideInputs}.`,
    );
  }
  const projection = index === 0 ? 'embed_projection' : `blocks.${index}.projection`;
  return Array.from({ length: block.num_hidden_layers }, (_, layer) => ({
    ...headsOf(width, heads),
    name: `blocks.${index}.layers.${layer}`,
    stored: `blocks.${index}.layers.${block.share_parameters ? 0 : layer}`,
    middle: block.intermediate_size,
    scale: 1 / Math.sqrt(width / heads),
    projection: layer === 0 && before !== width ? projection : null,
  }));
}

/** Layers of one width, whose weights are stored by their number. */
function equalLayers(
  prefix: string,
  count: number,
  sizes: (layer: number) => Omit<LayerConfig, 'name' | 'stored' | 'projection'>,
): readonly LayerConfig[] {
  return Array.from({ length: count }, (_, layer) => {
    const name = `${prefix}.${layer}`;
    return { ...sizes(layer), name, stored: name, projection: null };
  });
}

/** What attention has where all heads have keys and values of their own. */
function headsOf(width: number, heads: number) {
  return { width, heads, keyValueHeads: heads, headWidth: Math.floor(width / heads) };
}

function commonOf(
  family: DecoderFamily,
  config: z.infer<z.ZodObject<typeof commonFields>>,
  activation: string,
): Pick<DecoderConfig, 'family' | 'architecture' | 'vocabulary' | 'activation' | 'endTokens'> {
  const [named] = config.architectures ?? [];
  const supported = decoderClasses[family];
  if (named !== undefined && !supported.includes(named)) {
    throw unsupported(
      `the architecture ${quote(named)} is not supported`,
      `Supported is ${supported.join(', ')}.`,
    );
  }
  const kinds: Readonly<Record<string, ActivationKind>> = { ...activations, silu: 'silu' };
  if (!Object.hasOwn(kinds, activation)) {
    throw unsupported(
      `the activation ${quote(activation)} is not supported`,
      `Supported are ${Object.keys(kinds).join(', ')}.`,
    );
  }
  const end = config.eos_token_id;
  return {
    family,
    architecture: named ?? supported[0]!,
    vocabulary: config.vocab_size,
    activation: kinds[activation]!,
    endTokens: end == null ? [] : [end].flat(),
  };
}
