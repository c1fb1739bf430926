/**
 * The safetensors format: an 8-byte little-endian header length, a JSON header, then the elements.
 *
 *   { "name": { "dtype": "F16", "shape": [2, 3], "data_offsets": [begin, end] }, "__metadata__": {…} }
 *
 * Offsets count from the end of the header and must tile the rest of the file without hole or
 * overlap (https://github.com/huggingface/safetensors#format). Every number is checked before it is
 * used, and nothing is allocated that the file does not hold.
 */
import { z } from 'zod';
import { type ErrorDetails, type Lm2mcuError, userError } from '../errors.ts';
import type { TypedArrayOf } from '../ir/dtypes.ts';
import { quote, shorten } from './files.ts';

export interface StoredTensor {
  readonly name: string;
  readonly file: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** A view into the file. */
  readonly bytes: Uint8Array;
  /** Where `bytes` begins in the file. */
  readonly fileOffset: number;
}

/** The format's element types with their sizes in bytes. */
const storedDTypes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;
type StoredDType = keyof typeof storedDTypes;

const lengthBytes = 8;
/** The limit of the reference implementation. */
const maxHeaderBytes = 100_000_000;

/** The tensors of a file by name; their elements stay where they are until `toFloat32`. */
export function parseSafetensors(
  bytes: Uint8Array,
  file: string,
): ReadonlyMap<string, StoredTensor> {
  const header = readHeader(bytes, file);
  const data = bytes.subarray(header.endOffset);
  const tensors = Object.entries(header.json)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => readEntry(name, entry, data, header.endOffset, file));
  checkTiling(tensors, data.length, header.endOffset, file);
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

interface Header {
  readonly json: Readonly<Record<string, unknown>>;
  readonly endOffset: number;
}

/** What Git leaves in place of a large file that was not fetched. */
const lfsPointer = 'version https://git-lfs';

function readHeader(bytes: Uint8Array, file: string): Header {
  if (new TextDecoder('latin1').decode(bytes.subarray(0, lfsPointer.length)) === lfsPointer) {
    throw damaged('the file is a Git LFS pointer, not the weights themselves', place(file, 0), {
      hint: 'Fetch the weights: git lfs pull in the model’s folder, or hf download.',
    });
  }
  if (bytes.length < lengthBytes) {
    throw damaged('the file ends inside the header length', place(file, 0), {
      neededBytes: lengthBytes,
      availableBytes: bytes.length,
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw damaged(
      `the header claims ${length.toLocaleString('en-US')} bytes; the format allows ${maxHeaderBytes.toLocaleString('en-US')}`,
      place(file, 0),
    );
  }
  const endOffset = lengthBytes + Number(length);
  if (endOffset > bytes.length) {
    throw damaged('the header goes beyond the end of the file', place(file, 0), {
      neededBytes: endOffset,
      availableBytes: bytes.length,
    });
  }
  const json = parseHeaderJson(bytes.subarray(lengthBytes, endOffset), file);
  return { json, endOffset };
}

/** The header, an entry, its lists. */
const headerDepth = 3;
const headerSchema = z.looseObject({ __metadata__: z.record(z.string(), z.string()).optional() });

function parseHeaderJson(bytes: Uint8Array, file: string): Readonly<Record<string, unknown>> {
  const where = place(file, lengthBytes);
  if (bytes[0] !== 0x7b) throw damaged('the header does not begin with {', where);
  let scan: Scan;
  let json: unknown = null;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    scan = scanJson(text);
    if (scan.deepest <= headerDepth) json = JSON.parse(text);
  } catch (cause) {
    // TextDecoder throws TypeError, JSON.parse SyntaxError; both speak of these bytes only.
    throw damaged('the header is not JSON', where, {}, cause);
  }
  if (scan.deepest > headerDepth) {
    throw damaged(`the header nests ${scan.deepest} levels deep, not ${headerDepth}`, where);
  }
  if (scan.duplicate !== undefined) {
    throw damaged(`the header names ${quote(scan.duplicate)} twice`, where);
  }
  if (!headerSchema.safeParse(json).success) {
    throw damaged('the header’s __metadata__ is not a map of strings to strings', where);
  }
  return json as Readonly<Record<string, unknown>>;
}

interface Scan {
  readonly deepest: number;
  /** A key that stands twice in one object; JSON.parse would keep the last. */
  readonly duplicate: string | undefined;
}

/** A look at JSON text before it is parsed; of no meaning where the text is not JSON. */
function scanJson(json: string): Scan {
  const open: Set<string>[] = [];
  let deepest = 0;
  let duplicate: string | undefined;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === '{' || character === '[') {
      open.push(new Set());
      deepest = Math.max(deepest, open.length);
    } else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const start = at++;
      while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
      if (!/\s*:/y.test(json.slice(at + 1, at + 16))) continue;
      const key: string = JSON.parse(json.slice(start, at + 1));
      const keys = open.at(-1);
      if (keys?.has(key)) duplicate ??= key;
      keys?.add(key);
    }
  }
  return { deepest, duplicate };
}

const count = z.number().int().nonnegative();
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(count),
  data_offsets: z.tuple([count, count]),
});

function readEntry(
  name: string,
  json: unknown,
  data: Uint8Array,
  dataOffset: number,
  file: string,
): StoredTensor {
  const where = place(file, lengthBytes, name);
  const parsed = entrySchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue === undefined || issue.path.length === 0 ? '' : ` ${issue.path.join('.')}:`;
    throw damaged(
      `the entry of a tensor is malformed:${field} ${shorten(issue?.message ?? '')}`,
      where,
    );
  }
  const { dtype, shape, data_offsets } = parsed.data;
  const [begin, end] = data_offsets;
  if (!isStoredDType(dtype)) {
    const known = Object.keys(storedDTypes).join(', ');
    throw damaged(`the dtype ${quote(dtype)} is unknown; the format has ${known}`, where);
  }
  if (begin > end) throw damaged(`the data offsets ${begin} to ${end} run backwards`, where);
  if (end > data.length) {
    throw damaged(
      `the data offsets ${begin} to ${end} go beyond the file’s data`,
      place(file, dataOffset, name),
      { neededBytes: end, availableBytes: data.length },
    );
  }
  const neededBytes = byteLength(shape, storedDTypes[dtype]);
  if (neededBytes === null) {
    throw damaged(`the shape [${shape.join(', ')}] is too large for any file`, where);
  }
  if (neededBytes !== end - begin) {
    throw damaged(
      `the shape [${shape.join(', ')}] of ${dtype} does not take the bytes the offsets give`,
      place(file, dataOffset + begin, name),
      { neededBytes, availableBytes: end - begin },
    );
  }
  const bytes = data.subarray(begin, end);
  return { name, file, dtype, shape, bytes, fileOffset: dataOffset + begin };
}

function isStoredDType(name: string): name is StoredDType {
  return Object.hasOwn(storedDTypes, name);
}

/** Null where the product is no exact number. */
function byteLength(shape: readonly number[], elementBytes: number): number | null {
  let product = elementBytes;
  for (const size of shape) {
    product *= size;
    if (product > Number.MAX_SAFE_INTEGER) return null;
  }
  return product;
}

/** The tensors cover the data exactly once. */
function checkTiling(
  tensors: readonly StoredTensor[],
  dataBytes: number,
  dataOffset: number,
  file: string,
): void {
  let end = dataOffset;
  let before = 'the header';
  const ordered = tensors.toSorted(
    (a, b) => a.fileOffset - b.fileOffset || a.bytes.length - b.bytes.length,
  );
  for (const { name, fileOffset, bytes } of ordered) {
    if (fileOffset < end) {
      throw damaged(`the data overlaps that of ${before}`, place(file, fileOffset, name));
    }
    if (fileOffset > end) {
      const hole = (fileOffset - end).toLocaleString('en-US');
      throw damaged(
        `${hole} bytes between ${before} and ${quote(name)} belong to no tensor`,
        place(file, end, name),
      );
    }
    end = fileOffset + bytes.length;
    before = quote(name);
  }
  if (end !== dataOffset + dataBytes) {
    throw damaged(`the data after ${before} belongs to no tensor`, place(file, end), {
      neededBytes: end,
      availableBytes: dataOffset + dataBytes,
    });
  }
}

/** The elements as float32, exact for F32, F16 and BF16; all must be finite. */
export function toFloat32(tensor: StoredTensor): TypedArrayOf<'float32'> {
  const values = convert(tensor);
  for (let index = 0; index < values.length; index++) {
    if (!Number.isFinite(values[index])) {
      const elementBytes = storedDTypes[tensor.dtype];
      throw damaged(
        `element ${index} of ${quote(tensor.name)} is ${values[index]}; weights must be finite in float32`,
        place(tensor.file, tensor.fileOffset + index * elementBytes, tensor.name),
        { hint: 'The training has diverged or the file is damaged: take another checkpoint.' },
      );
    }
  }
  return values;
}

function convert(tensor: StoredTensor): TypedArrayOf<'float32'> {
  const { dtype } = tensor;
  // A copy, for the file's data need not be aligned to its elements. (A Buffer's slice is a view.)
  const { buffer } = new Uint8Array(tensor.bytes);
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return new Float32Array(new Float64Array(buffer));
    case 'F16':
      return fromBits(new Uint16Array(buffer), halfBits);
    case 'BF16':
      return fromBits(new Uint16Array(buffer), (bits) => bits << 16);
    case 'I8':
      return new Float32Array(new Int8Array(buffer));
    case 'U8':
      return new Float32Array(new Uint8Array(buffer));
    case 'I16':
      return new Float32Array(new Int16Array(buffer));
    case 'U16':
      return new Float32Array(new Uint16Array(buffer));
    case 'BOOL':
    case 'F8_E4M3':
    case 'F8_E5M2':
    case 'I32':
    case 'U32':
    case 'I64':
    case 'U64':
      throw userError({
        code: 'unsupported-dtype',
        message: `${quote(tensor.name)} is stored as ${dtype}, which is not read as a weight`,
        where: place(tensor.file, tensor.fileOffset, tensor.name),
        hint: 'Save the model as float32, float16 or bfloat16: model.float().save_pretrained(…).',
      });
  }
}

function fromBits(stored: Uint16Array, toBits: (bits: number) => number): TypedArrayOf<'float32'> {
  const values = new Float32Array(stored.length);
  const bits = new Int32Array(values.buffer);
  for (let index = 0; index < stored.length; index++) bits[index] = toBits(stored[index]!);
  return values;
}

/** The value of an IEEE binary16. */
export function halfToFloat(half: number): number {
  return fromBits(Uint16Array.of(half), halfBits)[0]!;
}

/** IEEE binary16 to binary32, as bits: 1 + 5 + 10 to 1 + 8 + 23, biases 15 and 127. */
function halfBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  let exponent = (half >> 10) & 0x1f;
  let fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent === 0) {
    if (fraction === 0) return sign;
    // A subnormal, fraction · 2^−24: shift its leading one into the hidden place.
    const shift = Math.clz32(fraction) - 21;
    exponent = 1 - shift;
    fraction = (fraction << shift) & 0x3ff;
  }
  return sign | ((exponent + 112) << 23) | (fraction << 13);
}

function place(file: string, offset: number, tensor?: string): string {
  return `${file}, ${tensor === undefined ? '' : `tensor ${quote(tensor)}, `}byte 0x${offset.toString(16)}`;
}

function damaged(
  message: string,
  where: string,
  more: Pick<ErrorDetails, 'neededBytes' | 'availableBytes' | 'hint'> = {},
  cause?: unknown,
): Lm2mcuError {
  const error = userError({
    code: 'bad-safetensors',
    message,
    where,
    hint: 'The file is damaged or was not fully copied: fetch it again.',
    ...more,
  });
  if (cause !== undefined) error.cause = cause;
  return error;
}
