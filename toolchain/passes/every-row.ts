/**
 * A decoder's graph with a result for every token instead of the last one: what calibration and
 * perplexity look at. Tensors keep their names.
 */
import type { Graph, Node, Stage, Tensor } from '../ir/graph.ts';
import { tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';

/** selectRow(x, last) = x; graphs without it stay as they are. */
export function everyRow<S extends Stage>(graph: Graph<S>): Graph<S> {
  const isLast = (node: Node): boolean => node.op === 'selectRow' && node.attrs.which === 'last';
  if (!graph.nodes.some(isLast)) return graph;
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const nodes = graph.nodes.map((node): Node<S> => {
    const whole = isLast(node) ? ({ ...node, op: 'concat', attrs: {} } as Node<S>) : node;
    const shapes = whole.inputs.map((name) => tensorOf({ tensors }, name).shape);
    const shape = opOf(whole.op).infer(shapes, whole.attrs);
    tensors[whole.output] = { ...tensorOf(graph, whole.output), shape };
    return whole;
  });
  return { ...graph, nodes, tensors };
}
