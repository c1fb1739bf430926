/**
 * A recipe on disk: `<name>.json`, to be read by people (methods, bits, bytes, provenance), and its
 * arrays in `<name>.safetensors` beside it, which the former names by its hash.
 *
 *   tables/<tensor>/codes, scales, clusterOf, clusters.<i>.factors, projection, offset, …
 *   weights/<tensor>/codes, scales          constants/<tensor>          droppedTokens
 *
 * Codes and factors of 4 bits are two a byte, the first in the low half, each row in whole bytes.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import * as z from 'zod';
import { assertExhaustive, type Lm2mcuError, userError } from '../errors.ts';
import { quote, shorten } from '../importers/files.ts';
import { parseSafetensors, type StoredTensor } from '../importers/safetensors.ts';
import type { TypedArrayOf } from '../ir/dtypes.ts';
import { packNibbles } from '../schedule/packings.ts';
import { sha256Of } from '../sha256.ts';
import type { CodedTable } from './coded-table.ts';
import type { PlainJson, Recipe } from './recipe.ts';
import {
  formatSafetensors,
  type WritableArray,
  type WritableTensor,
} from './safetensors-writer.ts';
import { tableBytes } from './table-size.ts';

const bits = z.union([z.literal(4), z.literal(8)]);
const count = z.int().positive();
const tableShape = { rows: count, width: count, bytes: z.int().nonnegative() };
const tableSchema = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('rows'), ...tableShape, bits }),
  z.strictObject({
    ...{ method: z.literal('low-rank'), ...tableShape },
    clusters: z.array(z.strictObject({ rank: count, bits, rows: z.int().nonnegative() })).min(1),
  }),
  z.strictObject({
    ...{ method: z.literal('codebooks'), ...tableShape, rank: count },
    stages: z
      .array(z.strictObject({ firstColumn: z.int().nonnegative(), columns: count, entries: count }))
      .min(1),
    tiers: z.array(z.strictObject({ stages: count, rows: z.int().nonnegative() })).min(1),
  }),
]);
type TableHeader = z.infer<typeof tableSchema>;

const plainJson: z.ZodType<PlainJson> = z.json();

const recipeSchema = z.strictObject({
  schema: z.literal(2),
  model: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'a digest is written "sha256:…"'),
  arrays: z.strictObject({ file: z.string(), sha256: z.string() }),
  tables: z.record(z.string(), tableSchema),
  weights: z.record(
    z.string(),
    z.strictObject({ bits, rows: count, columns: count, bytes: z.int().nonnegative() }),
  ),
  constants: z.array(z.string()),
  droppedTokens: z.int().nonnegative(),
  provenance: z.record(z.string(), plainJson),
});

/** `path`: ends in .json. Returns the paths of the two files. */
export function writeRecipe(path: string, recipe: Recipe): readonly [string, string] {
  const { json, arrays } = formatRecipe(recipe, arraysFile(path));
  const beside = join(dirname(path), arraysFile(path));
  writeFileSync(beside, arrays);
  writeFileSync(path, json);
  return [path, beside];
}

function arraysFile(path: string): string {
  return `${basename(path).replace(/\.json$/, '')}.safetensors`;
}

function formatRecipe(
  recipe: Recipe,
  file: string,
): { readonly json: string; readonly arrays: Uint8Array } {
  const tensors: Record<string, WritableTensor> = {};
  const put = (name: string, data: WritableArray, columns = data.length): void => {
    if (data.length === 0) return; // The format has no tensor without elements here: none is read back.
    tensors[name] = { shape: [data.length / columns, columns], data };
  };
  const tables = mapValues(recipe.tables, (table, name) =>
    putTable(table, (part, data, columns) => put(`tables/${name}/${part}`, data, columns)),
  );
  const weights = mapValues(recipe.weights, (weight, name) => {
    const { bits, codes, scales } = weight;
    const columns = codes.length / scales.length;
    const stored = storedCodes(codes, bits, columns);
    put(`weights/${name}/codes`, ...stored);
    put(`weights/${name}/scales`, scales);
    return { bits, rows: scales.length, columns, bytes: stored[0].length };
  });
  for (const [name, data] of Object.entries(recipe.constants)) put(`constants/${name}`, data);
  put('droppedTokens', recipe.droppedTokens);
  const arrays = formatSafetensors(tensors);
  const header: z.infer<typeof recipeSchema> = {
    schema: 2,
    model: `sha256:${recipe.modelSha256}`,
    arrays: { file, sha256: sha256Of(arrays) },
    tables,
    weights,
    constants: Object.keys(recipe.constants).sort(),
    droppedTokens: recipe.droppedTokens.length,
    provenance: recipe.provenance,
  };
  return { json: `${JSON.stringify(header, null, 2)}\n`, arrays };
}

/** The array to put, and its columns. */
function storedCodes(
  codes: Int8Array,
  bits: 4 | 8,
  columns: number,
): readonly [data: Int8Array | Uint8Array, columns: number] {
  if (bits === 8) return [codes, columns];
  const packed = packNibbles(codes as TypedArrayOf<'int8'>, codes.length / columns, columns);
  return [new Uint8Array(packed.buffer), Math.ceil(columns / 2)];
}

type Put = (part: string, data: WritableArray, columns?: number) => void;

function putTable(table: CodedTable, put: Put): TableHeader {
  const { method, rows, width } = table;
  const shape = { rows, width, bytes: tableBytes(table, () => true) };
  switch (method) {
    case 'rows':
      put('codes', ...storedCodes(table.codes, table.bits, width));
      put('scales', table.scales);
      return { method, ...shape, bits: table.bits };
    case 'low-rank':
      put('clusterOf', table.clusterOf);
      for (const [index, cluster] of table.clusters.entries()) {
        const { rank, factors, projection, offset } = cluster;
        put(`clusters.${index}.factors`, ...storedCodes(factors, cluster.bits, rank));
        put(`clusters.${index}.projection`, projection, width);
        put(`clusters.${index}.offset`, offset);
      }
      return {
        ...{ method, ...shape },
        clusters: table.clusters.map(({ rank, bits: b, factors }) => ({
          ...{ rank, bits: b, rows: factors.length / rank },
        })),
      };
    case 'codebooks':
      put('projection', table.projection, width);
      put('offset', table.offset);
      put('tierOf', table.tierOf);
      for (const [index, { columns, entries }] of table.stages.entries()) {
        put(`stages.${index}`, entries, columns);
      }
      for (const [index, { stages, codes }] of table.tiers.entries()) {
        put(`tiers.${index}`, codes, stages);
      }
      return {
        ...{ method, ...shape, rank: table.rank },
        stages: table.stages.map(({ firstColumn, columns, entries }) => ({
          ...{ firstColumn, columns, entries: entries.length / columns },
        })),
        tiers: table.tiers.map(({ stages, codes }) => ({ stages, rows: codes.length / stages })),
      };
    default:
      return assertExhaustive(table);
  }
}

export interface RecipeFile {
  readonly recipe: Recipe;
  /** Of its two files, as a manifest has them. */
  readonly digests: { readonly recipe: string; readonly recipeArrays: string };
}

/** `path`: of the .json; what does not fit together is a user error. */
export function readRecipeFile(path: string): RecipeFile {
  const json = bytesOf(path);
  const header = parseHeader(json, path);
  const { file } = header.arrays;
  if (file !== basename(file))
    throw badRecipe(`its arrays ${quote(file)} are in another folder`, path);
  const bytes = bytesOf(join(dirname(path), file));
  if (sha256Of(bytes) !== header.arrays.sha256) {
    throw badRecipe(`${quote(file)} is not the file that was written with it`, path);
  }
  const stored = parseSafetensors(bytes, file);
  const unread = new Set(stored.keys());
  const read: Read = (name, dtype) => {
    unread.delete(name);
    return arrayOf(stored.get(name), dtype, name, path);
  };
  const readCodes: ReadCodes = (name, shape) => {
    if (shape.bits === 8) return read(name, 'I8');
    const packed = read(name, 'U8');
    const bytes = shape.rows * Math.ceil(shape.columns / 2);
    if (packed.length === bytes) return unpackedNibbles(packed, shape);
    throw badRecipe(
      `the array ${quote(name)} has ${packed.length} bytes, it must have ${bytes}`,
      path,
    );
  };
  const recipe: Recipe = {
    modelSha256: header.model.slice('sha256:'.length),
    tables: mapValues(header.tables, (table, name) =>
      readTable(
        table,
        (part, dtype) => read(`tables/${name}/${part}`, dtype),
        (part, shape) => readCodes(`tables/${name}/${part}`, shape),
      ),
    ),
    weights: mapValues(header.weights, (weight, name) => ({
      bits: weight.bits,
      codes: readCodes(`weights/${name}/codes`, weight),
      scales: read(`weights/${name}/scales`, 'F32'),
    })),
    constants: Object.fromEntries(
      header.constants.map((name) => [name, read(`constants/${name}`, 'F32')]),
    ),
    droppedTokens: read('droppedTokens', 'I32'),
    provenance: header.provenance,
  };
  const [extra] = unread;
  if (extra !== undefined) throw badRecipe(`nothing reads the array ${quote(extra)}`, path);
  const digests = {
    recipe: `sha256:${sha256Of(json)}`,
    recipeArrays: `sha256:${header.arrays.sha256}`,
  };
  return { recipe, digests };
}

function parseHeader(bytes: Uint8Array, path: string): z.infer<typeof recipeSchema> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw badRecipe('it is not JSON', path); // of these bytes only speak TypeError and SyntaxError
  }
  const parsed = recipeSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, 5).map((issue) => {
    const place = issue.path.join('.');
    return shorten(place === '' ? issue.message : `${place}: ${issue.message}`);
  });
  throw badRecipe(issues.join('; '), path);
}

const arrayTypes = { I8: Int8Array, U8: Uint8Array, I32: Int32Array, F32: Float32Array } as const;
type StoredType = keyof typeof arrayTypes;
type ArrayOf<D extends StoredType> = InstanceType<(typeof arrayTypes)[D]>;
type Read = <D extends StoredType>(name: string, dtype: D) => ArrayOf<D>;
type ReadCodes = (name: string, shape: CodesShape) => Int8Array;

interface CodesShape {
  readonly bits: 4 | 8;
  readonly rows: number;
  readonly columns: number;
}

function unpackedNibbles(packed: Uint8Array, { rows, columns }: CodesShape): Int8Array {
  const rowBytes = Math.ceil(columns / 2);
  return Int8Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    const byte = packed[row * rowBytes + (column >> 1)]!;
    const upper = column % 2 === 0 ? byte << 28 : byte << 24;
    return upper >> 28; // with its sign
  });
}

function readTable(table: TableHeader, read: Read, readCodes: ReadCodes): CodedTable {
  const { rows, width } = table;
  switch (table.method) {
    case 'rows': {
      const { method, bits: b } = table;
      return {
        method,
        rows,
        width,
        bits: b,
        codes: readCodes('codes', { bits: b, rows, columns: width }),
        scales: read('scales', 'F32'),
      };
    }
    case 'low-rank':
      return {
        ...{ method: table.method, rows, width },
        clusterOf: read('clusterOf', 'U8'),
        clusters: table.clusters.map(({ rank, bits: b, rows: own }, index) => ({
          ...{ rank, bits: b },
          factors: readCodes(`clusters.${index}.factors`, { bits: b, rows: own, columns: rank }),
          projection: read(`clusters.${index}.projection`, 'F32'),
          offset: read(`clusters.${index}.offset`, 'F32'),
        })),
      };
    case 'codebooks':
      return {
        ...{ method: table.method, rows, width, rank: table.rank },
        projection: read('projection', 'F32'),
        offset: read('offset', 'F32'),
        stages: table.stages.map(({ firstColumn, columns }, index) => ({
          ...{ firstColumn, columns, entries: read(`stages.${index}`, 'F32') },
        })),
        tierOf: read('tierOf', 'U8'),
        tiers: table.tiers.map(({ stages }, index) => ({
          ...{ stages, codes: read(`tiers.${index}`, 'U8') },
        })),
      };
    default:
      return assertExhaustive(table);
  }
}

/** An array without elements is not in the file. */
function arrayOf<D extends StoredType>(
  tensor: StoredTensor | undefined,
  dtype: D,
  name: string,
  path: string,
): ArrayOf<D> {
  const type = arrayTypes[dtype];
  if (tensor === undefined) return new type(0) as ArrayOf<D>;
  if (tensor.dtype !== dtype) {
    throw badRecipe(`the array ${quote(name)} is ${tensor.dtype}, it must be ${dtype}`, path);
  }
  return new type(new Uint8Array(tensor.bytes).buffer) as ArrayOf<D>;
}

function bytesOf(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    const error = userError({
      code: 'no-recipe',
      message: `the recipe cannot be read: ${reason}`,
      where: path,
      hint: 'A recipe is two files that lm2mcu compress writes: recipe.json and recipe.safetensors.',
    });
    error.cause = cause;
    throw error;
  }
}

function badRecipe(message: string, path: string): Lm2mcuError {
  return userError({
    code: 'bad-recipe',
    message: `the recipe is damaged: ${message}`,
    where: path,
    hint: 'Copy both of its files again, or make it anew with lm2mcu compress.',
  });
}

function mapValues<T, U>(
  entries: Readonly<Record<string, T>>,
  change: (value: T, key: string) => U,
): Record<string, U> {
  const sorted = Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([key, value]) => [key, change(value, key)]));
}
