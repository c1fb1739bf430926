/** Arrays as a safetensors file; the reader is in importers/safetensors.ts. */
import { internalError } from '../errors.ts';

export type WritableArray = Int8Array | Uint8Array | Int32Array | Float32Array;

export interface WritableTensor {
  readonly shape: readonly number[];
  readonly data: WritableArray;
}

/** By name, in that order; the same tensors always give the same bytes. */
export function formatSafetensors(tensors: Readonly<Record<string, WritableTensor>>): Uint8Array {
  // Larger elements first, so that each tensor is aligned to its own.
  const ordered = Object.entries(tensors).sort(
    ([a, { data: x }], [b, { data: y }]) =>
      y.BYTES_PER_ELEMENT - x.BYTES_PER_ELEMENT || (a < b ? -1 : 1),
  );
  let offset = 0;
  const entries = ordered.map(([name, { shape, data }]) => {
    const begin = offset;
    offset += data.byteLength;
    return [name, { dtype: dtypeOf(data), shape, data_offsets: [begin, offset] }] as const;
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  const header = new TextEncoder().encode(json.padEnd(Math.ceil(byteLength(json) / 8) * 8));
  const bytes = new Uint8Array(8 + header.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  let at = 8 + header.length;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** Names are ASCII (namePattern), and so the text has as many bytes as characters. */
function byteLength(json: string): number {
  return json.length;
}

function dtypeOf(data: WritableArray): string {
  if (data instanceof Int8Array) return 'I8';
  if (data instanceof Uint8Array) return 'U8';
  if (data instanceof Int32Array) return 'I32';
  if (data instanceof Float32Array) return 'F32';
  throw internalError('an array of this type cannot be written');
}
