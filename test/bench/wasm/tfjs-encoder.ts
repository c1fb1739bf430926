/** A BERT of Hugging Face in operations of TensorFlow.js on its WebAssembly backend, in float32. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { loadTensors, type TensorLibrary } from '../../../toolchain/compress/tensors.ts';
import { parseSafetensors, toFloat32 } from '../../../toolchain/importers/safetensors.ts';
import type { EncoderSize } from '../models.ts';
import type { OnnxOutput } from './onnx-encoder.ts';

/** Runs token ids, of one segment. */
export type Run = (ids: readonly number[]) => Float32Array;

/** `folder`: as `writeRandomModel` writes it. */
export async function openTfjsEncoder(
  folder: string,
  size: EncoderSize,
  output: OnnxOutput,
): Promise<Run> {
  const tf = await loadTensors();
  const weights = readWeights(tf, join(folder, 'model.safetensors'));
  const encode = encoder(tf, weights, size, output);
  return (ids) => tf.tidy(() => encode(ids).dataSync() as Float32Array);
}

interface Weights {
  /** Of a linear, for x·w: TensorFlow.js is slow where it must transpose. */
  matrix(name: string): Tensor2D;
  table(name: string): Tensor2D;
  row(name: string): Tensor1D;
}

function readWeights(tf: TensorLibrary, path: string): Weights {
  const stored = parseSafetensors(readFileSync(path), path);
  const read = (name: string) => {
    const tensor = stored.get(name);
    if (tensor === undefined) throw new RangeError(`${path} has no ${name}`);
    return { values: toFloat32(tensor), shape: tensor.shape as number[] };
  };
  const tensors = new Map<string, Tensor1D | Tensor2D>();
  const once = <T extends Tensor1D | Tensor2D>(name: string, make: () => T): T => {
    const known = tensors.get(name) ?? tf.keep(make());
    tensors.set(name, known);
    return known as T;
  };
  const table = (name: string): Tensor2D => {
    const { values, shape } = read(name);
    return tf.tensor2d(values, shape as [number, number]);
  };
  return {
    table: (name) => once(name, () => table(name)),
    matrix: (name) => once(name, () => tf.transpose(table(name)) as Tensor2D),
    row: (name) => once(name, () => tf.tensor1d(read(name).values)),
  };
}

function encoder(
  tf: TensorLibrary,
  { matrix, table, row }: Weights,
  { layers, width, heads }: EncoderSize,
  output: OnnxOutput,
): (ids: readonly number[]) => Tensor2D {
  const linear = (x: Tensor2D, name: string): Tensor2D =>
    tf.add(tf.matMul(x, matrix(`${name}.weight`)), row(`${name}.bias`));
  const norm = (x: Tensor2D, name: string): Tensor2D => {
    const { mean, variance } = tf.moments(x, -1, true);
    const scaled = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-12)));
    return tf.add(tf.mul(scaled, row(`${name}.weight`)), row(`${name}.bias`));
  };
  const gelu = (x: Tensor2D): Tensor2D =>
    tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
  const headsOf = (x: Tensor2D, order: number[]): Tensor3D =>
    tf.transpose(tf.reshape(x, [-1, heads, width / heads]), order);
  const attend = (x: Tensor2D, name: string): Tensor2D => {
    const query = headsOf(linear(x, `${name}.query`), [1, 0, 2]);
    const key = headsOf(linear(x, `${name}.key`), [1, 2, 0]);
    const value = headsOf(linear(x, `${name}.value`), [1, 0, 2]);
    const scores = tf.mul(tf.matMul(query, key), 1 / Math.sqrt(width / heads));
    const mixed = tf.matMul(tf.softmax(scores), value);
    return tf.reshape(tf.transpose(mixed, [1, 0, 2]), [-1, width]);
  };
  return (ids) => {
    const embeddings = 'bert.embeddings';
    const words = tf.gather(table(`${embeddings}.word_embeddings.weight`), [...ids]);
    const places = tf.slice(table(`${embeddings}.position_embeddings.weight`), 0, ids.length);
    const segment = tf.slice(table(`${embeddings}.token_type_embeddings.weight`), 0, 1);
    const sum = tf.add(tf.add(words, places), segment) as Tensor2D;
    let x = norm(sum, `${embeddings}.LayerNorm`);
    for (let index = 0; index < layers; index++) {
      const layer = `bert.encoder.layer.${index}`;
      const mixed = linear(attend(x, `${layer}.attention.self`), `${layer}.attention.output.dense`);
      x = norm(tf.add(mixed, x), `${layer}.attention.output.LayerNorm`);
      const wide = gelu(linear(x, `${layer}.intermediate.dense`));
      x = norm(tf.add(linear(wide, `${layer}.output.dense`), x), `${layer}.output.LayerNorm`);
    }
    if (output === 'hidden') return x;
    const pooled = tf.tanh(linear(tf.slice(x, 0, 1), 'bert.pooler.dense')) as Tensor2D;
    return linear(pooled, 'classifier');
  };
}
