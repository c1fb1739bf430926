/** A TensorFlow Lite file to the primitive graph: all tensors by their real values. */
import { userError } from '../../errors.ts';
import { quote } from '../files.ts';
import { primitiveBuilder } from '../primitive/build.ts';
import type { PrimitiveGraph } from '../primitive/graph.ts';
import { arrayFor, knownValue, scalar, type Value } from '../primitive/value.ts';
import { rootTable, type Table } from './flatbuffer.ts';
import { convertOp, tfliteOps } from './ops.ts';
import { constantOf, elementTypeOf, int8Type, readTensor, type TfliteTensor } from './tensors.ts';

export function readTflite(bytes: Uint8Array, file: string): PrimitiveGraph {
  const model = rootTable(bytes, 'TFL3', file);
  const codes = model.tables(1);
  const [graph] = model.tables(2);
  const buffers = model.tables(4);
  if (graph === undefined) throw badModel('it has no graph', file);
  const tensors = graph.tables(0).map(readTensor);
  const builder = primitiveBuilder();
  const raw = new Map<number, Value>();
  const tensorAt = (index: number): TfliteTensor => {
    const tensor = tensors[index];
    if (tensor === undefined) throw badModel(`it has no tensor ${index}`, file);
    return tensor;
  };
  for (const [index, tensor] of tensors.entries()) {
    const data = dataOf(buffers, tensor, bytes, file);
    if (data === null) continue;
    const value = constantOf(tensor, data, file);
    raw.set(index, value);
    builder.enter(tensor.name, 'constant');
    if (tensor.scales.length === 0 || value.type !== 'int') builder.constant(value, nameOf(index));
    else {
      const { scale, zero } = scaleOf(tensor);
      const operands = [builder.constant(value), builder.constant(scale), builder.constant(zero)];
      builder.add('dequantize', { axis: tensor.axis }, operands, nameOf(index));
    }
  }
  for (const [number, operator] of graph.tables(3).entries()) {
    const code = codes[operator.uint32(0)];
    if (code === undefined) throw badModel(`operator ${number} has no operator code`, file);
    // Codes above 127 have a field of their own.
    const builtin = Math.max(code.int8(0), code.int32(3));
    const custom = code.text(1);
    const inputs = operator.int32s(1);
    const outputs = operator.int32s(2);
    const [first] = outputs;
    if (first === undefined) throw badModel(`operator ${number} has no output`, file);
    const userOp = custom || tfliteOps[builtin]?.name || `operator ${builtin}`;
    builder.enter(tensorAt(first).name.split(';')[0] || `operator ${number}`, userOp);
    const made = convertOp(builtin, custom, {
      builder,
      options: operator.table(4),
      inputs: inputs.map((index) => (index < 0 ? '' : nameOf(checked(index)))),
      outputTypes: outputs.map((index) => {
        const { type, scales } = tensorAt(index);
        return scales.length > 0 ? 'float' : elementTypeOf(type);
      }),
      constant: (name) => raw.get(Number(name.slice(1))),
    });
    for (const [position, index] of outputs.entries()) {
      storeAs(tensorAt(index), made[position] ?? '', nameOf(index));
    }
  }
  function checked(index: number): number {
    tensorAt(index);
    return index;
  }
  function storeAs(tensor: TfliteTensor, x: string, output: string): void {
    if (tensor.type !== int8Type || tensor.scales.length !== 1) {
      builder.add('identity', {}, [x], output);
      return;
    }
    const { scale, zero } = scaleOf(tensor);
    const operands = [builder.constant(scale), builder.constant(zero)];
    const codes = builder.add('quantize', { axis: 0 }, [x, ...operands]);
    builder.add('dequantize', { axis: 0 }, [codes, ...operands], output);
  }
  return named(builder.finish.bind(builder), graph, tensors, file);
}

function nameOf(index: number): string {
  return `#${index}`;
}

/** Inputs and outputs have the user's names. */
function named(
  finish: (graph: Pick<PrimitiveGraph, 'format' | 'inputs' | 'outputs'>) => PrimitiveGraph,
  graph: Table,
  tensors: readonly TfliteTensor[],
  file: string,
): PrimitiveGraph {
  const names = new Map<string, string>();
  const userName = (index: number): string => {
    const tensor = tensors[index];
    if (tensor === undefined) throw badModel(`it has no tensor ${index}`, file);
    const name = tensor.name === '' ? nameOf(index) : tensor.name;
    names.set(nameOf(index), name);
    return name;
  };
  const inputs = graph.int32s(1).map((index) => {
    const name = userName(index);
    const { signature, type } = tensors[index]!;
    const shape = signature.map((size) => (size > 0 ? size : null));
    return { name, type: elementTypeOf(type), shape };
  });
  const outputs = graph.int32s(2).map(userName);
  if (outputs.length === 0) throw badModel('it has no output', file);
  const { format, nodes, constants } = finish({ format: 'TensorFlow Lite', inputs, outputs });
  const renamed = (name: string): string => names.get(name) ?? name;
  return {
    ...{ format, inputs, outputs },
    constants: new Map([...constants].map(([name, value]) => [renamed(name), value])),
    nodes: nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(renamed),
      output: renamed(node.output),
    })),
  };
}

function scaleOf({ scales, zeroPoints }: TfliteTensor): { scale: Value; zero: Value } {
  const zeros = Int8Array.from(scales, (_, index) => zeroPoints[index] ?? 0);
  if (scales.length === 1) {
    return { scale: scalar('float', scales[0]!), zero: knownValue('int', [], zeros) };
  }
  const shape = [scales.length];
  return {
    scale: knownValue('float', shape, arrayFor('float', scales)),
    zero: knownValue('int', shape, zeros),
  };
}

/** Null: the tensor is computed. Large models keep their data behind the tables. */
function dataOf(
  buffers: readonly Table[],
  { buffer, name }: TfliteTensor,
  bytes: Uint8Array,
  file: string,
): Uint8Array | null {
  const table = buffers[buffer];
  if (table === undefined) throw badModel(`the tensor ${quote(name)} has no buffer`, file);
  const data = table.bytes(0);
  if (data.length > 0) return data;
  const [offset, size] = [table.uint64(1), table.uint64(2)];
  if (offset <= 1 || size === 0) return null;
  if (offset + size > bytes.length) {
    throw badModel(
      `the tensor ${quote(name)} ends at byte ${offset + size} of ${bytes.length}`,
      file,
    );
  }
  return bytes.subarray(offset, offset + size);
}

function badModel(message: string, where: string) {
  return userError({
    code: 'bad-tflite',
    message: `the TensorFlow Lite file cannot be read: ${message}`,
    where,
    hint: 'It may be cut off: copy it again, or convert the model anew.',
  });
}
