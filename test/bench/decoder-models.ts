/** Decoders with random weights, which make no difference to instructions, as Hugging Face folders. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { joinSafetensors } from '../importers/model-files.ts';
import { makeRandom } from '../tokenizer/samples.ts';

export interface DecoderSize {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly hidden: number;
  readonly vocabulary: number;
}

/**
 * `story`: the shape of llama2.c's 260K model. `writer`: a decoder of 1.2 million parameters with
 * heads of 16 columns, which share keys and values in pairs.
 */
export const decoders = {
  story: { width: 64, layers: 5, heads: 8, keyValueHeads: 4, hidden: 172, vocabulary: 512 },
  writer: { width: 128, layers: 6, heads: 8, keyValueHeads: 4, hidden: 344, vocabulary: 1024 },
} as const satisfies Record<string, DecoderSize>;
export type DecoderName = keyof typeof decoders;

/** Of the Llama kind, its head tied to its words. */
export function writeRandomDecoder(folder: string, size: DecoderSize, positions: number): void {
  const { width, layers, heads, keyValueHeads, hidden, vocabulary } = size;
  const config = {
    ...{ model_type: 'llama', architectures: ['LlamaForCausalLM'], tie_word_embeddings: true },
    ...{ hidden_size: width, num_hidden_layers: layers, intermediate_size: hidden },
    ...{ num_attention_heads: heads, num_key_value_heads: keyValueHeads },
    ...{ vocab_size: vocabulary, max_position_embeddings: positions, rms_norm_eps: 1e-5 },
  };
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const words = Array.from({ length: vocabulary - special.length }, (_, i) => `w${i}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'vocab.txt'), `${[...special, ...words].join('\n')}\n`);
  writeFileSync(join(folder, 'model.safetensors'), randomWeights(size));
}

function randomWeights(size: DecoderSize): Uint8Array {
  const random = makeRandom(1);
  const header: Record<string, object> = {};
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [name, shape] of shapesOf(size)) {
    const isNorm = shape.length === 1;
    const spread = isNorm ? 0.2 : 2 / Math.sqrt(shape.at(-1)!);
    const values = Float32Array.from(
      { length: shape.reduce((product, one) => product * one, 1) },
      () => (isNorm ? 1 : 0) + spread * (random(2001) / 1000 - 1),
    );
    const bytes = Buffer.from(values.buffer);
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  return joinSafetensors(JSON.stringify(header), Buffer.concat(parts));
}

function shapesOf(size: DecoderSize): readonly (readonly [string, readonly number[]])[] {
  const { width, layers, heads, keyValueHeads, hidden, vocabulary } = size;
  const shared = (width / heads) * keyValueHeads;
  return [
    ['model.embed_tokens.weight', [vocabulary, width]],
    ...Array.from({ length: layers }, (_, index) => `model.layers.${index}`).flatMap(
      (layer) =>
        [
          [`${layer}.input_layernorm.weight`, [width]],
          [`${layer}.self_attn.q_proj.weight`, [width, width]],
          [`${layer}.self_attn.k_proj.weight`, [shared, width]],
          [`${layer}.self_attn.v_proj.weight`, [shared, width]],
          [`${layer}.self_attn.o_proj.weight`, [width, width]],
          [`${layer}.post_attention_layernorm.weight`, [width]],
          [`${layer}.mlp.gate_proj.weight`, [hidden, width]],
          [`${layer}.mlp.up_proj.weight`, [hidden, width]],
          [`${layer}.mlp.down_proj.weight`, [width, hidden]],
        ] as const,
    ),
    ['model.norm.weight', [width]],
  ];
}
