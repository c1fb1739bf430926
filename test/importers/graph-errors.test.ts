/** What is said of graph files that cannot be read or compiled, in `graph-errors.txt`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { filesFromMemory } from '../../toolchain/importers/files.ts';
import { importOnnx } from '../../toolchain/importers/onnx/import.ts';
import { onnxModelType } from '../../toolchain/importers/onnx/schema.ts';
import { importTfjs } from '../../toolchain/importers/tfjs/import.ts';
import { importTflite } from '../../toolchain/importers/tflite/import.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { filesOfSource } from './export-files.ts';
import { type Files, textOf, utf8, without } from './model-files.ts';

const bert = filesOfSource('bert');
const tfjs = filesOfSource('tfjs/module');
const sharded = filesOfSource('tfjs/sharded');
const layers = filesOfSource('tfjs/layers');
const tflite = filesOfSource('tflite');

const onnx =
  (files: Files, file = 'torchscript-17.onnx') =>
  () =>
    importOnnx(filesFromMemory(files), file, 'model');
const webModel = (files: Files) => () => importTfjs(filesFromMemory(files), 'model.json', 'model');
const lite = (files: Files) => () => importTflite(filesFromMemory(files), 'module.tflite', 'model');

/** A decoded message changed and encoded again. */
// biome-ignore lint/suspicious/noExplicitAny: the message as protobufjs decodes it
function edited(file: string, edit: (graph: any, model: any) => void): Files {
  const message = onnxModelType.decode(bert[file]!) as unknown as { graph: unknown };
  edit(message.graph, message);
  const bytes = onnxModelType.encode(onnxModelType.fromObject(message)).finish();
  return { ...bert, 'torchscript-17.onnx': new Uint8Array(bytes) };
}

const topology = (files: Files, from: RegExp, to: string): Files => ({
  ...files,
  'model.json': utf8(textOf(files['model.json']).replace(from, to)),
});

const cut = (bytes: Uint8Array | undefined, size: number) => bytes!.slice(0, size);
const word = (bytes: Uint8Array | undefined, at: number, value: number): Uint8Array => {
  const changed = bytes!.slice();
  new DataView(changed.buffer).setUint32(at, value, true);
  return changed;
};

const cases: Readonly<Record<string, () => unknown>> = {
  'an ONNX file that is a pointer': onnx({
    ...bert,
    'torchscript-17.onnx': utf8('version https://git-lfs'),
  }),
  'an ONNX file that is cut off': onnx({
    ...bert,
    'torchscript-17.onnx': cut(bert['torchscript-17.onnx'], 20_000),
  }),
  'an ONNX file that is empty': onnx({ ...bert, 'torchscript-17.onnx': new Uint8Array(0) }),
  'an ONNX model without its weights': onnx(without(bert, 'external.weights'), 'external.onnx'),
  'ONNX weights that are cut off': onnx(
    { ...bert, 'external.weights': cut(bert['external.weights'], 900) },
    'external.onnx',
  ),
  'an ONNX model without a tokenizer': onnx(without(bert, 'vocab.txt')),
  'another vocabulary': onnx({
    ...bert,
    'vocab.txt': utf8(`${textOf(bert['vocab.txt'])}more\n`),
  }),
  'an operator set from long ago': onnx(
    edited('torchscript-17.onnx', (_graph, model) => {
      model.opsets[0].version = 5;
    }),
  ),
  'an op that is not known': onnx(
    edited('torchscript-17.onnx', (graph) => {
      graph.nodes.find((node: { type: string }) => node.type === 'Erf').type = 'Mish';
    }),
  ),
  'other inputs': onnx(
    edited('torchscript-17.onnx', (graph) => {
      for (const [index, input] of graph.inputs.entries()) {
        for (const node of graph.nodes) {
          node.inputs = node.inputs.map((name: string) =>
            name === input.name ? `pixels${index}` : name,
          );
        }
        input.name = `pixels${index}`;
      }
    }),
  ),
  'a weight with another shape': onnx(
    edited('torchscript-17.onnx', (graph) => {
      graph.initializers[0].dims = [7, 16];
    }),
  ),
  'a weight that is not a number': onnx(
    edited('torchscript-17.onnx', (graph) => {
      const weight = graph.initializers.find((one: { name: string }) =>
        /classifier.weight/.test(one.name),
      );
      weight.raw = new Uint8Array(weight.raw.length).fill(0xff);
    }),
  ),
  'a tfjs model without a shard': webModel(without(sharded, 'group1-shard2of3.bin')),
  'tfjs weights that are cut off': webModel({
    ...tfjs,
    'group1-shard1of1.bin': cut(tfjs['group1-shard1of1.bin'], 900),
  }),
  'a tfjs op that is not known': webModel(topology(tfjs, /"op": "Erf"/g, '"op": "Conv2D"')),
  'a tfjs model in a loop': webModel(
    topology(tfjs, /"input": \["input_ids"\]/, '"input": ["Identity"]'),
  ),
  'a Keras layer that is not known': webModel(
    topology(layers, /"class_name": "MultiHeadAttention"/, '"class_name": "LSTM"'),
  ),
  'a TFLite file that is something else': lite({
    ...tflite,
    'module.tflite': utf8('not a model at all'),
  }),
  'a TFLite file that is cut off': lite({
    ...tflite,
    'module.tflite': cut(tflite['module.tflite'], 9000),
  }),
  'a TFLite file whose root is outside': lite({
    ...tflite,
    'module.tflite': word(tflite['module.tflite'], 0, 0xfffff0),
  }),
};

function messageOf(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Lm2mcuError)) throw error;
    return `${error.kind} ${error.details.code}\n${formatError(error.details)}`;
  }
}

test('every message reads as in graph-errors.txt (BLESS=1 rewrites it)', () => {
  const text = Object.entries(cases)
    .map(([name, run]) => `# ${name}\n${messageOf(run)}\n`)
    .join('\n');
  const file = packagePath('test/importers/graph-errors.txt');
  if (process.env['BLESS'] === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
  expect(text).not.toContain('\naccepted\n');
});
