/** Stores the word table's rows in the order in which the device's tokenizer numbers its tokens. */
import { type Graph, isConstant, takeRows, tensorOf } from '../ir/graph.ts';

/** word'[i] = word[idOrder[i]]; tokens that no text can reach lose their rows. */
export function reorderVocabulary(graph: Graph<'float'>, idOrder: Int32Array): Graph<'float'> {
  const tables = graph.nodes.flatMap((node) =>
    node.op === 'embed' || node.op === 'embedLayerNorm' ? [node.inputs[2]!] : [],
  );
  const tensors = { ...graph.tensors };
  for (const name of new Set(tables)) {
    const table = tensorOf(graph, name);
    if (!isConstant(table)) continue;
    tensors[name] = { ...table, ...takeRows(table, idOrder) };
  }
  return { ...graph, tensors };
}
