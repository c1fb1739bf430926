/** What MobileBERT has besides BERT: bottlenecks around its layers, and scales in place of norms. */
import { z } from 'zod';
import { mostInputs } from '../ops/linear.ts';
import { badConfig, type Config, unsupported } from './config.ts';
import { parseJsonFile, quote } from './files.ts';

export interface Bottlenecks {
  /** Each token is read with its neighbours. */
  readonly readsTrigrams: boolean;
  /** Of rows inside a layer. */
  readonly width: number;
  /** Which of what a layer reads goes through bottlenecks; null: there are none. */
  readonly narrows: 'all' | 'allButValues' | 'residual' | null;
  /** Of a layer, one after the other. */
  readonly feedForwards: number;
  /** `scale`: NoNorm, y = x·gamma + beta. */
  readonly norm: 'scale' | 'layerNorm';
  /** Before the classifier of a text there is a product. */
  readonly hasPooler: boolean;
}

const dimension = z.number().int().min(1).max(mostInputs);
const flag = (standard: boolean) => z.boolean().default(standard);

/** What is not given is as transformers has it. */
const schema = z.object({
  trigram_input: flag(true),
  use_bottleneck: flag(true),
  intra_bottleneck_size: dimension.default(128),
  use_bottleneck_attention: flag(false),
  key_query_shared_bottleneck: flag(true),
  num_feedforward_networks: dimension.max(1024).default(4),
  normalization_type: z.string().default('no_norm'),
  classifier_activation: flag(true),
});
type Raw = z.infer<typeof schema>;

const norms: Readonly<Record<string, Bottlenecks['norm']>> = {
  no_norm: 'scale',
  layer_norm: 'layerNorm',
};

export function parseBottlenecks(bytes: Uint8Array, config: Config): Bottlenecks {
  const raw = parseJsonFile(schema, bytes, 'config.json');
  const { hidden_size, embedding_size, num_attention_heads: heads } = config;
  const { use_bottleneck, intra_bottleneck_size, normalization_type, trigram_input } = raw;
  const width = use_bottleneck ? intra_bottleneck_size : hidden_size;
  if (!Object.hasOwn(norms, normalization_type)) {
    throw unsupported(
      `normalization_type ${quote(normalization_type)} is not supported`,
      `Supported are ${Object.keys(norms).join(' and ')}.`,
    );
  }
  const norm = norms[normalization_type]!;
  if (config.type_vocab_size < 1) throw badConfig('type_vocab_size 0 leaves no segment');
  if (width % heads !== 0) {
    const field = use_bottleneck ? 'intra_bottleneck_size' : 'hidden_size';
    throw badConfig(`${field} ${width} is no multiple of num_attention_heads ${heads}`);
  }
  if (trigram_input && 3 * embedding_size > mostInputs) {
    throw unsupported(
      `three tokens of embedding_size ${embedding_size} are too wide`,
      `Supported are at most ${mostInputs} columns.`,
    );
  }
  if (norm === 'scale' && !trigram_input && embedding_size === hidden_size) {
    throw unsupported(
      'no_norm without trigram_input and with embedding_size = hidden_size is not supported',
      'Supported is no_norm behind a product, which takes its scales.',
    );
  }
  const narrows = narrowsOf(raw);
  if (narrows === 'residual' && width !== hidden_size) {
    throw badConfig(
      'queries and keys are read from a bottleneck with key_query_shared_bottleneck or use_bottleneck_attention only',
    );
  }
  return {
    ...{ readsTrigrams: trigram_input, width, narrows, norm },
    feedForwards: raw.num_feedforward_networks,
    hasPooler: raw.classifier_activation,
  };
}

function narrowsOf(raw: Raw): Bottlenecks['narrows'] {
  if (!raw.use_bottleneck) return null;
  if (raw.use_bottleneck_attention) return 'all';
  return raw.key_query_shared_bottleneck ? 'allButValues' : 'residual';
}
