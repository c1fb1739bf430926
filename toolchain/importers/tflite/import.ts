/** A TensorFlow Lite file, with the tokenizer's files beside it, to a float graph. */
import { userError } from '../../errors.ts';
import { type ModelFiles, recordReads } from '../files.ts';
import { importGraph } from '../graph-model.ts';
import type { ImportedModel, ImportOptions } from '../model-card.ts';
import { readTflite } from './read.ts';

export function importTflite(
  modelFiles: ModelFiles,
  file: string,
  name: string,
  options: ImportOptions = {},
): ImportedModel {
  const files = recordReads(modelFiles);
  const bytes = files.read(file);
  if (bytes === undefined) {
    throw userError({
      code: 'missing-file',
      message: `there is no ${file}`,
      where: file,
      hint: 'Check the path.',
    });
  }
  const graph = readTflite(bytes, file);
  return importGraph({ graph, file, name, files, options, notes: ['TensorFlow Lite model.'] });
}
