/**
 * A folder of golden streams: `io/<model>.in0.bin …, <model>.ref0.bin …` and, for each compiler
 * version and accelerator, `<version>/<accelerator>/<model>.json, .cms.bin, .flash.bin`.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { userError } from '../../errors.ts';

const tensor = z.object({
  name: z.string(),
  shape: z.array(z.int().nonnegative()),
  dtype: z.enum(['int8', 'uint8', 'int16', 'int32']),
  arena_offset: z.int().nonnegative(),
});

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
        .max(2 ** 28),
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
  /** Other ops of the model run on a core: what this stream reads and writes is not known here. */
  readonly isWhole: boolean;
}

/** `prefix`: path of a model's three files without their endings; `io`: the same of its data. */
export function readGolden(prefix: string, io: string, set: string): Golden | null {
  const json = `${prefix}.json`;
  const { inputs, outputs, npu_ops, cpu_builtin_codes } = parseDescription(json);
  const [first] = npu_ops;
  if (first === undefined) return null;
  const data = (kind: 'in' | 'ref') => (of: z.infer<typeof tensor>, index: number) => {
    const path = `${io}.${kind}${index}.bin`;
    const bytes = existsSync(path) ? readFileSync(path) : null;
    return { name: of.name, offset: of.arena_offset, bytes };
  };
  return {
    model: prefix.split(/[/\\]/).at(-1)!,
    set,
    config: Number.parseInt(first.config_word, 16),
    arenaBytes: first.scratch_bytes,
    stream: readFile(`${prefix}.cms.bin`),
    constants: readFile(`${prefix}.flash.bin`),
    inputs: inputs.map(data('in')),
    outputs: outputs.map(data('ref')),
    isWhole: npu_ops.length === 1 && (cpu_builtin_codes ?? []).length === 0,
  };
}

function parseDescription(path: string): z.infer<typeof description> {
  const hint = 'It says where the inputs and outputs lie, as those of the fixtures do.';
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const message = `the description is not JSON: ${(error as Error).message}`;
    throw userError({ code: 'bad-golden', message, where: path, hint });
  }
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

export interface GoldenPlace {
  readonly prefix: string;
  readonly io: string;
  readonly set: string;
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
