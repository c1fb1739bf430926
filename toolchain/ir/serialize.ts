/**
 * `graph.bin`: a graph with its constants, and what else is needed to run it, in one file.
 *
 *   offset  0   magic "lm2mcu" 0 0
 *           8   u32 version
 *          12   u32 CRC-32 of everything from 16 on
 *          16   u32 length of the header
 *          20   u32 0
 *          24   header: JSON { "extra": …, "graph": … }, keys sorted
 *         ...   zero bytes up to a multiple of 8
 *         ...   the elements of the arrays, each array at a multiple of 8
 *
 * A typed array stands in the JSON as { "$array": [type, offset behind the header, length] }; other
 * keys that begin with $ get a second one. All numbers are little-endian. The same graph always
 * gives the same bytes.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { internalError, type Lm2mcuError, userError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { type DType, dtypes } from './dtypes.ts';
import type { Graph, Stage, Tensor } from './graph.ts';
import { type AnyGraph, isOpName, violationsOf } from './verify.ts';

const magic = 'lm2mcu\0\0';
const version = 1;
const fixedBytes = 24;
const crcStart = 16;
const alignment = 8;

export interface StoredGraph<T> {
  readonly graph: AnyGraph;
  readonly extra: T;
}

/** `extra`: plain data with typed arrays (tokenizer, model card); it comes back from `parseGraph`. */
export function serializeGraph(graph: Graph<Stage>, extra: unknown): Uint8Array {
  const blobs: Blob[] = [];
  const json = encode({ extra, graph: { ...graph, tensors: Object.values(graph.tensors) } }, blobs);
  const header = new TextEncoder().encode(JSON.stringify(json));
  const dataStart = align(fixedBytes + header.length);
  const last = blobs.at(-1);
  const bytes = new Uint8Array(dataStart + (last === undefined ? 0 : align(endOf(last))));
  bytes.set(new TextEncoder().encode(magic));
  bytes.set(header, fixedBytes);
  for (const { offset, array } of blobs) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), dataStart + offset);
  }
  const view = new DataView(bytes.buffer);
  view.setUint32(8, version, true);
  view.setUint32(16, header.length, true);
  view.setUint32(12, crc32(bytes.subarray(crcStart)), true);
  return bytes;
}

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
} as const;
type ArrayTypeName = keyof typeof arrayTypes;
type StoredArray = InstanceType<(typeof arrayTypes)[ArrayTypeName]>;

interface Blob {
  readonly offset: number;
  readonly array: ArrayBufferView;
}

function align(offset: number): number {
  return roundUp(offset, alignment);
}

function endOf({ offset, array }: Blob): number {
  return offset + array.byteLength;
}

const arrayKey = '$array';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

function encode(value: unknown, blobs: Blob[]): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item) => encode(item, blobs));
  if (ArrayBuffer.isView(value)) return encodeArray(value, blobs);
  if (typeof value !== 'object') throw internalError(`a ${typeof value} cannot be stored`);
  if (![Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    throw internalError(`a ${value.constructor.name} cannot be stored`);
  }
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key.startsWith('$') ? `$${key}` : key, encode(item, blobs)] as const);
  return Object.fromEntries(entries);
}

function encodeArray(array: ArrayBufferView, blobs: Blob[]): Json {
  for (const [type, ArrayType] of Object.entries(arrayTypes)) {
    if (!(array instanceof ArrayType)) continue;
    const last = blobs.at(-1);
    const offset = last === undefined ? 0 : align(endOf(last));
    blobs.push({ offset, array });
    return { [arrayKey]: [type, offset, array.length] };
  }
  throw internalError(`a ${array.constructor.name} cannot be stored`);
}

/** A file of `serializeGraph`; damage is a user error, and the graph is verified. */
export function parseGraph(bytes: Uint8Array): StoredGraph<unknown>;
export function parseGraph<T>(bytes: Uint8Array, extra: z.ZodType<T>): StoredGraph<T>;
export function parseGraph(
  bytes: Uint8Array,
  extraSchema: z.ZodType = z.unknown(),
): StoredGraph<unknown> {
  const copy = new Uint8Array(bytes); // aligned, and not changed by others later
  const header = readHeader(copy);
  const data = copy.subarray(align(fixedBytes + header.length));
  const stored = z
    .object({ extra: extraSchema, graph: graphSchema })
    .safeParse(decode(parseJson(header), data, maxDepth));
  if (!stored.success) {
    const [issue] = stored.error.issues;
    const place = ['header', ...(issue?.path ?? [])].join('.');
    throw damaged(`${place}: ${issue?.message}`);
  }
  const { extra, graph: parsed } = stored.data;
  const tensors = Object.fromEntries(parsed.tensors.map((tensor) => [tensor.name, tensor]));
  if (Object.keys(tensors).length !== parsed.tensors.length) {
    throw damaged('two tensors have the same name');
  }
  // The form of `attrs` and `integer` is what `violationsOf` checks, op by op.
  const graph = { ...parsed, tensors } as unknown as AnyGraph;
  const [violation] = violationsOf(graph);
  if (violation !== undefined) throw damaged(violation);
  return { graph, extra };
}

function readHeader(bytes: Uint8Array): Uint8Array {
  if (bytes.length < fixedBytes) {
    throw damaged('it is cut off', { neededBytes: fixedBytes, availableBytes: bytes.length });
  }
  if (new TextDecoder('latin1').decode(bytes.subarray(0, magic.length)) !== magic) {
    throw damaged('it does not begin as a graph.bin does');
  }
  const view = new DataView(bytes.buffer);
  const found = view.getUint32(8, true);
  if (found !== version) {
    throw damaged(`it has version ${found} of the format, this lm2mcu reads ${version}`);
  }
  const end = fixedBytes + view.getUint32(16, true);
  if (end > bytes.length) {
    throw damaged('it is cut off', { neededBytes: end, availableBytes: bytes.length });
  }
  if (crc32(bytes.subarray(crcStart)) !== view.getUint32(12, true)) {
    throw damaged('its checksum is wrong');
  }
  return bytes.subarray(fixedBytes, end);
}

function parseJson(header: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header));
  } catch (cause) {
    const error = damaged('its header is not JSON');
    error.cause = cause;
    throw error;
  }
}

/** Deeper than any graph nests. */
const maxDepth = 32;

/** The JSON value with its arrays in place. */
function decode(value: unknown, data: Uint8Array, depth: number): unknown {
  if (depth === 0) throw damaged('its header nests too deeply');
  if (Array.isArray(value)) return value.map((item) => decode(item, data, depth - 1));
  if (typeof value !== 'object' || value === null) return value;
  if (Object.hasOwn(value, arrayKey))
    return decodeArray((value as { readonly [arrayKey]: unknown })[arrayKey], data);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.startsWith('$') ? key.slice(1) : key,
      decode(item, data, depth - 1),
    ]),
  );
}

const natural = z.number().int().nonnegative();
const arraySchema = z.tuple([
  z.enum(Object.keys(arrayTypes) as ArrayTypeName[]),
  natural.multipleOf(alignment),
  natural,
]);

function decodeArray(reference: unknown, data: Uint8Array): StoredArray {
  const parsed = arraySchema.safeParse(reference);
  if (!parsed.success) throw damaged('its header refers to an array wrongly');
  const [type, offset, length] = parsed.data;
  const neededBytes = offset + length * arrayTypes[type].BYTES_PER_ELEMENT;
  if (neededBytes > data.length) {
    throw damaged('an array goes beyond its end', { neededBytes, availableBytes: data.length });
  }
  return new arrayTypes[type](data.buffer as ArrayBuffer, data.byteOffset + offset, length);
}

const storedArray = z.custom<Tensor['data']>(
  (value) => ArrayBuffer.isView(value) && !(value instanceof Float64Array),
  'must be an array of elements',
);

const tensorSchema = z.strictObject({
  name: z.string(),
  role: z.enum(['input', 'constant', 'activation']),
  dtype: z.enum(Object.keys(dtypes) as DType[]),
  shape: z.tuple([z.union([z.literal('tokens'), z.number()]), z.number()]),
  data: storedArray.optional(),
  quant: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('affine'), scale: z.number(), zeroPoint: z.number() }),
      z.strictObject({ kind: z.literal('per-row'), scales: z.instanceof(Float64Array) }),
    ])
    .optional(),
});

const nodeSchema = z.strictObject({
  op: z.string().refine(isOpName, 'is no operation'),
  name: z.string(),
  inputs: z.array(z.string()),
  output: z.string(),
  attrs: z.unknown(),
  integer: z.unknown(),
});

const graphSchema = z.strictObject({
  stage: z.enum(['float', 'quantized', 'legal']),
  name: z.string(),
  inputs: z.array(z.string()),
  outputs: z.array(z.string()),
  tensors: z.array(tensorSchema),
  nodes: z.array(nodeSchema),
});

function damaged(
  what: string,
  bytes: { readonly neededBytes?: number; readonly availableBytes?: number } = {},
): Lm2mcuError {
  return userError({
    code: 'bad-graph',
    message: `the graph file cannot be read: ${what}`,
    where: 'graph.bin',
    ...bytes,
    hint: 'Build the model again: lm2mcu build <model> --target <board> --out <dir>',
  });
}
