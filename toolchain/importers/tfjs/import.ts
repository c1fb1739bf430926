/** A TensorFlow.js folder, with the tokenizer's files beside it, to a float graph. */
import { userError } from '../../errors.ts';
import { type ModelFiles, parseJsonFile, recordReads } from '../files.ts';
import { importGraph } from '../graph-model.ts';
import type { ImportedModel, ImportOptions } from '../model-card.ts';
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
  if (model.modelTopology.node === undefined) throw layersModel(file);
  const graph = readTfjsGraph(model, file, files);
  const notes = [`TensorFlow.js graph model of ${model.convertedBy ?? 'an unnamed converter'}.`];
  return importGraph({ graph, file, name, files, options, notes });
}

function layersModel(file: string) {
  return userError({
    code: 'unsupported-model',
    message: 'this is a TensorFlow.js layers model, of which only graph models are read',
    where: file,
    hint: 'Convert the Keras model to a graph model: model.export("saved"), then tensorflowjs_converter --input_format=tf_saved_model saved out.',
  });
}
