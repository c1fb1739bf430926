/**
 * The networks that are measured. BERT-tiny is the trained example; BERT-mini has random weights and
 * a small vocabulary, for neither makes a difference to instructions or to the arena.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagePath } from '../../toolchain/package-root.ts';
import { joinSafetensors } from '../importers/model-files.ts';
import { makeRandom } from '../tokenizer/samples.ts';

export const models = ['tiny', 'mini'] as const;
export type ModelName = (typeof models)[number];

export interface EncoderSize {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly feedForward: number;
  readonly positions: number;
  readonly vocabulary: number;
}

const mini: EncoderSize = {
  ...{ layers: 4, width: 256, heads: 4, feedForward: 1024 },
  ...{ positions: 512, vocabulary: 2000 },
};

/** The model's folder; one that has to be made is made in `folder`. */
export function modelPath(model: ModelName, folder: string): string {
  if (model === 'tiny') return packagePath('examples', 'debian-sections', 'model');
  const path = join(folder, model);
  writeRandomModel(path, mini);
  return path;
}

/** A classifier of two classes as Hugging Face writes it, with random weights; `isPerToken`: of tokens. */
export function writeRandomModel(folder: string, size: EncoderSize, isPerToken = false): void {
  const architecture = `BertFor${isPerToken ? 'Token' : 'Sequence'}Classification`;
  const config = {
    ...{ model_type: 'bert', architectures: [architecture] },
    ...{ hidden_size: size.width, num_hidden_layers: size.layers },
    ...{ num_attention_heads: size.heads, intermediate_size: size.feedForward },
    ...{ max_position_embeddings: size.positions, type_vocab_size: 2 },
    ...{ vocab_size: size.vocabulary, hidden_act: 'gelu', layer_norm_eps: 1e-12 },
    id2label: { 0: 'no', 1: 'yes' },
  };
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const words = Array.from({ length: size.vocabulary - special.length }, (_, i) => `w${i}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'vocab.txt'), `${[...special, ...words].join('\n')}\n`);
  writeFileSync(join(folder, 'model.safetensors'), randomWeights(size));
}

function randomWeights(size: EncoderSize): Uint8Array {
  const random = makeRandom(1);
  const header: Record<string, object> = {};
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [name, shape] of shapesOf(size)) {
    const centre = name.endsWith('LayerNorm.weight') ? 1 : 0;
    const spread = 1 / Math.sqrt(shape.at(-1)!);
    const values = Float32Array.from(
      { length: shape.reduce((product, one) => product * one, 1) },
      () => centre + spread * (random(2001) / 1000 - 1),
    );
    const bytes = Buffer.from(values.buffer);
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  return joinSafetensors(JSON.stringify(header), Buffer.concat(parts));
}

function shapesOf(size: EncoderSize): readonly (readonly [string, readonly number[]])[] {
  const { layers, width, feedForward, positions, vocabulary } = size;
  const linear = (name: string, inputs: number, outputs: number) =>
    [
      [`${name}.weight`, [outputs, inputs]],
      [`${name}.bias`, [outputs]],
    ] as const;
  const norm = (name: string) =>
    [
      [`${name}.weight`, [width]],
      [`${name}.bias`, [width]],
    ] as const;
  return [
    ['bert.embeddings.word_embeddings.weight', [vocabulary, width]],
    ['bert.embeddings.position_embeddings.weight', [positions, width]],
    ['bert.embeddings.token_type_embeddings.weight', [2, width]],
    ...norm('bert.embeddings.LayerNorm'),
    ...Array.from({ length: layers }, (_, index) => `bert.encoder.layer.${index}`).flatMap(
      (layer) => [
        ...['query', 'key', 'value'].flatMap((part) =>
          linear(`${layer}.attention.self.${part}`, width, width),
        ),
        ...linear(`${layer}.attention.output.dense`, width, width),
        ...norm(`${layer}.attention.output.LayerNorm`),
        ...linear(`${layer}.intermediate.dense`, width, feedForward),
        ...linear(`${layer}.output.dense`, feedForward, width),
        ...norm(`${layer}.output.LayerNorm`),
      ],
    ),
    ...linear('bert.pooler.dense', width, width),
    ...linear('classifier', width, 2),
  ];
}
