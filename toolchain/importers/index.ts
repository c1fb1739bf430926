/** A model on disk, in whichever form, to a float graph with its tokenizer and model card. */
import { existsSync, readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type Lm2mcuError, userError } from '../errors.ts';
import { type ModelFiles, quote } from './files.ts';
import { type ImportedModel, type ImportOptions, importHuggingFace } from './huggingface.ts';

export type { ImportedModel, ImportOptions, ModelCard, ModelKind } from './huggingface.ts';
export { modelCardSchema } from './huggingface.ts';

/** `path`: a folder as Hugging Face writes it. */
export function importModel(path: string, options: ImportOptions = {}): ImportedModel {
  const stats = statsOf(path);
  if (stats === undefined) throw noSuchModel(path);
  const isFolder = stats.isDirectory();
  if (!isFolder || !existsSync(join(path, 'config.json'))) throw unknownForm(path, isFolder);
  return importHuggingFace(filesInFolder(path), basename(resolve(path)), options);
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
  'Supported is a Hugging Face BERT folder: config.json, model.safetensors, and vocab.txt or tokenizer.json.';

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
  if (file.endsWith('.onnx')) return 'an ONNX model';
  if (file.endsWith('.tflite')) return 'a TensorFlow Lite model';
  if (file.endsWith('.gguf')) return 'a GGUF model';
  if (file === 'model.json') return 'a TensorFlow.js model';
  if (file === 'saved_model.pb') return 'a TensorFlow model';
  if (file.endsWith('.safetensors')) return 'a safetensors file without its config.json';
  return undefined;
}
