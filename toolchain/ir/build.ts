/** Makes a float graph node by node; shapes come from the op table. */
import { internalError } from '../errors.ts';
import { type AttrsOf, type OpName, opOf } from '../ops/index.ts';
import type { DType, TypedArrayOf } from './dtypes.ts';
import type { Graph, Node, Shape, Tensor } from './graph.ts';

export interface GraphBuilder {
  /** Each of these returns the name of the tensor it made. */
  input(name: string, dtype: DType, shape: Shape): string;
  constant(name: string, shape: Shape, data: TypedArrayOf<'float32'>): string;
  /** Integers with a scale a row, as a quantized model has its weights. */
  codes(name: string, shape: Shape, data: TypedArrayOf<'int8'>, scales: Float64Array): string;
  /** The output is named as the node. */
  node<N extends OpName>(op: N, name: string, inputs: readonly string[], attrs: AttrsOf<N>): string;
  finish(outputs: readonly string[]): Graph<'float'>;
}

export function graphBuilder(graphName: string): GraphBuilder {
  const tensors = new Map<string, Tensor>();
  const inputs: string[] = [];
  const nodes: Node<'float'>[] = [];

  function define(tensor: Tensor): string {
    if (tensors.has(tensor.name)) throw internalError('a tensor is made twice', tensor.name);
    tensors.set(tensor.name, Object.freeze(tensor));
    return tensor.name;
  }

  function shapeOf(name: string, node: string): Shape {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw internalError(`there is no tensor '${name}' yet`, node);
    return tensor.shape;
  }

  return {
    input: (name, dtype, shape) => {
      inputs.push(name);
      return define({ name, role: 'input', dtype, shape });
    },
    constant: (name, shape, data) =>
      define({ name, role: 'constant', dtype: 'float32', shape, data }),
    codes: (name, shape, data, scales) => {
      const quant = { kind: 'per-row', scales } as const;
      return define({ name, role: 'constant', dtype: 'int8', shape, data, quant });
    },
    node: (op, name, operands, attrs) => {
      const shapes = operands.map((operand) => shapeOf(operand, name));
      const shape = opOf(op).infer(shapes, attrs);
      // The compiler cannot see that `op` and `attrs` are of the same row.
      const node = { op, name, inputs: operands, output: name, attrs, integer: null };
      nodes.push(Object.freeze(node as Node<'float'>));
      return define({ name, role: 'activation', dtype: 'float32', shape });
    },
    finish: (outputs) =>
      Object.freeze({
        stage: 'float' as const,
        name: graphName,
        inputs: Object.freeze(inputs),
        outputs: Object.freeze([...outputs]),
        tensors: Object.freeze(Object.fromEntries(tensors)),
        nodes: Object.freeze(nodes),
      }),
  };
}
