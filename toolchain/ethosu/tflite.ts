/**
 * What Vela leaves in a TFLite file: the custom operator `ethos-u` with its payload and constants,
 * and the arena offsets of the model's tensors (metadata `OfflineMemoryAllocation`).
 *
 * The operator's inputs are the payload, the constants (region 0), the arena (region 1), the fast
 * scratch memory (region 2), and then the tensors that it reads. Field numbers are those of
 * TensorFlow's `schema.fbs`.
 */
import { userError } from '../errors.ts';
import { rootTable, type Table } from '../importers/tflite/flatbuffer.ts';

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
  const bad = (message: string, { position }: Table) =>
    userError({
      code: 'bad-tflite',
      message,
      where: `${where}, byte ${position}`,
      hint: 'Get the file again; it is one that Vela wrote.',
    });
  const model = rootTable(bytes, identifier, where);
  const codes = model.tables(1);
  const [subgraph] = model.tables(2);
  if (subgraph === undefined) throw bad('the model has no subgraph', model);
  const buffers = model.tables(4);
  const data = (index: number): Uint8Array => {
    const buffer = buffers[index];
    if (buffer === undefined) throw bad(`there is no buffer ${index}`, model);
    return buffer.bytes(0);
  };
  const tensors = subgraph.tables(0);
  const offsets = arenaOffsets(model, data);
  const tensorAt = (index: number): Table => {
    const tensor = tensors[index];
    if (tensor === undefined) throw bad(`there is no tensor ${index}`, subgraph);
    return tensor;
  };
  const placed = (index: number): PlacedTensor => {
    const tensor = tensorAt(index);
    const elements = tensor.int32s(0).reduce((product, side) => product * side, 1);
    const offset = offsets?.[index] ?? -1;
    return {
      name: tensor.text(3),
      sizeBytes: elements * (elementBytes[tensor.int8(1)] ?? 1),
      offset: offset < 0 ? null : offset,
    };
  };
  const constantOf = (index: number): Uint8Array => data(tensorAt(index).uint32(2));
  const operators = subgraph.tables(3);
  const operator = operators.find((one) => codes[one.uint32(0)]?.text(1) === customCode);
  if (operator === undefined) return null;
  const [payload, constants, arena, fast] = operator.int32s(1);
  if (payload === undefined || constants === undefined || arena === undefined) {
    throw bad('the ethos-u operator has fewer than three inputs', operator);
  }
  return {
    payload: constantOf(payload),
    constants: constantOf(constants),
    arenaBytes: placed(arena).sizeBytes,
    fastBytes: fast === undefined ? 0 : placed(fast).sizeBytes,
    inputs: subgraph.int32s(1).map(placed),
    outputs: subgraph.int32s(2).map(placed),
    isWhole: operators.length === 1,
  };
}

function arenaOffsets(model: Table, data: (index: number) => Uint8Array): Int32Array | null {
  const metadata = model.tables(6).find((table) => table.text(0) === allocationName);
  if (metadata === undefined) return null;
  const bytes = data(metadata.uint32(1));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = Math.floor(bytes.length / 4) - allocationHeaderWords;
  return Int32Array.from({ length: Math.max(0, words) }, (_, index) =>
    view.getInt32(4 * (allocationHeaderWords + index), true),
  );
}
