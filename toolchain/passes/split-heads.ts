/**
 * Head grouping: attention over all heads as several attentions over groups of heads (exact).
 *
 * Only one group's keys and values need to exist at a time; the outputs of finished groups stand side
 * by side (`concat`, a view). A middle layer's live set falls from 3·S·d to S·d·(2 + 1/groups).
 */
import { allocate } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { dropDead, producersOf } from '../ir/rewrite.ts';

/** attention(q, k, v) = concat over groups g of attention(q_g, k_g, v_g), q_g = x·Wq_gᵀ + b_g. */
export function splitHeads(
  graph: Graph<'float'>,
  groupsOf: (node: Node<'float'> & { readonly op: 'attention' }) => number,
): Graph<'float'> {
  const producers = producersOf(graph);
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const nodes: Node<'float'>[] = [];
  for (const node of graph.nodes) {
    const groups = node.op === 'attention' ? groupsOf(node) : 1;
    const sources = node.inputs.map((name) => producers.get(name));
    if (node.op !== 'attention' || groups === 1 || !sources.every((s) => s?.op === 'linear')) {
      nodes.push(node);
      continue;
    }
    const parts: string[] = [];
    for (let group = 0; group < groups; group++) {
      const inputs = sources.map((source) =>
        groupLinear({ graph, tensors, nodes }, source as LinearNode, group, groups),
      );
      const whole = tensorOf(graph, node.output);
      const output = `${node.output}#${group}`;
      tensors[output] = {
        ...whole,
        name: output,
        shape: [whole.shape[0], whole.shape[1] / groups],
      };
      const attrs = { ...node.attrs, heads: node.attrs.heads / groups };
      nodes.push({ ...node, attrs, inputs, output, name: `${node.name}#${group}` });
      parts.push(output);
    }
    nodes.push({
      op: 'concat',
      name: node.name,
      inputs: parts,
      output: node.output,
      attrs: {},
      integer: null,
    });
  }
  return dropDead({ ...graph, nodes, tensors });
}

export type LinearNode = Node<'float'> & { readonly op: 'linear' };

/** A graph and what is being added to it. */
export interface Growing {
  readonly graph: Graph<'float'>;
  readonly tensors: Record<string, Tensor>;
  readonly nodes: Node<'float'>[];
}

/** Adds the linear that makes only the columns of one head group; returns its output. */
export function groupLinear(
  { graph, tensors, nodes }: Growing,
  source: LinearNode,
  group: number,
  groups: number,
): string {
  const [x, weight, bias] = source.inputs as readonly [string, string, string];
  const whole = tensorOf(graph, source.output);
  const output = `${source.output}#${group}`;
  tensors[output] = { ...whole, name: output, shape: [whole.shape[0], whole.shape[1] / groups] };
  const inputs = [
    x,
    sliceConstant(graph, tensors, weight, 'rows', group, groups),
    sliceConstant(graph, tensors, bias, 'columns', group, groups),
  ];
  nodes.push({ ...source, name: `${source.name}#${group}`, inputs, output });
  return output;
}

/** Adds the part of a constant that belongs to one head group; returns its name. */
export function sliceConstant(
  graph: Graph<'float'>,
  tensors: Record<string, Tensor>,
  name: string,
  axis: 'rows' | 'columns',
  group: number,
  groups: number,
): string {
  const tensor = tensorOf(graph, name);
  if (!isConstant(tensor)) throw new Error(`'${name}' is not constant`);
  const sliced = `${name}#${group}`;
  const length = tensor.data.length / groups; // bias: one row, so columns are contiguous as well
  const data = allocate(tensor.dtype, length);
  data.set(tensor.data.subarray(group * length, (group + 1) * length));
  const [rows, columns] = tensor.shape as readonly [number, number];
  const shape =
    axis === 'rows' ? ([rows / groups, columns] as const) : ([1, columns / groups] as const);
  tensors[sliced] = { ...tensor, name: sliced, shape, data };
  return sliced;
}
