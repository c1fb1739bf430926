/** config.json of ModernBERT, as earlier and as later versions of transformers write it. */

import { z } from 'zod';
import { type ActivationKind, mostInputs } from '../ops/linear.ts';
import { activations, badConfig, typeSchema, unsupported } from './config.ts';
import { modernBertType } from './families.ts';
import { parseJsonFile, quote } from './files.ts';
import { type HeadConfig, headFields } from './head.ts';
import { widestHead } from './rotary.ts';

export interface ModernBertConfig {
  /** Null: config.json names no class. */
  readonly architecture: string | null;
  readonly vocabulary: number;
  readonly width: number;
  readonly heads: number;
  /** Of the feed-forward layers. */
  readonly middle: number;
  readonly activation: ActivationKind;
  readonly headActivation: ActivationKind;
  readonly epsilon: number;
  /** Tokens that a text may have. */
  readonly positions: number;
  /** At least one. */
  readonly layers: readonly ModernBertLayer[];
  readonly biases: {
    readonly norm: boolean;
    readonly attention: boolean;
    readonly feedForward: boolean;
    readonly head: boolean;
  };
  /** How the classifier of a text makes one row of all. */
  readonly pooling: 'cls' | 'mean';
  readonly labels: HeadConfig;
}

export interface ModernBertLayer {
  readonly ropeTheta: number;
  /** How many tokens away a token sees others, to both sides; null: all. */
  readonly reach: number | null;
}

/** Whether config.json is of this family. */
export function isModernBert(bytes: Uint8Array): boolean {
  return parseJsonFile(typeSchema, bytes, 'config.json').model_type === modernBertType;
}

const dimension = z.number().int().min(1).max(0xff_ffff);
const columns = dimension.max(mostInputs);
const flag = z.boolean().default(false);
const theta = z.number().positive();

const ropeFields = z.looseObject({ rope_theta: theta.nullish(), rope_type: z.string().nullish() });

const layerTypes = ['full_attention', 'sliding_attention'] as const;
type LayerType = (typeof layerTypes)[number];

/** What is not given is as transformers has it. */
const schema = z.object({
  architectures: z.array(z.string()).nullish(),
  vocab_size: dimension,
  hidden_size: columns.default(768),
  intermediate_size: columns.default(1152),
  num_hidden_layers: dimension.max(1024).default(22),
  num_attention_heads: dimension.default(12),
  hidden_activation: z.string().default('gelu'),
  max_position_embeddings: dimension.default(8192),
  norm_eps: z.number().nonnegative().max(1).default(1e-5),
  norm_bias: flag,
  attention_bias: flag,
  mlp_bias: flag,
  classifier_bias: flag,
  classifier_activation: z.string().default('gelu'),
  classifier_pooling: z.enum(['cls', 'mean']).default('cls'),
  /** Of tokens in all, half of them to each side. */
  local_attention: z.number().int().min(0).max(0xff_ffff).default(128),
  global_attn_every_n_layers: dimension.default(3),
  layer_types: z.array(z.string()).nullish(),
  global_rope_theta: theta.default(160_000),
  local_rope_theta: theta.nullable().default(10_000),
  rope_parameters: z.record(z.string(), ropeFields.nullish()).nullish(),
  rope_scaling: z.looseObject({}).nullish(),
  ...headFields,
});
type Raw = z.infer<typeof schema>;

export function parseModernBertConfig(bytes: Uint8Array): ModernBertConfig {
  const raw = parseJsonFile(schema, bytes, 'config.json');
  const { hidden_size: width, num_attention_heads: heads } = raw;
  if (width % (2 * heads) !== 0) {
    throw badConfig(
      `hidden_size ${width} is no multiple of twice num_attention_heads ${heads}: rotary positions turn pairs of columns`,
    );
  }
  if (width / heads > widestHead) {
    throw unsupported(
      `a head has ${width / heads} columns`,
      `Supported are heads of at most ${widestHead}.`,
    );
  }
  if (raw.rope_scaling != null) {
    throw unsupported('rope_scaling is not supported', 'Supported is a model without it.');
  }
  return {
    architecture: raw.architectures?.[0] ?? null,
    vocabulary: raw.vocab_size,
    width,
    heads,
    middle: raw.intermediate_size,
    activation: activationOf('hidden_activation', raw.hidden_activation),
    headActivation: activationOf('classifier_activation', raw.classifier_activation),
    epsilon: raw.norm_eps,
    positions: raw.max_position_embeddings,
    layers: typesOf(raw).map((type) => ({
      ropeTheta: thetaOf(raw, type),
      reach: type === 'full_attention' ? null : Math.floor(raw.local_attention / 2),
    })),
    biases: {
      norm: raw.norm_bias,
      attention: raw.attention_bias,
      feedForward: raw.mlp_bias,
      head: raw.classifier_bias,
    },
    pooling: raw.classifier_pooling,
    labels: { id2label: raw.id2label, problem_type: raw.problem_type },
  };
}

const activationKinds: Readonly<Record<string, ActivationKind>> = { ...activations, silu: 'silu' };

function activationOf(field: string, name: string): ActivationKind {
  if (Object.hasOwn(activationKinds, name)) return activationKinds[name]!;
  throw unsupported(
    `${field} ${quote(name)} is not supported`,
    `Supported are ${Object.keys(activationKinds).join(', ')}.`,
  );
}

function typesOf({
  layer_types,
  num_hidden_layers: count,
  global_attn_every_n_layers: every,
}: Raw): readonly LayerType[] {
  if (layer_types == null) {
    return Array.from({ length: count }, (_, layer) => layerTypes[layer % every === 0 ? 0 : 1]);
  }
  if (layer_types.length !== count) {
    throw badConfig(`layer_types has ${layer_types.length} entries for ${count} layers`);
  }
  return layer_types.map((name, layer) => {
    const known = layerTypes.find((type) => type === name);
    if (known !== undefined) return known;
    throw unsupported(
      `layer ${layer} is of the type ${quote(name)}, which is not supported`,
      `Supported are ${layerTypes.join(' and ')}.`,
    );
  });
}

function thetaOf(raw: Raw, type: LayerType): number {
  const { rope_theta, rope_type } = raw.rope_parameters?.[type] ?? {};
  if ((rope_type ?? 'default') !== 'default') {
    throw unsupported(
      `the rope type ${quote(rope_type!)} is not supported`,
      'Supported is default.',
    );
  }
  const { global_rope_theta: ofAll, local_rope_theta: ofLocal } = raw;
  return rope_theta ?? (type === 'full_attention' ? ofAll : (ofLocal ?? ofAll));
}
