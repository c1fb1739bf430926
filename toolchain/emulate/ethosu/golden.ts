/**
 * A folder of golden streams: `io/<model>.in0.bin …, <model>.ref0.bin …` and, for each compiler
 * version and accelerator, `<version>/<accelerator>/<model>.json, .cms.bin, .flash.bin`.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { userError } from '../../errors.ts';

const tensor = z.object({
  name: z.string(),
  shape: z.array(z.int().nonnegative()),
  dtype: z.enum(['int8', 'uint8', 'int16', 'int32']),
  arena_offset: z.int().nonnegative(),
});

const stream = z.object({ cmd_word: z.int().nonnegative(), files: z.string().nullish() });

/** The parts of a model's JSON that are read here; it says more. */
const description = z.object({
  inputs: z.array(tensor),
  outputs: z.array(tensor),
  npu_ops: z.array(
    z.object({
      config_word: z.string().regex(/^0x[0-9a-f]+$/),
      scratch_bytes: z
        .int()
        .nonnegative()
        .max(2 ** 26),
      streams: z.array(stream).optional(),
    }),
  ),
  cpu_builtin_codes: z.array(z.unknown()).optional(),
});

export interface GoldenTensor {
  readonly name: string;
  readonly offset: number;
  /** Null: there is no such file. */
  readonly bytes: Uint8Array | null;
}

export interface Golden {
  readonly model: string;
  /** `<version>/<accelerator>`. */
  readonly set: string;
  readonly config: number;
  readonly arenaBytes: number;
  readonly stream: Uint8Array;
  readonly constants: Uint8Array;
  readonly inputs: readonly GoldenTensor[];
  readonly outputs: readonly GoldenTensor[];
  readonly decoded: readonly DecodedWeights[];
  /** Other ops of the model run on a core: what this stream reads and writes is not known here. */
  readonly isWhole: boolean;
}

/** What a weight stream decodes to: `<name>.weights.decoded.i16.bin`, where there is one. */
export interface DecodedWeights {
  /** Of the op in the stream. */
  readonly word: number;
  readonly weights: Int16Array;
}

export interface GoldenPlace {
  /** Path of a model's three files, without their endings. */
  readonly prefix: string;
  /** The same of its inputs and outputs. */
  readonly io: string;
  /** `<version>/<accelerator>`. */
  readonly set: string;
}

/** Null: nothing of the model runs on the NPU, or the JSON beside is of something else. */
export function readGolden({ prefix, io, set }: GoldenPlace): Golden | null {
  const json = readJson(`${prefix}.json`);
  const isDescription = json !== null && typeof json === 'object' && 'npu_ops' in json;
  if (!isDescription && !existsSync(`${prefix}.cms.bin`)) return null;
  const { inputs, outputs, npu_ops, cpu_builtin_codes } = parseDescription(json, `${prefix}.json`);
  const [first] = npu_ops;
  if (first === undefined) return null;
  const data = (kind: 'in' | 'ref') => (of: z.infer<typeof tensor>, index: number) => {
    const path = `${io}.${kind}${index}.bin`;
    const bytes = existsSync(path) ? readFileSync(path) : null;
    return { name: of.name, offset: of.arena_offset, bytes };
  };
  return {
    model: basename(prefix),
    set,
    config: Number.parseInt(first.config_word, 16),
    arenaBytes: first.scratch_bytes,
    stream: readFile(`${prefix}.cms.bin`),
    constants: readFile(`${prefix}.flash.bin`),
    inputs: inputs.map(data('in')),
    outputs: outputs.map(data('ref')),
    decoded: readDecoded(dirname(prefix), first.streams ?? []),
    isWhole: npu_ops.length === 1 && (cpu_builtin_codes ?? []).length === 0,
  };
}

function readDecoded(folder: string, streams: readonly z.infer<typeof stream>[]) {
  return streams.flatMap(({ cmd_word: word, files }): readonly DecodedWeights[] => {
    if (files === undefined || files === null) return [];
    const path = join(folder, `${basename(files)}.weights.decoded.i16.bin`);
    if (!existsSync(path)) return [];
    const bytes = Uint8Array.from(readFileSync(path));
    return [{ word, weights: new Int16Array(bytes.buffer, 0, bytes.length >> 1) }];
  });
}

const hint = 'It says where the inputs and outputs lie, as those of the fixtures do.';

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const message = `the description is not JSON: ${(error as Error).message}`;
    throw userError({ code: 'bad-golden', message, where: path, hint });
  }
}

function parseDescription(json: unknown, path: string): z.infer<typeof description> {
  const parsed = description.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw userError({
    code: 'bad-golden',
    message: `the description is not as expected: ${issue?.path.join('.')}: ${issue?.message}`,
    where: path,
    hint,
  });
}

function readFile(path: string): Uint8Array {
  if (existsSync(path)) return readFileSync(path);
  throw userError({
    code: 'bad-golden',
    message: 'a file of a golden stream is missing',
    where: path,
    hint: 'Beside X.json there are X.cms.bin and X.flash.bin.',
  });
}

/** Every model of a folder, in the order of names. */
export function listGoldens(folder: string): readonly GoldenPlace[] {
  const places = foldersIn(folder).flatMap((version) =>
    foldersIn(join(folder, version)).flatMap((accelerator) =>
      readdirSync(join(folder, version, accelerator))
        .filter((name) => name.endsWith('.json'))
        .sort()
        .map((name) => {
          const model = name.slice(0, -'.json'.length);
          return {
            prefix: join(folder, version, accelerator, model),
            io: join(folder, 'io', model),
            set: `${version}/${accelerator}`,
          };
        }),
    ),
  );
  if (places.length > 0) return places;
  throw userError({
    code: 'no-goldens',
    message: 'there are no golden streams in this folder',
    where: folder,
    hint: 'It holds io/ and <version>/<accelerator>/X.json, X.cms.bin, X.flash.bin.',
  });
}

function foldersIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => statSync(join(folder, name)).isDirectory())
    .sort();
}
