/** Makes a primitive graph: what the readers of all formats share. */
import type {
  PrimitiveAttrs,
  PrimitiveGraph,
  PrimitiveInput,
  PrimitiveName,
  PrimitiveNode,
} from './graph.ts';
import { arrayFor, type ElementType, integers, knownValue, scalar, type Value } from './value.ts';

export interface PrimitiveBuilder {
  /** Adds a node that the user's node is made of; returns its output, named anew where not given. */
  add<N extends PrimitiveName>(
    op: N,
    attrs: PrimitiveAttrs[N],
    inputs: readonly string[],
    output?: string,
  ): string;
  constant(value: Value, name?: string): string;
  integers(elements: readonly number[]): string;
  float(element: number): string;
  list(type: ElementType, elements: readonly number[]): string;
  /** Nodes added from now on are of this node of the user's. */
  enter(name: string, userOp: string): void;
  /** A name that no tensor has. */
  fresh(): string;
  finish(
    graph: Pick<PrimitiveGraph, 'format' | 'outputs'> & {
      readonly inputs: readonly PrimitiveInput[];
    },
  ): PrimitiveGraph;
}

export function primitiveBuilder(): PrimitiveBuilder {
  const constants = new Map<string, Value>();
  const nodes: PrimitiveNode[] = [];
  let current = { name: '', userOp: '' };
  let count = 0;
  // A space cannot begin a name of the formats that are read.
  const fresh = (): string => ` ${++count}`;
  const constant = (value: Value, name = fresh()): string => {
    constants.set(name, value);
    return name;
  };
  return {
    fresh,
    constant,
    enter: (name, userOp) => {
      current = { name, userOp };
    },
    add: (op, attrs, inputs, output = fresh()) => {
      // The compiler cannot see that `op` and `attrs` are of the same row.
      nodes.push({ op, attrs, ...current, inputs, output } as unknown as PrimitiveNode);
      return output;
    },
    integers: (elements) => constant(integers(elements)),
    float: (element) => constant(scalar('float', element)),
    list: (type, elements) =>
      constant(knownValue(type, [elements.length], arrayFor(type, elements))),
    finish: (graph) => ({ ...graph, constants, nodes }),
  };
}
