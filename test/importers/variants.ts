/**
 * The table of exported variants: how far each is from what its framework computes, and whether its
 * integer graph is that of the Hugging Face folder of the same weights.
 *
 * Run: node test/importers/variants.ts [--groups]
 */
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import type { ImportedModel } from '../../toolchain/importers/index.ts';
import { importOnnx } from '../../toolchain/importers/onnx/import.ts';
import { importTfjs } from '../../toolchain/importers/tfjs/import.ts';
import { importTflite } from '../../toolchain/importers/tflite/import.ts';
import { integerGraph, meanOfRows, relativeError, roundedOutput } from './compare-graphs.ts';
import { type Golden, modelFiles, readJson, sourceNames, subfolders } from './export-files.ts';

const pooling = 'mean';

interface Row {
  readonly name: string;
  /** What wrote it. */
  readonly group: string;
  /** Null: the export ends with softmax, sigmoid or a length of 1, and its values are no logits. */
  readonly error: number | null;
  readonly isSame: boolean;
}

function row(
  name: string,
  group: string,
  model: ImportedModel,
  golden: readonly Golden[],
  source: string,
): Row {
  const errors = golden.map(({ ids, segmentStart, values }) => {
    const output = roundedOutput(model, { ids: Int32Array.from(ids), segmentStart });
    const isPooled = model.card.kind === 'embedding' && values.length > output.length;
    return relativeError(output, isPooled ? meanOfRows(values, output.length) : values);
  });
  const folder = importHuggingFace(modelFiles(source), source, { pooling });
  const isSame = Buffer.compare(integerGraph(model), integerGraph(folder)) === 0;
  const isFinished = /softmax|sigmoid|unit-length/.test(name);
  return { name, group, error: isFinished ? null : Math.max(...errors), isSame };
}

/** By the variant's name, the first that fits. */
const onnxGroups: readonly (readonly [RegExp, string])[] = [
  [/^int8/, 'ONNX, int8 of ONNX Runtime'],
  [/^fused/, 'ONNX, fused by ONNX Runtime'],
  [/^dynamo/, 'ONNX, torch.onnx (dynamo)'],
  [/^torchscript-half/, 'ONNX, float16'],
  [/^(torchscript|external)/, 'ONNX, torch.onnx (TorchScript)'],
  [/^optimum/, 'ONNX, optimum'],
  [/^tf2onnx/, 'ONNX, tf2onnx'],
  [/^kerashub/, 'ONNX, KerasHub'],
];

const groupOf = (name: string): string =>
  onnxGroups.find(([pattern]) => pattern.test(name))?.[1] ?? 'ONNX';

/** Weights that the file has in fewer bits. */
const roundedGroup = (name: string): string =>
  /uint|float16|half|int8/.test(name) ? ', rounded weights' : '';

const onnx = Object.entries(readJson<Record<string, Golden[]>>('onnx.json')).map(
  ([variant, golden]) => {
    const [source, name] = variant.split('/') as [string, string];
    const model = importOnnx(modelFiles(source), `${name}.onnx`, name, { pooling });
    return row(`${variant}.onnx`, groupOf(name), model, golden, source);
  },
);
const folders = sourceNames().map((source) => {
  const model = importHuggingFace(modelFiles(source), source, { pooling });
  const golden = readJson<Golden[]>(`${source}/golden.json`);
  return row(`${source}, safetensors`, 'Hugging Face folder', model, golden, source);
});
/** The folder whose weights an export of TensorFlow has. */
const sourceOf = (name: string): string => (name.endsWith('kerashub') ? 'bert-tanh-gelu' : 'bert');
// Quantized weights of tfjs are compared with TensorFlow.js in the tests; here with their folder.
const tfjs = subfolders('tfjs')
  .filter((folder) => folder !== 'tfjs/layers')
  .map((folder) => {
    const source = sourceOf(folder);
    const model = importTfjs(modelFiles(folder), 'model.json', folder);
    const group = `tfjs${roundedGroup(folder)}`;
    return row(folder, group, model, readJson(`${source}/golden.json`), source);
  });
const tflite = Object.entries(readJson<Record<string, Golden[]>>('tflite.json')).map(
  ([name, golden]) => {
    const model = importTflite(modelFiles('tflite'), `${name}.tflite`, name);
    return row(`tflite/${name}`, `TFLite${roundedGroup(name)}`, model, golden, sourceOf(name));
  },
);
const rows = [...folders, ...onnx, ...tfjs, ...tflite];
if (process.argv.includes('--groups')) printGroups();
else printVariants();
console.log(`\n${rows.length} variants`);

function printVariants(): void {
  console.log('| variant | largest relative error | integer graph |\n| --- | ---: | --- |');
  for (const { name, error, isSame } of rows) {
    const value = error === null ? 'finished outside' : error.toExponential(1);
    console.log(`| ${name} | ${value} | ${isSame ? 'same' : 'other weights'} |`);
  }
}

function printGroups(): void {
  console.log('| written by | variants | largest relative error | integer graph equal |');
  console.log('| --- | ---: | ---: | ---: |');
  for (const group of new Set(rows.map((one) => one.group))) {
    const own = rows.filter((one) => one.group === group);
    const worst = Math.max(...own.map(({ error }) => error ?? 0)).toExponential(1);
    const same = own.filter(({ isSame }) => isSame).length;
    console.log(`| ${group} | ${own.length} | ${worst} | ${same} |`);
  }
}
