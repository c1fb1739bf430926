/** Stores the rows of token tables in the order in which the device's tokenizer numbers its tokens. */
import type { Graph } from '../ir/graph.ts';
import { takeTableRows } from './take-table-rows.ts';

/** table'[i] = table[idOrder[i]]; tokens that no text can reach lose their rows. */
export function reorderVocabulary(graph: Graph<'float'>, idOrder: Int32Array): Graph<'float'> {
  return takeTableRows(graph, 'token', () => idOrder, '');
}
