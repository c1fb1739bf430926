/** The weights of a model folder: one safetensors file, or several with an index. */
import { z } from 'zod';
import { type Lm2mcuError, userError } from '../errors.ts';
import { type ModelFiles, parseJsonFile, quote } from './files.ts';
import { parseSafetensors, type StoredTensor } from './safetensors.ts';

const singleFile = 'model.safetensors';
const indexFile = 'model.safetensors.index.json';

export function readCheckpoint(files: ModelFiles): ReadonlyMap<string, StoredTensor> {
  const single = files.read(singleFile);
  if (single !== undefined) return parseSafetensors(single, singleFile);
  const index = files.read(indexFile);
  if (index !== undefined) return readShards(files, parseJsonFile(indexSchema, index, indexFile));
  const pickle = ['pytorch_model.bin', 'pytorch_model.bin.index.json', 'model.ckpt.index'].find(
    (name) => files.has(name),
  );
  throw userError({
    code: 'no-weights',
    message:
      pickle === undefined
        ? `the model has no ${singleFile}`
        : `the weights are in ${pickle}, which is not read; ${singleFile} is`,
    where: singleFile,
    hint:
      pickle === undefined
        ? `Put ${singleFile} beside config.json.`
        : 'Convert once in Python: AutoModel.from_pretrained(dir).save_pretrained(out, safe_serialization=True), with the class that config.json names instead of AutoModel.',
  });
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** A file of the same folder, so that an index cannot name files elsewhere. */
const shardName = /^[\w-][\w.-]*\.safetensors$/;

function readShards(
  files: ModelFiles,
  { weight_map }: z.infer<typeof indexSchema>,
): ReadonlyMap<string, StoredTensor> {
  const shards = [...new Set(Object.values(weight_map))].sort();
  const strange = shards.find((shard) => !shardName.test(shard) || !files.has(shard));
  if (strange !== undefined) throw badIndex(`there is no shard ${quote(strange)}`);
  const tensors = new Map<string, StoredTensor>();
  for (const shard of shards) {
    for (const [name, tensor] of parseSafetensors(files.read(shard)!, shard)) {
      if (!Object.hasOwn(weight_map, name) || weight_map[name] !== shard) {
        throw badIndex(`the index does not place ${quote(name)} in ${shard}, which has it`);
      }
      tensors.set(name, tensor);
    }
  }
  const lost = Object.keys(weight_map).find((name) => !tensors.has(name));
  if (lost === undefined) return tensors;
  throw badIndex(`${weight_map[lost]} does not have ${quote(lost)}, which the index places there`);
}

function badIndex(message: string): Lm2mcuError {
  return userError({
    code: 'bad-safetensors',
    message,
    where: indexFile,
    hint: 'Fetch the index and all the shards it names again, into one folder.',
  });
}
