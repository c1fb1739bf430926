/**
 * Reading FlatBuffers whose bytes are not trusted: every offset is checked, and what lies outside names
 * its byte. A table begins with the distance back to its vtable, which has for each field the distance
 * from the table, or 0 where it is not stored (https://flatbuffers.dev/internals).
 */
import { userError } from '../../errors.ts';

export interface Table {
  /** Byte of the file at which it begins. */
  readonly position: number;
  int8(field: number, missing?: number): number;
  int32(field: number, missing?: number): number;
  uint32(field: number, missing?: number): number;
  float32(field: number, missing?: number): number;
  uint64(field: number, missing?: number): number;
  text(field: number): string;
  table(field: number): Table | undefined;
  tables(field: number): readonly Table[];
  bytes(field: number): Uint8Array;
  int32s(field: number): readonly number[];
  int64s(field: number): readonly number[];
  float32s(field: number): readonly number[];
}

/** The table that the file begins with; `identifier`: the four letters behind its offset. */
export function rootTable(bytes: Uint8Array, identifier: string, file: string): Table {
  const reader = readerOf(bytes, file);
  const letters = [4, 5, 6, 7].map((offset) => String.fromCharCode(reader.uint8(offset))).join('');
  if (letters !== identifier) throw reader.bad(4, `it does not begin as a ${identifier} file`);
  return tableAt(reader, reader.uint32(0));
}

interface Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  uint8(offset: number): number;
  uint16(offset: number): number;
  int32(offset: number): number;
  uint32(offset: number): number;
  /** Checks that `size` bytes are there. */
  check(offset: number, size: number): number;
  bad(offset: number, message: string): Error;
}

function readerOf(bytes: Uint8Array, file: string): Reader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const bad = (offset: number, message: string): Error =>
    userError({
      code: 'bad-tflite',
      message: `the TensorFlow Lite file cannot be read: ${message}`,
      where: `${file}, byte ${Math.max(0, Math.min(offset, bytes.length))}`,
      hint: 'It may be cut off or another file: copy it again, or convert the model anew.',
    });
  const check = (offset: number, size: number): number => {
    if (offset >= 0 && size >= 0 && offset + size <= bytes.length) return offset;
    throw bad(offset, `${size} bytes are read at byte ${offset}, it has ${bytes.length}`);
  };
  return {
    ...{ bytes, view, check, bad },
    uint8: (offset) => view.getUint8(check(offset, 1)),
    uint16: (offset) => view.getUint16(check(offset, 2), true),
    int32: (offset) => view.getInt32(check(offset, 4), true),
    uint32: (offset) => view.getUint32(check(offset, 4), true),
  };
}

function tableAt(reader: Reader, position: number): Table {
  const { view, check } = reader;
  const vtable = position - reader.int32(position);
  const vtableBytes = reader.uint16(vtable);
  /** Where the field is, or undefined. */
  const at = (field: number): number | undefined => {
    const entry = 4 + 2 * field;
    if (entry + 2 > vtableBytes) return undefined;
    const distance = reader.uint16(vtable + entry);
    return distance === 0 ? undefined : position + distance;
  };
  const target = (field: number): number | undefined => {
    const offset = at(field);
    return offset === undefined ? undefined : offset + reader.uint32(offset);
  };
  /** First element and number of elements; all of them are inside. */
  const vector = (field: number, elementBytes: number): readonly [start: number, count: number] => {
    const offset = target(field);
    if (offset === undefined) return [0, 0];
    const count = reader.uint32(offset);
    check(offset + 4, count * elementBytes);
    return [offset + 4, count];
  };
  const numbers = (field: number, elementBytes: number, read: (offset: number) => number) => {
    const [start, count] = vector(field, elementBytes);
    return Array.from({ length: count }, (_, index) => read(start + index * elementBytes));
  };
  const scalar = (field: number, missing: number, size: number, read: (o: number) => number) => {
    const offset = at(field);
    return offset === undefined ? missing : read(check(offset, size));
  };
  return {
    position,
    int8: (field, missing = 0) => scalar(field, missing, 1, (o) => view.getInt8(o)),
    int32: (field, missing = 0) => scalar(field, missing, 4, (o) => view.getInt32(o, true)),
    uint32: (field, missing = 0) => scalar(field, missing, 4, (o) => view.getUint32(o, true)),
    float32: (field, missing = 0) => scalar(field, missing, 4, (o) => view.getFloat32(o, true)),
    uint64: (field, missing = 0) =>
      scalar(field, missing, 8, (o) => Number(view.getBigUint64(o, true))),
    text: (field) => {
      const [start, count] = vector(field, 1);
      return new TextDecoder().decode(reader.bytes.subarray(start, start + count));
    },
    table: (field) => {
      const offset = target(field);
      return offset === undefined ? undefined : tableAt(reader, offset);
    },
    tables: (field) => {
      const [start, count] = vector(field, 4);
      return Array.from({ length: count }, (_, index) => {
        const offset = start + 4 * index;
        return tableAt(reader, offset + reader.uint32(offset));
      });
    },
    bytes: (field) => {
      const [start, count] = vector(field, 1);
      return reader.bytes.subarray(start, start + count);
    },
    int32s: (field) => numbers(field, 4, (offset) => view.getInt32(offset, true)),
    int64s: (field) => numbers(field, 8, (offset) => Number(view.getBigInt64(offset, true))),
    float32s: (field) => numbers(field, 4, (offset) => view.getFloat32(offset, true)),
  };
}
