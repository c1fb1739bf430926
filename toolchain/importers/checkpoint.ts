/** The weights of a model folder: one safetensors file, or several with an index. */
import { z } from 'zod';
import { userError } from '../errors.ts';
import { type ModelFiles, parseJsonFile } from './files.ts';
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
  const tensors = new Map<string, StoredTensor>();
  for (const shard of [...new Set(Object.values(weight_map))].sort()) {
    const bytes = shardName.test(shard) ? files.read(shard) : undefined;
    if (bytes === undefined) throw badIndex(`there is no shard ${JSON.stringify(shard)}`, shard);
    for (const [name, tensor] of parseSafetensors(bytes, shard)) {
      if (!Object.hasOwn(weight_map, name) || weight_map[name] !== shard) {
        throw badIndex(`the index does not place ${JSON.stringify(name)} in this shard`, shard);
      }
      tensors.set(name, tensor);
    }
  }
  const lost = Object.keys(weight_map).filter((name) => !tensors.has(name));
  if (lost.length > 0) {
    const [first] = lost;
    throw badIndex(
      `${lost.length} tensors of the index are in no shard, the first is ${JSON.stringify(first)}`,
      weight_map[first!]!,
    );
  }
  return tensors;
}

function badIndex(message: string, shard: string) {
  return userError({
    code: 'bad-safetensors',
    message,
    where: `${indexFile}, ${shard}`,
    hint: 'Fetch the index and all the shards it names again, into one folder.',
  });
}
