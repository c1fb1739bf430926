/** A TensorFlow.js folder, with the tokenizer's files beside it, to a float graph. */
import { userError } from '../../errors.ts';
import { type ModelFiles, parseJsonFile, recordReads } from '../files.ts';
import { importGraph } from '../graph-model.ts';
import type { ImportedModel, ImportOptions } from '../model-card.ts';
import { readTfjsLayers } from './layers.ts';
import { readTfjsGraph } from './read.ts';
import { tfjsModelSchema } from './schema.ts';

export function importTfjs(
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
      hint: 'Name the folder that tensorflowjs_converter wrote, or its model.json.',
    });
  }
  const model = parseJsonFile(tfjsModelSchema, bytes, file);
  const isGraph = model.modelTopology.node !== undefined;
  const graph = (isGraph ? readTfjsGraph : readTfjsLayers)(model, file, files);
  const converter = model.convertedBy ?? 'an unnamed converter';
  const notes = [`TensorFlow.js ${isGraph ? 'graph' : 'layers'} model of ${converter}.`];
  return importGraph({ graph, file, name, files, options, notes });
}
