/**
 * The shape of an adaptive block-wise decoder, and its config.json: a chain of blocks, each with its own
 * width, feed-forward width and number of layers; a projection where the width changes; the output
 * layer is the token table. `firmware-templates/pytorch/merino.py` says what it computes.
 */
import * as z from 'zod';
import { userError } from '../errors.ts';
import { parseJsonFile } from '../importers/files.ts';

export interface Block {
  readonly width: number;
  readonly heads: number;
  readonly feedForward: number;
  readonly layers: number;
  /** All layers have the weights of one. */
  readonly isShared: boolean;
}

export interface Architecture {
  readonly vocabulary: number;
  /** Tokens that a text may have, prompt included. */
  readonly context: number;
  /** Width of the token and position tables. */
  readonly embedding: number;
  readonly blocks: readonly Block[];
}

const count = z.number().int().min(1).max(0xff_ffff);
const configSchema = z.object({
  model_type: z.literal('merino'),
  vocab_size: count,
  max_position_embeddings: count,
  tie_word_embeddings: z.literal(true).default(true),
  embedding_size: count.optional(),
  blocks: z
    .array(
      z.object({
        hidden_size: count,
        num_attention_heads: count,
        intermediate_size: count,
        num_hidden_layers: count,
        share_parameters: z.boolean().default(false),
      }),
    )
    .nonempty(),
});

export function parseArchitecture(bytes: Uint8Array, where: string): Architecture {
  const config = parseJsonFile(configSchema, bytes, where);
  const blocks = config.blocks.map((block) => ({
    width: block.hidden_size,
    heads: block.num_attention_heads,
    feedForward: block.intermediate_size,
    layers: block.num_hidden_layers,
    isShared: block.share_parameters,
  }));
  const odd = blocks.find(({ width, heads }) => width % heads !== 0);
  if (odd !== undefined) {
    throw userError({
      code: 'bad-config',
      message: `hidden_size ${odd.width} is no multiple of num_attention_heads ${odd.heads}`,
      where,
      hint: 'Give every block a width that its heads divide.',
    });
  }
  return {
    vocabulary: config.vocab_size,
    context: config.max_position_embeddings,
    embedding: config.embedding_size ?? blocks[0]!.width,
    blocks,
  };
}

/** config.json; tokens that begin and end a text are the tokenizer's to name. */
export function configOf({ vocabulary, context, embedding, blocks }: Architecture): object {
  return {
    model_type: 'merino',
    architectures: ['MerinoForCausalLM'],
    vocab_size: vocabulary,
    max_position_embeddings: context,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-5,
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 0,
    embedding_size: embedding,
    blocks: blocks.map((block) => ({
      hidden_size: block.width,
      num_attention_heads: block.heads,
      intermediate_size: block.feedForward,
      num_hidden_layers: block.layers,
      share_parameters: block.isShared,
    })),
  };
}

/** `64 × 3 (96), 128 × 2 (256) shared`: width × layers (feed-forward width). */
export function shapeText(blocks: readonly Block[]): string {
  return blocks
    .map(
      ({ width, layers, feedForward, isShared }) =>
        `${width} × ${layers} (${feedForward})${isShared ? ' shared' : ''}`,
    )
    .join(', ');
}
