/** An embedding table that a linear has as its weight is stored once, and looked up there. */
import { type Graph, type Node, tensorOf } from '../ir/graph.ts';
import { longestPairs } from '../schedule/packings.ts';

/** lookupRows(table) = weightRows(table) where a linear multiplies by the same integers. */
export function tieTables(graph: Graph<'quantized'>): Graph<'quantized'> {
  const weights = new Set(
    graph.nodes.flatMap(({ op, inputs }) => (op === 'linear' ? [inputs[1]!] : [])),
  );
  const isTied = ({ inputs, output }: Node<'quantized'>): boolean => {
    const { dtype, shape, data } = tensorOf(graph, inputs[1]!);
    return (
      weights.has(inputs[1]!) &&
      dtype === 'int8' &&
      tensorOf(graph, output).dtype === 'int16' &&
      shape[1] <= longestPairs &&
      // Weights of seven bits are stored otherwise in modules.
      Array.prototype.some.call(data, (weight: number) => weight < -64 || weight > 63)
    );
  };
  const nodes = graph.nodes.map((node): Node<'quantized'> => {
    if (node.op !== 'lookupRows' || !isTied(node) || node.integer.multipliers === null) return node;
    const { multipliers, shift } = node.integer;
    return { ...node, op: 'weightRows', integer: { multipliers, shift } };
  });
  return { ...graph, nodes };
}
