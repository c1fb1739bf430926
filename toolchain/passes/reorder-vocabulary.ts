/** Stores the rows of token tables in the order in which the device's tokenizer numbers its tokens. */
import { nameOfRows } from '../ir/derived-names.ts';
import { type Graph, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { dropDead, producersOf } from '../ir/rewrite.ts';
import { constantOf, withRows } from '../ops/table-rows.ts';
import { takeTableRows } from './take-table-rows.ts';

/** table'[i] = table[idOrder[i]]; tokens that no text can reach lose their rows. */
export function reorderVocabulary(graph: Graph<'float'>, idOrder: Int32Array): Graph<'float'> {
  return takeTableRows(reorderHead(graph, idOrder), 'token', () => idOrder, '');
}

/** The same of the product that gives a decoder's logits, of which there is one a token. */
function reorderHead(graph: Graph<'float'>, idOrder: Int32Array): Graph<'float'> {
  const [output] = graph.outputs;
  const head = producersOf(graph).get(output!);
  if (head?.op !== 'linear' || !graph.nodes.some(({ op }) => op === 'causalAttention'))
    return graph;
  const [x, weight, bias] = head.inputs as readonly [string, string, string];
  // Of a table its own rows are taken, and it is a table and a weight afterwards, too.
  const isTable = graph.nodes.some(({ op, inputs }) => op === 'lookupRows' && inputs[1] === weight);
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const add = (tensor: Tensor, name: string): string => {
    tensors[name] = { ...tensor, name };
    return name;
  };
  const biases = constantOf(tensorOf(graph, bias));
  const inputs = [
    x,
    isTable
      ? weight
      : add(withRows(tensorOf(graph, weight), idOrder), nameOfRows(weight, 'vocabulary')),
    add(
      {
        ...biases,
        shape: [1, idOrder.length],
        data: Float32Array.from(idOrder, (id) => biases.data[id]!),
      },
      nameOfRows(bias, 'vocabulary'),
    ),
  ];
  tensors[head.output] = { ...tensorOf(graph, head.output), shape: [1, idOrder.length] };
  const nodes = graph.nodes.map(
    (node): Node<'float'> => (node === head ? { ...head, inputs } : node),
  );
  return dropDead({ ...graph, nodes, tensors });
}
