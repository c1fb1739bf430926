/**
 * What Vela leaves in a TFLite file: the custom operator `ethos-u` with its payload and constants,
 * and the arena offsets of the model's tensors (metadata `OfflineMemoryAllocation`).
 *
 * The operator's inputs are the payload, the constants (region 0), the arena (region 1), the fast
 * scratch memory (region 2), and then the tensors that it reads. Field numbers are those of
 * TensorFlow's `schema.fbs`.
 */
import { userError } from '../errors.ts';

export interface NpuModel {
  readonly payload: Uint8Array;
  readonly constants: Uint8Array;
  readonly arenaBytes: number;
  readonly fastBytes: number;
  readonly inputs: readonly PlacedTensor[];
  readonly outputs: readonly PlacedTensor[];
  /** Other operators stand beside this one. */
  readonly isWhole: boolean;
}

export interface PlacedTensor {
  readonly name: string;
  readonly sizeBytes: number;
  /** In the arena; null without metadata. */
  readonly offset: number | null;
}

const identifier = 'TFL3';
const customCode = 'ethos-u';
const allocationName = 'OfflineMemoryAllocation';
/** Version, subgraph, number of offsets. */
const allocationHeaderWords = 3;
/** TensorType of schema.fbs: bytes of an element. */
const elementBytes: Readonly<Record<number, number>> = { 0: 4, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1 };

export function isTflite(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(4, 8)).toString('latin1') === identifier;
}

/** Null: the file has no such operator. */
export function readTflite(bytes: Uint8Array, where: string): NpuModel | null {
  const file = flatbuffer(bytes, where);
  const model = file.root();
  const codes = file.tables(model, 1);
  const [subgraph] = file.tables(model, 2);
  if (subgraph === undefined) throw file.fail('the model has no subgraph', 0);
  const buffers = file.tables(model, 4);
  const data = (index: number): Uint8Array => {
    const buffer = buffers[index];
    if (buffer === undefined) throw file.fail(`there is no buffer ${index}`, 0);
    return file.bytes(buffer, 0);
  };
  const tensors = file.tables(subgraph, 0);
  const offsets = arenaOffsets(file, model, data);
  const placed = (index: number): PlacedTensor => {
    const tensor = tensors[index];
    if (tensor === undefined) throw file.fail(`there is no tensor ${index}`, 0);
    const elements = file.integers(tensor, 0).reduce((product, side) => product * side, 1);
    const offset = offsets?.[index] ?? -1;
    return {
      name: file.text(tensor, 3),
      sizeBytes: elements * (elementBytes[file.number(tensor, 1, 1)] ?? 1),
      offset: offset < 0 ? null : offset,
    };
  };
  const constantOf = (index: number): Uint8Array => {
    const tensor = tensors[index];
    if (tensor === undefined) throw file.fail(`there is no tensor ${index}`, 0);
    return data(file.number(tensor, 2, 4));
  };
  const operators = file.tables(subgraph, 3);
  const found = operators.filter((operator) => {
    const code = codes[file.number(operator, 0, 4)];
    return code !== undefined && file.text(code, 1) === customCode;
  });
  const [operator] = found;
  if (operator === undefined) return null;
  const [payload, constants, arena, fast] = file.integers(operator, 1);
  if (payload === undefined || constants === undefined || arena === undefined) {
    throw file.fail('the ethos-u operator has fewer than three inputs', operator);
  }
  return {
    payload: constantOf(payload),
    constants: constantOf(constants),
    arenaBytes: placed(arena).sizeBytes,
    fastBytes: fast === undefined ? 0 : placed(fast).sizeBytes,
    inputs: file.integers(subgraph, 1).map(placed),
    outputs: file.integers(subgraph, 2).map(placed),
    isWhole: operators.length === 1,
  };
}

function arenaOffsets(
  file: Flatbuffer,
  model: number,
  data: (index: number) => Uint8Array,
): Int32Array | null {
  const metadata = file.tables(model, 6).find((table) => file.text(table, 0) === allocationName);
  if (metadata === undefined) return null;
  const bytes = data(file.number(metadata, 1, 4));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = Math.floor(bytes.length / 4) - allocationHeaderWords;
  return Int32Array.from({ length: Math.max(0, words) }, (_, index) =>
    view.getInt32(4 * (allocationHeaderWords + index), true),
  );
}

/** Tables are the byte at which they begin; a field that is absent is 0, empty or ''. */
interface Flatbuffer {
  root(): number;
  number(table: number, field: number, width: 1 | 4): number;
  integers(table: number, field: number): readonly number[];
  tables(table: number, field: number): readonly number[];
  bytes(table: number, field: number): Uint8Array;
  text(table: number, field: number): string;
  fail(message: string, at: number): Error;
}

function flatbuffer(bytes: Uint8Array, where: string): Flatbuffer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fail = (message: string, at: number) =>
    userError({
      code: 'bad-tflite',
      message,
      where: `${where}, byte ${at}`,
      hint: 'Get the file again; it is one that Vela wrote.',
    });
  const check = (at: number, length: number) => {
    if (at < 0 || length < 0 || at + length > bytes.length) {
      const message = `the file refers to bytes ${at} to ${at + length}, and has ${bytes.length}`;
      throw fail(message, Math.max(0, Math.min(at, bytes.length)));
    }
    return at;
  };
  const word = (at: number) => view.getUint32(check(at, 4), true);
  /** 0: the field is absent. */
  const place = (table: number, field: number): number => {
    const vtable = table - view.getInt32(check(table, 4), true);
    const entry = 4 + 2 * field;
    if (entry >= view.getUint16(check(vtable, 2), true)) return 0;
    const offset = view.getUint16(check(vtable + entry, 2), true);
    return offset === 0 ? 0 : table + offset;
  };
  /** First element and count. */
  const vector = (table: number, field: number, width: number): readonly [number, number] => {
    const at = place(table, field);
    if (at === 0) return [0, 0];
    const start = at + word(at);
    const count = word(start);
    return [check(start + 4, count * width), count];
  };
  const integers = (table: number, field: number) => {
    const [start, count] = vector(table, field, 4);
    return Array.from({ length: count }, (_, i) => view.getInt32(start + 4 * i, true));
  };
  const span = (table: number, field: number) => {
    const [start, length] = vector(table, field, 1);
    return bytes.subarray(start, start + length);
  };
  return {
    fail,
    root: () => word(0),
    number(table, field, width) {
      const at = place(table, field);
      if (at === 0) return 0;
      return width === 1 ? view.getUint8(check(at, 1)) : word(at);
    },
    integers,
    tables(table, field) {
      const [start, count] = vector(table, field, 4);
      return Array.from({ length: count }, (_, i) => start + 4 * i + word(start + 4 * i));
    },
    bytes: span,
    text: (table, field) => Buffer.from(span(table, field)).toString('utf8'),
  };
}
