/** config.json of a model of the BERT kind, as typed data with BERT's names. */
import { z } from 'zod';
import { type Lm2mcuError, userError } from '../errors.ts';
import { type ActivationKind, mostInputs } from '../ops/linear.ts';
import {
  type Family,
  families,
  familyOf,
  type ModelType,
  supportedTypes,
  unsupportedTypes,
} from './families.ts';
import { parseJsonFile, quote } from './files.ts';
import { headFields } from './head.ts';

const dimension = z.number().int().min(1).max(0xff_ffff);

const commonFields = {
  architectures: z.array(z.string()).nullish(),
  hidden_size: dimension.max(mostInputs),
  num_attention_heads: dimension,
  num_hidden_layers: dimension.max(1024),
  intermediate_size: dimension.max(mostInputs),
  vocab_size: dimension,
  max_position_embeddings: dimension,
  type_vocab_size: z.number().int().min(0).max(0xff_ffff).default(2),
  hidden_act: z.string().default('gelu'),
  layer_norm_eps: z.number().nonnegative().max(1).default(1e-12),
  position_embedding_type: z.string().nullish(),
  is_decoder: z.boolean().nullish(),
  embedding_size: dimension.max(mostInputs).nullish(),
  num_hidden_groups: dimension.nullish(),
  inner_group_num: dimension.nullish(),
  pad_token_id: z.number().int().min(0).max(0xffff).nullish(),
  ...headFields,
};
const configSchema = z.object(commonFields);

export type Config = z.infer<typeof configSchema> & {
  readonly model_type: ModelType;
  readonly embedding_size: number;
  readonly num_hidden_groups: number;
  /** Tokens that a text may have. */
  readonly positions: number;
};

export const typeSchema = z.looseObject({
  model_type: z.string().nullish(),
  architectures: z.array(z.string()).nullish(),
});

export function parseConfig(bytes: Uint8Array): Config {
  const raw = parseJsonFile(typeSchema, bytes, 'config.json');
  const type = raw.model_type ?? 'bert';
  const [named] = raw.architectures ?? [];
  if (!Object.hasOwn(families, type)) {
    throw unsupported(
      `the model type ${quote(type)} is not supported`,
      `${unsupportedTypes[type] ?? ''} Supported are ${supportedTypes.join(', ')}.`.trim(),
    );
  }
  const family = familyOf(type as ModelType);
  if (named !== undefined) checkArchitecture(type as ModelType, named);
  const own = Object.entries(family.configNames ?? {}).flatMap(([name, theirs]) =>
    raw[theirs] === undefined ? [] : [[name, raw[theirs]]],
  );
  const fields = {
    ...family.standardConfig,
    ...raw,
    ...Object.fromEntries(own),
    ...family.fixedConfig,
  };
  const text = new TextEncoder().encode(JSON.stringify(fields));
  const config = parseJsonFile(configSchema, text, 'config.json');
  checkConfig(config, family);
  const skipped = family.skipsPaddingPositions === true ? (config.pad_token_id ?? 1) + 1 : 0;
  const full: Config = {
    ...config,
    model_type: type as ModelType,
    embedding_size:
      family.projection === null
        ? config.hidden_size
        : (config.embedding_size ?? config.hidden_size),
    num_hidden_groups: config.num_hidden_groups ?? 1,
    positions: config.max_position_embeddings - skipped,
  };
  if (full.positions < 1) {
    throw badConfig(`max_position_embeddings ${config.max_position_embeddings} leaves no position`);
  }
  return full;
}

export const activations: Readonly<Record<string, ActivationKind>> = {
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  relu: 'relu',
};

export function checkArchitecture(type: ModelType, named: string): void {
  const { heads } = familyOf(type);
  if (Object.hasOwn(heads, named)) return;
  throw unsupported(
    `the architecture ${quote(named)} is not supported`,
    `Supported are ${Object.keys(heads).join(', ')}.`,
  );
}

function checkConfig(config: z.infer<typeof configSchema>, { hasBottlenecks }: Family): void {
  const { hidden_act, hidden_size, num_attention_heads } = config;
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
  if ((config.inner_group_num ?? 1) !== 1) {
    throw unsupported(
      `inner_group_num ${config.inner_group_num} is not supported`,
      'Supported is 1: a group of layers shares one layer.',
    );
  }
  if (hasBottlenecks !== true && hidden_size % num_attention_heads !== 0) {
    throw badConfig(
      `hidden_size ${hidden_size} is no multiple of num_attention_heads ${num_attention_heads}`,
    );
  }
}

export function badConfig(message: string): Lm2mcuError {
  return userError({
    code: 'bad-config',
    message,
    where: 'config.json',
    hint: 'Take the config.json that was saved with these weights.',
  });
}

export function unsupported(message: string, hint: string): Lm2mcuError {
  return userError({ code: 'unsupported-model', message, where: 'config.json', hint });
}
