/** A model on disk, in whichever form, to a float graph with its tokenizer and model card. */
import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Lm2mcuError, userError } from '../errors.ts';
import { type ModelFiles, quote } from './files.ts';
import { importHuggingFace } from './huggingface.ts';
import type { ImportedModel, ImportOptions } from './model-card.ts';
import { importOnnx } from './onnx/import.ts';
import { importTfjs } from './tfjs/import.ts';
import { importTflite } from './tflite/import.ts';

export type { ImportedModel, ImportOptions, ModelCard, ModelKind } from './model-card.ts';
export { modelCardSchema } from './model-card.ts';

/** `path`: a folder as Hugging Face writes it, an `.onnx` or `.tflite` file, a tfjs `model.json`, or a folder with one. */
export function importModel(path: string, options: ImportOptions = {}): ImportedModel {
  const stats = statsOf(path);
  if (stats === undefined) throw noSuchModel(path);
  const folder = stats.isDirectory() ? path : dirname(resolve(path));
  const files = filesInFolder(folder);
  const name = basename(resolve(path)).replace(/\.(onnx|tflite)$/, '');
  const file = stats.isDirectory() ? graphFileIn(path, files) : basename(path);
  if (file === undefined) return importHuggingFace(files, name, options);
  const format = graphFormats.find(({ pattern }) => pattern.test(file));
  if (format === undefined) throw unknownForm(path, stats.isDirectory());
  return format.read(files, file, name, options);
}

interface GraphFormat {
  readonly pattern: RegExp;
  read(files: ModelFiles, file: string, name: string, options: ImportOptions): ImportedModel;
}

/** Files that are a graph and its weights. */
const graphFormats: readonly GraphFormat[] = [
  { pattern: /\.onnx$/, read: importOnnx },
  { pattern: /^model\.json$/, read: importTfjs },
  { pattern: /\.tflite$/, read: importTflite },
];

/** The graph of a folder without Hugging Face's weights; undefined: it has those. */
function graphFileIn(folder: string, files: ModelFiles): string | undefined {
  const names = orUnreadable(folder, (path) => readdirSync(path));
  const isCheckpoint = names.some((one) => /\.safetensors(\.index\.json)?$/.test(one));
  const graphs = names.filter((one) => graphFormats.some(({ pattern }) => pattern.test(one)));
  if (graphs.length === 1 && !isCheckpoint) return graphs[0];
  if (files.has('config.json') && graphs.length === 0) return undefined;
  if (files.has('config.json') && isCheckpoint) return undefined;
  if (graphs.length < 2) throw unknownForm(folder, true);
  throw userError({
    code: 'several-models',
    message: `${quote(folder)} has several models: ${graphs.map(quote).join(', ')}`,
    where: folder,
    hint: 'Name one of the files instead of the folder.',
  });
}

/** A model for a microcontroller is far below; a Node buffer ends near here. */
const maxFileBytes = 2 ** 31 - 1;

function filesInFolder(folder: string): ModelFiles {
  const sizeOf = (name: string): number | undefined => {
    const stats = statsOf(join(folder, name));
    return stats?.isFile() ? stats.size : undefined;
  };
  return {
    has: (name) => sizeOf(name) !== undefined,
    read: (name) => {
      const sizeBytes = sizeOf(name);
      if (sizeBytes === undefined) return undefined;
      if (sizeBytes <= maxFileBytes)
        return orUnreadable(join(folder, name), (path) => readFileSync(path));
      throw userError({
        code: 'file-too-large',
        message: `${name} is too large for a model that is to run on a microcontroller`,
        where: name,
        neededBytes: sizeBytes,
        availableBytes: maxFileBytes,
        hint: 'Take a tiny BERT (some million parameters), such as a 2-layer, 128-wide one.',
      });
    },
  };
}

function statsOf(path: string): Stats | undefined {
  return orUnreadable(path, () => statSync(path, { throwIfNoEntry: false }));
}

function orUnreadable<T>(path: string, read: (path: string) => T): T {
  try {
    return read(path);
  } catch (cause) {
    const error = userError({
      code: 'unreadable-file',
      message: `${quote(path)} cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
      hint: 'Check the path and its permissions.',
    });
    error.cause = cause;
    throw error;
  }
}

const supportedForms =
  'Supported are Hugging Face folders (config.json, model.safetensors), ONNX and TensorFlow Lite files, and TensorFlow.js folders (model.json), each with vocab.txt or tokenizer.json.';

function noSuchModel(path: string): Lm2mcuError {
  const isHubName = /^[\w.-]+\/[\w.-]+$/.test(path);
  return userError({
    code: 'no-such-model',
    message: `there is no model at ${JSON.stringify(path)}`,
    where: path,
    hint: isHubName
      ? `Models are read from disk. Fetch it first: hf download ${path} --local-dir ${basename(path)}`
      : supportedForms,
  });
}

function unknownForm(path: string, isFolder: boolean): Lm2mcuError {
  const names = isFolder ? orUnreadable(path, (folder) => readdirSync(folder)) : [basename(path)];
  const form = names.map(formOf).find((name) => name !== undefined);
  return userError({
    code: 'unknown-model-form',
    message:
      form === undefined
        ? `${JSON.stringify(path)} is not a model this version reads`
        : `${JSON.stringify(path)} is ${form}, which this version does not read`,
    where: path,
    hint: supportedForms,
  });
}

function formOf(file: string): string | undefined {
  if (file.endsWith('.gguf')) return 'a GGUF model';
  if (file === 'saved_model.pb') return 'a TensorFlow model';
  if (file.endsWith('.safetensors')) return 'a safetensors file without its config.json';
  return undefined;
}
