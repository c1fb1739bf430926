/** Stores the word table's rows in the order in which the device's tokenizer numbers its tokens. */
import { allocate } from '../ir/dtypes.ts';
import { type Graph, isConstant, tensorOf } from '../ir/graph.ts';

/** word'[i] = word[idOrder[i]]; tokens that no text can reach lose their rows. */
export function reorderVocabulary(graph: Graph<'float'>, idOrder: Int32Array): Graph<'float'> {
  const tables = graph.nodes.flatMap((node) =>
    node.op === 'embed' || node.op === 'embedLayerNorm' ? [node.inputs[2]!] : [],
  );
  const tensors = { ...graph.tensors };
  for (const name of new Set(tables)) {
    const table = tensorOf(graph, name);
    if (!isConstant(table)) continue;
    const width = table.shape[1];
    const data = allocate(table.dtype, idOrder.length * width);
    for (const [index, id] of idOrder.entries()) {
      data.set(table.data.subarray(id * width, (id + 1) * width), index * width);
    }
    tensors[name] = { ...table, shape: [idOrder.length, width], data };
  }
  return { ...graph, tensors };
}
