/**
 * The table of exported variants: how far each is from what its framework computes, and whether its
 * integer graph is that of the Hugging Face folder of the same weights.
 *
 * Run: node test/importers/variants.ts
 */
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import type { ImportedModel } from '../../toolchain/importers/index.ts';
import { importOnnx } from '../../toolchain/importers/onnx/import.ts';
import { importTfjs } from '../../toolchain/importers/tfjs/import.ts';
import { importTflite } from '../../toolchain/importers/tflite/import.ts';
import { integerGraph, meanOfRows, relativeError, roundedOutput } from './compare-graphs.ts';
import { type Golden, modelFiles, readJson, sourceNames, subfolders } from './export-files.ts';

const pooling = 'mean';

function row(name: string, model: ImportedModel, golden: readonly Golden[], source: string) {
  const errors = golden.map(({ ids, segmentStart, values }) => {
    const output = roundedOutput(model, { ids: Int32Array.from(ids), segmentStart });
    const isPooled = model.card.kind === 'embedding' && values.length > output.length;
    return relativeError(output, isPooled ? meanOfRows(values, output.length) : values);
  });
  const folder = importHuggingFace(modelFiles(source), source, { pooling });
  const isSame = Buffer.compare(integerGraph(model), integerGraph(folder)) === 0;
  // Where the export ends with softmax, sigmoid or a length of 1, the values are not the logits.
  const isFinished = /softmax|sigmoid|unit-length/.test(name);
  const error = isFinished ? 'finished outside' : Math.max(...errors).toExponential(1);
  return `| ${name} | ${error} | ${isSame ? 'same' : 'other weights'} |`;
}

const onnx = Object.entries(readJson<Record<string, Golden[]>>('onnx.json')).map(
  ([variant, golden]) => {
    const [source, name] = variant.split('/') as [string, string];
    const model = importOnnx(modelFiles(source), `${name}.onnx`, name, { pooling });
    return row(`${variant}.onnx`, model, golden, source);
  },
);
const folders = sourceNames().map((source) => {
  const model = importHuggingFace(modelFiles(source), source, { pooling });
  return row(`${source}, safetensors`, model, readJson(`${source}/golden.json`), source);
});
/** The folder whose weights an export of TensorFlow has. */
const sourceOf = (name: string): string => (name.endsWith('kerashub') ? 'bert-tanh-gelu' : 'bert');
// Quantized weights of tfjs are compared with TensorFlow.js in the tests; here with their folder.
const tfjs = subfolders('tfjs')
  .filter((folder) => folder !== 'tfjs/layers')
  .map((folder) => {
    const source = sourceOf(folder);
    const model = importTfjs(modelFiles(folder), 'model.json', folder);
    return row(folder, model, readJson(`${source}/golden.json`), source);
  });
const tflite = Object.entries(readJson<Record<string, Golden[]>>('tflite.json')).map(
  ([name, golden]) => {
    const model = importTflite(modelFiles('tflite'), `${name}.tflite`, name);
    return row(`tflite/${name}`, model, golden, sourceOf(name));
  },
);
const rows = [...folders, ...onnx, ...tfjs, ...tflite];
console.log('| variant | largest relative error | integer graph |\n| --- | ---: | --- |');
console.log(rows.join('\n'));
console.log(`\n${rows.length} variants`);
