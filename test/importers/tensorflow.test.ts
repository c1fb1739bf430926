import '@tensorflow/tfjs-backend-cpu';
import { loadGraphModelSync } from '@tensorflow/tfjs-converter';
import { setBackend, type Tensor, tensor2d } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import { importTfjs } from '../../toolchain/importers/tfjs/import.ts';
import { importTflite } from '../../toolchain/importers/tflite/import.ts';
import { floatOutput, integerGraph, relativeError, roundedOutput } from './compare-graphs.ts';
import { filesOfSource, type Golden, modelFiles, readJson, subfolders } from './export-files.ts';

const tfjs = subfolders('tfjs').filter((folder) => !folder.endsWith('/layers'));

/** The folder whose weights an export has. */
const sourceOf = (name: string): string => (name.endsWith('kerashub') ? 'bert-tanh-gelu' : 'bert');
const graphOf = (source: string) => integerGraph(importHuggingFace(modelFiles(source), source));

beforeAll(() => setBackend('cpu'));

/** What TensorFlow.js computes of the folder. */
async function outputOfTfjs(folder: string, { ids, segmentStart }: Golden): Promise<number[]> {
  const files = filesOfSource(folder);
  const json = JSON.parse(new TextDecoder().decode(files['model.json']));
  const [{ paths, weights }] = json.weightsManifest;
  const model = loadGraphModelSync({
    load: () => ({
      modelTopology: json.modelTopology,
      signature: json.signature,
      weightSpecs: weights,
      weightData: new Uint8Array(Buffer.concat(paths.map((path: string) => files[path]!))).buffer,
    }),
  });
  const segments = ids.map((_, index) => (index >= segmentStart ? 1 : 0));
  const inputs = Object.fromEntries(
    model.inputs.map(({ name }) => {
      const isSegment = /type|segment/.test(name);
      const values = name.includes('mask') ? ids.map(() => 1) : isSegment ? segments : ids;
      return [name, tensor2d([Array.from(values)], [1, ids.length], 'int32')];
    }),
  );
  const output = model.predict(inputs) as Tensor | Record<string, Tensor>;
  const tensor = 'dataSync' in output ? (output as Tensor) : Object.values(output)[0]!;
  return Array.from(tensor.dataSync());
}

describe('tfjs folders compute what TensorFlow.js computes', () => {
  test.each(tfjs)('%s', async (folder) => {
    const model = importTfjs(modelFiles(folder), 'model.json', folder);
    for (const golden of readJson<Golden[]>(`${sourceOf(folder)}/golden.json`)) {
      // The tanh of its pooler is fused with the product, which TensorFlow.js cannot do on a CPU.
      const isFused = folder.endsWith('kerashub');
      const expected = isFused ? golden.values : await outputOfTfjs(folder, golden);
      const output = floatOutput(model, { ...golden, ids: Int32Array.from(golden.ids) });
      expect(relativeError(output, expected)).toBeLessThan(1e-3);
    }
  });
});

/** Other weights: rounded to fewer bits. */
const isRounded = /int8|int16|float16|half/;

describe('tfjs folders become the integer graph of the folder they are of, bit for bit', () => {
  test.each(tfjs.filter((folder) => !isRounded.test(folder)))('%s', (folder) => {
    const model = importTfjs(modelFiles(folder), 'model.json', folder);
    expect(Buffer.compare(integerGraph(model), graphOf(sourceOf(folder)))).toBe(0);
  });
});

test('a layers model of Keras computes what Keras computes', () => {
  const model = importTfjs(modelFiles('tfjs/layers'), 'model.json', 'layers');
  expect(model.card).toMatchObject({ kind: 'classification', scores: 'softmax', maxPositions: 24 });
  for (const { ids, segmentStart, values } of readJson<Golden[]>('layers.json')) {
    const logits = floatOutput(model, { ids: Int32Array.from(ids), segmentStart });
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    const scores = logits.map((logit) => Math.exp(logit) / sum);
    expect(relativeError(scores, values)).toBeLessThan(1e-3);
  }
});

const tflite = readJson<Record<string, Golden[]>>('tflite.json');

describe('TFLite files compute what TensorFlow Lite computes', () => {
  test.each(Object.keys(tflite).filter((name) => name !== 'int8'))('%s', (name) => {
    const model = importTflite(modelFiles('tflite'), `${name}.tflite`, name);
    for (const { ids, segmentStart, values } of tflite[name]!) {
      const output = floatOutput(model, { ids: Int32Array.from(ids), segmentStart });
      expect(relativeError(output, values)).toBeLessThan(1e-3);
    }
  });

  test('int8, where each step of a LayerNorm is rounded to 8 bits, too', () => {
    const model = importTflite(modelFiles('tflite'), 'int8.tflite', 'int8');
    expect(model.stored!.size).toBeGreaterThanOrEqual(12);
    for (const { ids, segmentStart, values } of tflite['int8']!) {
      const output = roundedOutput(model, { ids: Int32Array.from(ids), segmentStart });
      expect(output.indexOf(Math.max(...output))).toBe(values.indexOf(Math.max(...values)));
      expect(relativeError(output, values)).toBeLessThan(0.1);
    }
  });

  test.each(['module', 'einsum'])('%s is the integer graph of its folder', (name) => {
    const model = importTflite(modelFiles('tflite'), `${name}.tflite`, name);
    expect(Buffer.compare(integerGraph(model), graphOf(sourceOf(name)))).toBe(0);
  });
});
