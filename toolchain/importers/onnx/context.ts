/** What a converter of one ONNX node has at hand. */
import type { PrimitiveBuilder } from '../primitive/build.ts';
import type { Value } from '../primitive/value.ts';
import type { OnnxNode, OnnxTensor } from './schema.ts';

export interface NodeContext {
  readonly node: OnnxNode;
  readonly builder: PrimitiveBuilder;
  /** Version of the default operator set. */
  readonly opset: number;
  /** Names of the operands, '' where absent. */
  input(index: number): string;
  /** Undefined where the node does not have it. */
  output(index?: number): string | undefined;
  int(name: string): number | undefined;
  float(name: string): number | undefined;
  text(name: string): string | undefined;
  ints(name: string): readonly number[] | undefined;
  tensor(name: string): Value | undefined;
}

export type Converter = (context: NodeContext) => void;

export function nodeContext(
  node: OnnxNode,
  builder: PrimitiveBuilder,
  opset: number,
  read: (tensor: OnnxTensor, name: string) => Value,
): NodeContext {
  const attributes = new Map(node.attributes.map((attribute) => [attribute.name, attribute]));
  return {
    node,
    builder,
    opset,
    input: (index) => node.inputs[index] ?? '',
    output: (index = 0) => {
      const name = node.outputs[index];
      return name === '' ? undefined : name;
    },
    int: (name) => attributes.get(name)?.i,
    float: (name) => attributes.get(name)?.f,
    text: (name) => {
      const bytes = attributes.get(name)?.s;
      return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
    },
    ints: (name) => {
      const attribute = attributes.get(name);
      // PyTorch writes an empty list as an attribute without one.
      return attribute === undefined ? undefined : attribute.ints;
    },
    tensor: (name) => {
      const tensor = attributes.get(name)?.t;
      return tensor === undefined ? undefined : read(tensor, '');
    },
  };
}
